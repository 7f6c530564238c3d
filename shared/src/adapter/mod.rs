//! The adapters.

pub mod zoho;
