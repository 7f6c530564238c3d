//! Two customers in one world, told with the real flows and a simulated Zoho: one is disconnected and purged in the midst of whatever runs, and
//! neither is reached through the other.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the stories' own helpers fail as their tests do"
)]

mod desk;
mod late;
mod neighbour;
mod purge;
mod stop;
mod tenancy;
