//! Whether Backrest was restarted: then the backup that was running is over, and no hook will report that.
//!
//! Docker is asked for the containers that mount the bridge folder and when they started. If Docker can't be asked, or
//! no such container runs, nothing is known.

use std::process::Command;
use std::time::Duration;

use common::paths;
use common::process::{self, Limits};
use common::text::escape_path;
use jiff::Timestamp;

use super::Runner;

/// Whether every container that mounts the bridge was started after `since`, in seconds since 1970.
pub(crate) fn restarted_since(runner: &Runner, since: i64) -> bool {
    let volume = format!("volume={}", escape_path(runner.settings.layout().bridge()));
    let Some(ids) = docker(&["ps", "--quiet", "--no-trunc", "--filter", &volume]) else {
        return false;
    };
    let ids: Vec<_> = ids.lines().map(str::trim).filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        return false;
    }
    let inspect = [&["inspect", "--format", "{{.State.StartedAt}}"], ids.as_slice()].concat();
    let Some(started) = docker(&inspect) else { return false };
    let mut times = started.lines().map(|line| line.trim().parse::<Timestamp>());
    started.lines().count() == ids.len() && times.all(|time| time.is_ok_and(|time| time.as_second() > since))
}

fn docker(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("docker");
    command.args(arguments).env("PATH", paths::search_path());
    let answer = process::capture(&mut command, b"", Limits::within(Duration::from_secs(30)), None);
    let answer = answer.and_then(process::Captured::success).ok()?;
    String::from_utf8(answer).ok()
}
