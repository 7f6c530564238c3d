//! Stories of both sides: verbs for what people do in Zoho and on the platform, and a pump that delivers every message.

mod story;

pub use story::{CONNECTION, Delivery, Story, name, text};
