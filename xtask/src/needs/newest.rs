//! The newest programs that Debian has, from trixie, if the machine's own are older: a restic whose exclude files have
//! to mean the same, and `docker compose` as a plugin of the client `docker`, which `prepare-backup.sh` calls.
//!
//! Before trixie the package docker-compose holds a program of its own and no plugin. Each program is unpacked below the
//! target folder. On a machine without Debian sources `RESTIC_NEWEST` names a restic to take instead, and the plugin
//! belongs into one of Docker's folders.

use std::env;
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
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];
const PLUGIN: &str = "docker-compose";

/// The path of the newest restic, installed first if it is missing.
pub(crate) fn newest_restic(target: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let hint = "set RESTIC_NEWEST to the path of a restic of version 0.18 or newer";
    if let Some(given) = env::var_os("RESTIC_NEWEST").filter(|path| !path.is_empty()).map(PathBuf::from) {
        version(&given).hint(hint)?;
        return Ok(given);
    }
    unpacked(target, "restic", "usr/bin/restic", hint, cancel)
}

/// The path of the Compose plugin, installed first if it is missing.
pub(crate) fn compose_plugin(target: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let installed = PLUGIN_FOLDERS.iter().map(|folder| Path::new(folder).join(PLUGIN));
    if let Some(plugin) = installed.into_iter().find(|plugin| version(plugin).is_ok()) {
        return Ok(plugin);
    }
    let hint = "install Docker's Compose plugin for all users";
    unpacked(target, PLUGIN, "usr/libexec/docker/cli-plugins/docker-compose", hint, cancel)
}

/// The program at `inside` in trixie's `package`, unpacked first if it is missing.
fn unpacked(
    target: &Path,
    package: &str,
    inside: &str,
    hint: &'static str,
    cancel: &Cancel,
) -> Result<PathBuf> {
    let folder = target.join(format!("tools/{package}-trixie"));
    let program = folder.join(inside);
    if version(&program).is_err() {
        out!("Fetching Debian's newest {package}");
        let fetched = trixie::fetch(target, package, &folder, cancel).and_then(|()| version(&program));
        fetched.with_context(|| format!("fetch the newest {package}")).hint(hint)?;
    }
    Ok(program)
}

fn version(program: &Path) -> Result<()> {
    let limits = Limits::within(Duration::from_secs(30));
    process::capture(Command::new(program).arg("version"), b"", limits, None)?.success()?;
    Ok(())
}
