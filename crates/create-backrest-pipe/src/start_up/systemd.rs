//! The systemd user unit that runs the listener, brought in or taken away.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use common::contract::status::Check;
use common::exit::HintExt;
use common::process::{self, Captured, Limits};
use common::text::{escape_path, word};

use super::unit_text::{MARK, render};
use crate::folder;
use crate::inspect::Facts;
use crate::inspect::entry;
use crate::listener;
use crate::places::{Places, UNIT};
use crate::work::{Verb, Work, failure, warning};

pub(crate) fn ensure(facts: &Facts, places: &Places, work: &mut Work) -> Result<()> {
    let wanted = match render(&places.listener) {
        Ok(wanted) => wanted,
        Err(why) => {
            let hint = "choose a path without it, or --supervisor cron";
            work.complaints.push(failure(format!("write the systemd unit: {why}"), hint));
            return Ok(());
        }
    };
    let is_written = facts.unit.text.as_ref() == Some(&wanted);
    if !is_written {
        for folder in &facts.unit.missing_folders {
            folder::make(&entry::look(folder)?, facts.user, 0o700, work)?;
        }
        work.step(Verb::WRITE, escape_path(&places.unit), || {
            common::atomic::write(&places.unit, wanted.as_bytes(), 0o644)?;
            Ok(())
        })?;
        systemctl(&["daemon-reload"], work)?;
    }
    if !facts.unit.is_enabled {
        systemctl(&["enable", "--quiet", UNIT], work)?;
    }
    let is_running = facts.listener.is_some();
    if is_running && !facts.unit.runs_listener {
        listener::ensure_stopped(facts, places, work)?;
    }
    if !is_written || !is_running || !facts.unit.runs_listener || facts.must_restart() {
        systemctl(&["restart", UNIT], work)?;
    }
    if facts.unit.lingers == Some(false) {
        work.complaints.push(warning(
            "systemd starts the listener when you log in, not when the machine starts",
            "let it start with the machine: loginctl enable-linger",
        ));
    }
    Ok(())
}

/// Takes the unit away if it is ours. Returns whether it was there.
pub(crate) fn take_away(facts: &Facts, places: &Places, work: &mut Work) -> Result<bool> {
    if !facts.unit.text.as_ref().is_some_and(|text| text.starts_with(MARK)) {
        return Ok(false);
    }
    if facts.unit.has_manager {
        systemctl(&["disable", "--quiet", "--now", UNIT], work)?;
    } else if facts.unit.is_enabled {
        let link = places.unit.with_file_name("default.target.wants").join(UNIT);
        work.remove(&link, || folder::remove_all(&link))?;
    }
    work.remove(&places.unit, || folder::remove_all(&places.unit))?;
    if facts.unit.has_manager {
        systemctl(&["daemon-reload"], work)?;
    }
    Ok(true)
}

pub(crate) fn refuse(facts: &Facts, places: &Places) -> Option<Check> {
    if !facts.unit.has_manager {
        return Some(failure(
            "let systemd run the listener: systemctl --user does not reach a service manager of yours",
            "log in as yourself (not with su or sudo), or choose --supervisor cron",
        ));
    }
    let text = facts.unit.text.as_ref()?;
    let path = escape_path(&places.unit);
    (!text.starts_with(MARK)).then(|| {
        failure(
            format!("write the systemd unit: {path}: there is one that create-backrest-pipe has not made"),
            format!("look at it, then move it away: mv {0} {0}.old", word(&places.unit)),
        )
    })
}

/// Asks the user's own service manager. A restart returns when the listener has reported that it is ready.
fn systemctl(arguments: &[&str], work: &mut Work) -> Result<()> {
    let words = arguments.join(" ");
    work.step(Verb::RUN, format!("systemctl --user {words}"), || {
        // Stopping waits for the unit's TimeoutStopSec.
        let limits = Limits::within(Duration::from_secs(120));
        let mut command = Command::new("systemctl");
        command.arg("--user").args(arguments);
        let done = process::capture(&mut command, b"", limits, None).and_then(Captured::success);
        done.map(drop).hint("see why: journalctl --user --unit pipe-listener")
    })
}
