//! `docker compose`, as a plugin of the client `docker`: what `prepare-backup.sh` calls.
//!
//! Debian has it from trixie on, in the package docker-compose, whose plugin goes to the folder for all users. Before
//! that the package holds a program of its own, `docker-compose`, and no plugin; then the newer package is unpacked
//! below the target folder. On a machine without Debian sources put the plugin into one of Docker's folders.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::HintExt;
use common::out;
use common::process::{self, Limits};

use super::trixie;

/// Where `docker` itself looks for plugins of all users.
const FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];
const NAME: &str = "docker-compose";
const HINT: &str = "install Docker's Compose plugin for all users";

/// The path of the plugin, installed first if it is missing.
pub(crate) fn compose_plugin(target: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let installed = FOLDERS.iter().map(|folder| Path::new(folder).join(NAME));
    if let Some(plugin) = installed.into_iter().find(|plugin| version(plugin).is_ok()) {
        return Ok(plugin);
    }
    let unpacked = target.join("tools/docker-compose-trixie");
    let plugin = unpacked.join("usr/libexec/docker/cli-plugins").join(NAME);
    if version(&plugin).is_err() {
        out!("Fetching the Compose plugin of Debian");
        trixie::fetch(target, NAME, &unpacked, cancel).context("fetch the Compose plugin").hint(HINT)?;
        version(&plugin).hint(HINT)?;
    }
    Ok(plugin)
}

fn version(plugin: &Path) -> Result<()> {
    let limits = Limits::within(Duration::from_secs(30));
    process::capture(Command::new(plugin).arg("version"), b"", limits, None)?.success()?;
    Ok(())
}
