//! A simulator of Zoho CRM: a pure model of the service, and a small HTTP server over it.
//!
//! [`Zoho`] is the whole simulated world. It takes a [`Request`], the time and a data centre and gives an [`Answer`]; it has no
//! sockets, no clock and no threads, and its randomness comes from a seed. [`Server`] puts it behind a port.

mod api;
mod control;
mod coql;
pub mod dc;
pub mod faults;
pub mod generate;
mod id;
pub mod journal;
pub mod limits;
pub mod oauth;
pub mod org;
mod request;
mod server;
mod zoho;

pub use control::{ControlError, Edit, RecordFlags};
pub use dc::DataCentre;
pub use generate::OrganisationSpec;
pub use org::Organisation;
pub use request::{Answer, Refusal, Request, http_date};
pub use server::{CONTROL_KEY, Server, ServerError};
pub use zoho::{Started, Zoho};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
