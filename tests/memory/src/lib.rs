//! Tandem's ports held in memory: for tests only, deterministic, and under the same contract as the real adapters.
//!
//! [`World`] puts them together. Everything that a test sees through [`World::ports`] goes through [`Faults`], which can fail or cut
//! off any call before, midway through or after its effect.

mod clock;
mod entropy;
pub mod fault;
mod faulty;
mod fields;
mod interleave;
pub mod layer;
mod lock;
mod nobody;
mod queue;
mod rows_zoho;
mod scripted_zoho;
mod simulated;
pub mod store;
mod vault;
mod world;

pub use clock::ManualClock;
pub use entropy::SeededEntropy;
pub use fault::{Call, Crashed, Failure, Fault, Faults, When};
pub use faulty::Faulty;
pub use fields::{field, usual_fields};
pub use interleave::interleave;
pub use nobody::Nobody;
pub use queue::{Held, Line, MemoryQueue};
pub use rows_zoho::RowsZoho;
pub use scripted_zoho::{Granting, ScriptedZoho};
pub use simulated::SimulatedZoho;
pub use store::{MadeLinks, MemoryStore, Writes};
pub use vault::MemoryVault;
pub use world::World;
