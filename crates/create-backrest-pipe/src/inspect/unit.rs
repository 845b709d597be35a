//! The systemd user unit of the listener: its file, whether it is enabled, and whether it is what runs the listener.
//!
//! What a reader gets wrong: a user's service manager runs only where systemd runs the machine and the user has logged
//! in or lingers. Whether it answers is asked only where that matters, because the question takes a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::lock::Holder;
use common::process::{self, Limits};
use common::text::escape_path;

use super::entry::{self, Kind};
use crate::places::UNIT;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) text: Option<String>,
    /// The user's service manager answers; false where it was not asked.
    pub(crate) has_manager: bool,
    /// It is started when the user's service manager starts.
    pub(crate) is_enabled: bool,
    pub(crate) runs_listener: bool,
    /// The user's service manager starts with the machine and not only with a login; `None` if that is not known.
    pub(crate) lingers: Option<bool>,
    /// Folders that have to be made for the file, outermost first.
    pub(crate) missing_folders: Vec<PathBuf>,
}

/// Looks at the unit file `path`; asks the service manager where there is one or where `is_wanted`.
pub(crate) fn look(path: &Path, listener: Option<&Holder>, is_wanted: bool) -> Result<Unit> {
    let text = match entry::look(path)?.kind {
        Kind::Missing => None,
        _ => {
            let text = fs::read(path).with_context(|| format!("read: {}", escape_path(path)))?;
            Some(String::from_utf8_lossy(&text).into_owned())
        }
    };
    let link = path.with_file_name("default.target.wants").join(UNIT);
    let mut missing_folders: Vec<_> =
        path.ancestors().skip(1).take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect();
    missing_folders.reverse();
    Ok(Unit {
        has_manager: (is_wanted || text.is_some()) && has_manager(),
        text,
        is_enabled: fs::symlink_metadata(link).is_ok(),
        runs_listener: runs(listener),
        lingers: lingers(),
        missing_folders,
    })
}

fn has_manager() -> bool {
    let limits = Limits::within(Duration::from_secs(20));
    let mut command = Command::new("systemctl");
    process::capture(command.args(["--user", "show-environment"]), b"", limits, None)
        .is_ok_and(|asked| asked.end.is_success())
}

fn runs(listener: Option<&Holder>) -> bool {
    let Some(process) = listener.and_then(|holder| holder.process) else { return false };
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    groups.lines().any(|line| line.rsplit('/').next() == Some(UNIT))
}

/// `loginctl enable-linger` leaves a file of the user's name there (systemd-logind.service(8)).
fn lingers() -> Option<bool> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??;
    Some(Path::new("/var/lib/systemd/linger").join(user.name).exists())
}
