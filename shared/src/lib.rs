//! The common crate of Tandem: two-way sync between a SaaS platform and its customers' Zoho CRM organisations.
//!
//! Layers, lower never names higher: the pure rules (no async, clock, randomness, tracing or I/O), [`port`]s, [`flow`]s, [`adapter`]s and the
//! Lambda [`edge`]. `shared/README.md` has the vocabulary and the rules; `tests/tidy.rs` checks the directions.

pub mod calculated;
pub mod calculation;
pub mod certificate;
pub mod connection;
pub mod convert;
pub mod credit;
pub mod criteria;
pub mod cursor;
pub mod data_centre;
pub mod disposition;
pub mod edit;
pub mod forecast;
pub mod foresight;
pub mod hash;
pub mod identifier;
pub mod journal;
pub mod lack;
pub mod mapping;
pub mod merge;
pub mod message;
pub mod metadata;
pub mod oauth;
pub mod object;
pub mod outgoing;
pub mod record;
pub mod row;
pub mod run;
pub mod schema;
pub mod secret;
pub mod select;
pub mod settings;
pub mod spread;
pub mod value;
pub mod zoho_field;

pub mod port;

pub mod flow;

pub mod adapter;

pub mod edge;
