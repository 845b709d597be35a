//! The newest restic that Debian has (0.18, from trixie), beside the machine's own: the exclude files have to mean the
//! same to both.
//!
//! On a machine without Debian sources `RESTIC_NEWEST` names a restic to take instead.

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

const HINT: &str = "set RESTIC_NEWEST to the path of a restic of version 0.18 or newer";

/// The path of that restic, installed first if it is missing.
pub(crate) fn newest_restic(target: &Path, cancel: &Cancel) -> Result<PathBuf> {
    if let Some(given) = env::var_os("RESTIC_NEWEST").filter(|path| !path.is_empty()) {
        let given = PathBuf::from(given);
        version(&given).hint(HINT)?;
        return Ok(given);
    }
    let unpacked = target.join("tools/restic-trixie");
    let binary = unpacked.join("usr/bin/restic");
    if version(&binary).is_err() {
        out!("Fetching the newest restic of Debian");
        trixie::fetch(target, "restic", &unpacked, cancel).context("fetch the newest restic").hint(HINT)?;
        version(&binary).hint(HINT)?;
    }
    Ok(binary)
}

fn version(restic: &Path) -> Result<()> {
    let limits = Limits::within(Duration::from_secs(30));
    process::capture(Command::new(restic).arg("version"), b"", limits, None)?.success()?;
    Ok(())
}
