//! Whether a listener runs: it holds its lock as long as it lives, so the lock is asked, and given back at once.
//!
//! What a reader gets wrong: in the moment in which the lock is ours a listener that starts can't have it, and exits.
//! So it is not asked if the process that its text names is gone anyway, as after a reboot.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use common::lock::{self, Attempt, Holder};

/// Asks the lock at `path` which listener runs, if one does. Without a lock file none has ever run, and none is made.
pub(crate) fn look(path: &Path) -> Result<Option<Holder>> {
    let Ok(holder) = Holder::of(path) else { return Ok(None) };
    let is_gone = |process: i32| !Path::new("/proc").join(process.to_string()).exists();
    if holder.process.is_some_and(is_gone) {
        return Ok(None);
    }
    Ok(match lock::attempt(path)? {
        Attempt::Held(_) => None,
        Attempt::Busy(holder) => Some(holder),
    })
}

/// The program that `listener` runs, where it is not the one `installed` now; `None` also if that is not known. A
/// file that was replaced since ends in ` (deleted)` (proc(5)).
pub(crate) fn other_program(listener: Option<&Holder>, installed: &Path) -> Option<PathBuf> {
    let process = listener?.process?;
    let runs = fs::read_link(format!("/proc/{process}/exe")).ok()?;
    let installed = fs::canonicalize(installed).ok()?;
    (runs != installed).then_some(runs)
}
