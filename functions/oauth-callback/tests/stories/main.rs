//! Stories of connecting, told by browsers.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod connecting;
mod grants;
mod headers;
mod simulated;
mod story;
mod way_back;
