//! Tandem on one machine: an AWS emulator, the very template that production uses deployed into it, and a look inside.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! use tandem_local::{DeployOptions, Emulator, EmulatorOptions, FrontDoor, Stack, build_functions};
//!
//! let binaries = build_functions()?;
//! let emulator = Emulator::start(EmulatorOptions::default()).await?;
//! let door = FrontDoor::open().await?;
//! let stack = Stack::deploy(&emulator, DeployOptions::new("story", binaries, door.url())).await?;
//! door.lead_to(&stack);
//! stack.invoke("poller", &serde_json::json!({})).await?;
//! stack.wait_until_idle(std::time::Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is installed outside the target folder, and no process outlives the one that started the emulator.

mod aws;
mod cloudformation;
mod console;
pub mod demo;
mod emulator;
mod front_door;
mod functions;
mod observe;
mod package;
mod place;
mod processes;
mod python;
mod relay;
mod scope;
mod stack;
mod turbulence;
mod world;

pub use aws::Client;
pub use console::{Answer, Console};
pub use emulator::{Emulator, EmulatorOptions};
pub use front_door::FrontDoor;
pub use functions::{FUNCTIONS, QUEUES, build_functions};
pub use observe::Depth;
pub use place::{project_directory, target_directory};
pub use scope::{InScope, in_scope};
pub use stack::{DeployOptions, OauthClient, Queue, Stack, Tables};
pub use turbulence::{Odds, Turbulence};
pub use world::{World, WorldOptions};
