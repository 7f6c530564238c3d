//! Stories of connecting, told by browsers.

mod connecting;
mod grants;
mod headers;
mod story;
mod way_back;
