//! Stories of calling Zoho: tokens renewed once for everybody, lost grants, throttling, credits, hosts (C2, C3, C7, P7).

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod hosts;
mod limits;
mod lost;
mod story;
mod tokens;
