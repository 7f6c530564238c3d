//! Stories of connecting, told by browsers.

mod connecting;
mod grants;
mod headers;
mod simulated;
mod story;
mod way_back;
