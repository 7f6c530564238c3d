//! The operator's JSON API and pages.
fn main() {}
