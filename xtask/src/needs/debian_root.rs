//! A bare root of a Debian release below the target folder, made once by debootstrap.
//!
//! The packages come from the mirror that the machine's own apt uses, so no address is written down here.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::out;

use super::{apt, trixie};

/// The folder `name` of `tools`: a root of `release` with what every Debian has and `packages`.
pub(crate) fn debian_root(
    tools: &Path,
    name: &str,
    release: &str,
    packages: &[&str],
    cancel: &Cancel,
) -> Result<PathBuf> {
    let root = tools.join(name);
    if root.exists() {
        return Ok(root);
    }
    fs::create_dir_all(tools).context("make a folder for tools")?;
    out!("Making a bare root of Debian {release}");
    let part = tempfile::tempdir_in(tools).context("make a folder")?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.arg("--variant=minbase");
    if !packages.is_empty() {
        debootstrap.arg(format!("--include={}", packages.join(",")));
    }
    debootstrap.arg(release).arg(part.path()).arg(trixie::mirror()?);
    apt::run(&mut debootstrap, cancel)?;
    // An ordinary user in there has to get through.
    fs::set_permissions(part.path(), Permissions::from_mode(0o755)).context("open a root")?;
    fs::rename(part.path(), &root).context("put a root in place")?;
    Ok(root)
}
