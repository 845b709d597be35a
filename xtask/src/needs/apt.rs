//! apt-get, used with care: packages are installed without questions, without recommendations, and without starting
//! what they bring.
//!
//! A package's scripts ask `/usr/sbin/policy-rc.d` whether a service may be started (policy-rc.d is Debian's documented
//! interface); 101 forbids it. One that is there already stays; ours is removed again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::cancel::Cancel;
use common::text::escape_path;
use nix::unistd::Uid;

use super::find;
use crate::background;

const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_TEXT: &str =
    "#!/bin/sh\n# Put here by `cargo xtask` while it installs packages; may be removed.\nexit 101\n";

/// Whether packages can be installed: as root, with apt-get.
pub(crate) fn may_install() -> bool {
    Uid::effective().is_root() && find("apt-get").is_some()
}

/// What a person types to get `packages`.
pub(crate) fn command_to_type(packages: &[&str]) -> String {
    format!("sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Installs `packages`; if that fails, once more with fresh lists: there may be none, and old ones name files that have
/// gone.
pub(crate) fn install(packages: &[&str], cancel: &Cancel) -> Result<()> {
    let _policy = Policy::forbid_starts(Path::new(POLICY))?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(&arguments, cancel).or_else(|error| {
        // A step that was interrupted is not done once more.
        ensure!(!cancel.is_cancelled(), error);
        apt_get(&["update"], cancel)?;
        apt_get(&arguments, cancel)
    })
}

fn apt_get(arguments: &[&str], cancel: &Cancel) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
    run(&mut command, cancel)
}

/// Runs a program that fetches or installs something; what it printed is shown only if it fails.
pub(super) fn run(command: &mut Command, cancel: &Cancel) -> Result<()> {
    background::output_of(command, b"", Some(cancel)).map(drop)
}

/// The file that forbids starting services; removed when dropped.
struct Policy(PathBuf);

impl Policy {
    /// `None` if the machine has a policy of its own. One of ours that an interrupted run left is ours again.
    fn forbid_starts(path: &Path) -> Result<Option<Policy>> {
        if fs::read(path).is_ok_and(|text| text != POLICY_TEXT.as_bytes()) {
            return Ok(None);
        }
        let forbidding = || format!("forbid starting services: {}", escape_path(path));
        common::atomic::write(path, POLICY_TEXT.as_bytes(), 0o755).with_context(forbidding)?;
        Ok(Some(Policy(path.to_path_buf())))
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        // Left behind it would only be found again by the next run.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_forbidden_to_start_only_meanwhile_and_the_machines_own_policy_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy-rc.d");
        let policy = Policy::forbid_starts(&path).unwrap();
        assert_eq!(Command::new(&path).status().unwrap().code(), Some(101));
        drop(policy);
        assert!(!path.exists());
        fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        drop(Policy::forbid_starts(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nexit 0\n");
    }
}
