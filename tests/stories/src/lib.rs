//! Stories of both sides: verbs for what people do in Zoho and on the platform, and a pump that delivers every message.

mod ran;
mod story;

pub use ran::Ran;
pub use story::{CONNECTION, Delivery, Story, name, text};
