//! The functions by name, and how they are built for this machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::place::{project_directory, target_directory};

/// The functions of the template. The package, the binary and the folder below `functions/` have the same name.
pub const FUNCTIONS: [&str; 10] = [
    "oauth-callback",
    "console",
    "poller",
    "full-sync",
    "worker-accounts",
    "worker-contacts",
    "worker-tasks",
    "worker-deals",
    "worker-users",
    "writeback",
];

/// The queues of the template.
pub const QUEUES: [&str; 6] = [
    "accounts",
    "contacts",
    "tasks",
    "deals",
    "users",
    "writeback",
];

/// Builds the functions for development and returns the folder with their binaries.
///
/// # Errors
/// When cargo fails; its output goes to standard error.
pub fn build_functions() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The features of a shared dependency are the sum over everything that is built together. With the whole workspace and one of its
    // tests in the selection the sum is that of `cargo test`, so that the AWS SDKs are not built a second time.
    command
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bins",
            "--test",
            "template",
        ])
        .current_dir(project_directory());
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the functions could not be built");
    }
    Ok(target_directory().join("debug"))
}

/// `worker-accounts` is `WorkerAccounts` in the template.
pub(crate) fn logical_name(name: &str) -> String {
    name.split('-').fold(String::new(), |mut whole, part| {
        let mut letters = part.chars();
        whole.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        whole.push_str(letters.as_str());
        whole
    })
}
