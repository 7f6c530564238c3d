//! A Python environment of the project's own, from pinned requirements with hashes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

const PROBE: &str =
    "import sys, venv, ensurepip; sys.exit(0 if sys.version_info >= (3, 10) else 1)";

/// Installs `requirements` into `folder` unless that has been done already, and returns the folder.
///
/// Several processes may ask at the same time: one installs, the others wait.
pub(crate) fn prepare(folder: &Path, requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let wanted = hex::encode(Sha256::digest(&wanted));
    let parent = folder
        .parent()
        .context("the environment needs a folder of its own")?;
    fs::create_dir_all(parent)?;
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock().context("cannot lock the Python environment")?;
    let stamp = folder.join("requirements.sha256");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(folder.to_path_buf());
    }
    tracing::info!(folder = %folder.display(), "installing the emulator");
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    run(Command::new(interpreter()?)
        .args(["-m", "venv"])
        .arg(folder))?;
    // The file names every package there is, so there are no dependencies left to look up.
    run(Command::new(folder.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
            "--requirement",
        ])
        .arg(requirements))?;
    fs::write(&stamp, wanted)?;
    Ok(folder.to_path_buf())
}

fn interpreter() -> Result<&'static str> {
    for candidate in [
        "python3",
        "python3.14",
        "python3.13",
        "python3.12",
        "python3.11",
        "python3.10",
        "python",
    ] {
        let probe = Command::new(candidate).args(["-c", PROBE]).output();
        if probe.is_ok_and(|output| output.status.success()) {
            return Ok(candidate);
        }
    }
    bail!(
        "the AWS emulator needs Python 3.10 or newer with its venv module (on Debian: apt-get install python3-venv)"
    )
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
