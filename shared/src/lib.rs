//! The common crate of Tandem.
