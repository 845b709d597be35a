//! A package of Debian trixie, unpacked beside what the machine itself has, and the archive that it comes from.
//!
//! Nothing of the machine's apt is touched: lists, cache and the unpacked package are in a folder of their own, so this
//! needs no root. Only the package itself is unpacked, so it has to be one that needs no more than the C library.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use common::cancel::Cancel;

use super::apt;
use crate::background;

const SUITE: &str = "trixie";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub(super) fn unpack(package: &str, folder: &Path, cancel: &Cancel) -> Result<()> {
    let own = tempfile::tempdir().context("make a temporary folder")?;
    for folder in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(own.path().join(folder)).context("make a folder for apt")?;
    }
    let source = format!("deb [signed-by={KEYS}] {} {SUITE} main\n", mirror()?);
    fs::write(own.path().join("sources.list"), source).context("write a list of sources")?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(&own).env("LC_ALL", "C.UTF-8").arg("-q");
        for option in [
            format!("Dir::State={}/state", own.path().display()),
            "Dir::State::status=/var/lib/dpkg/status".to_string(),
            format!("Dir::Cache={}/cache", own.path().display()),
            format!("Dir::Etc::sourcelist={}/sources.list", own.path().display()),
            "Dir::Etc::sourceparts=/dev/null".to_string(),
            "Dir::Etc::preferencesparts=/dev/null".to_string(),
            // As root apt would change to a user who may not write here.
            "APT::Sandbox::User=root".to_string(),
            "Acquire::Languages=none".to_string(),
        ] {
            command.args(["-o", &option]);
        }
        apt::run(command.args(arguments), cancel)
    };
    apt_get(&["update"])?;
    apt_get(&["download", &format!("{package}/{SUITE}")])?;
    let mut packages = fs::read_dir(&own)?.flatten().map(|entry| entry.path());
    let package = packages.find(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = package.context("apt-get download left no package")?;
    apt::run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(folder), cancel)
}

/// The address of the archive that the machine's apt has its own release from, so that none is written down here.
pub(super) fn mirror() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("read: /etc/os-release")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.context("/etc/os-release names no VERSION_CODENAME")?.trim_matches('"');
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]);
    let targets = background::output_of(&mut targets, b"", None)?;
    let is_own = format!(" {codename} main");
    let archive = targets.lines().find_map(|line| line.strip_suffix(&is_own));
    Ok(archive.with_context(|| format!("apt's sources name no archive of {codename}"))?.to_string())
}
