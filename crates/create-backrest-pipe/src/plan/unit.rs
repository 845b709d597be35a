//! The text of the systemd user unit, and the steps that bring it in or take it away.
//!
//! What a reader gets wrong: a user's service manager can't use what needs other rights (mount namespaces, for one),
//! and the listener runs the user's own scripts, which dump databases and talk to Docker. So the unit forbids what
//! none of these needs, and leaves them the files and the network.

use std::ffi::OsString;

use common::text::escape;

use super::{Complaint, Plan, Step};
use crate::inspect::Facts;
use crate::inspect::listener::Listener;
use crate::inspect::unit::UNIT;
use crate::places::Places;

/// The first line; a unit file without it is somebody else's.
pub(crate) const MARK: &str =
    "# Made by create-backrest-pipe, which replaces it; own settings go into a drop-in:";

/// The unit that runs `command`. Fails where the command can't stand in a unit file.
pub(crate) fn render(command: &[OsString]) -> Result<String, &'static str> {
    let words: Result<Vec<_>, _> = command.iter().map(|word| quote(word)).collect();
    Ok(format!(
        "{MARK}
# systemctl --user edit {UNIT}
[Unit]
Description=The host's end of the bridge to Backrest
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
Restart=always
RestartSec=5
# It ends the action that runs by itself, within its own grace. What keeps the FIFO open has to outlive it, and so has
# a prepare step when it crashes: either would take what was accepted, or half a dump, with it.
KillMode=process
TimeoutStopSec=90

# What a script makes (modes, set-group-ID folders that are copied) is what it would make under cron or in a shell.
# None of this lets a script use sudo, or Podman without root. Where one has to, a drop-in with all of these lines
# takes it back:
# NoNewPrivileges=no
# LockPersonality=no
# RestrictNamespaces=no
# RestrictRealtime=no
# RestrictAddressFamilies=
# SystemCallArchitectures=
# SystemCallFilter=
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
",
        command = words?.join(" ")
    ))
}

/// A word as systemd.service(5) reads it: quoted, with `%` and `$` doubled.
fn quote(word: &OsString) -> Result<String, &'static str> {
    let word = word.to_str().ok_or("a path holds bytes that are no UTF-8, which a unit file can't")?;
    if word.contains(|c: char| c.is_control()) {
        return Err("a path holds a control character, which a unit file can't");
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = escaped == word && !word.contains([' ', '\'', ';']);
    Ok(if is_plain { escaped } else { format!("\"{escaped}\"") })
}

/// Lets systemd run the listener.
pub(super) fn bring_in(facts: &Facts, places: &Places, plan: &mut Plan) {
    let wanted = match render(&places.listener) {
        Ok(wanted) => wanted,
        Err(why) => {
            let hint = "choose a path without it, or --supervisor cron";
            plan.complaints.push(Complaint::failure(format!("write the systemd unit: {why}"), hint));
            return;
        }
    };
    let is_written = facts.unit.text.as_ref() == Some(&wanted);
    if !is_written {
        let folders = facts.unit.missing_folders.iter().cloned();
        plan.steps.extend(folders.map(|path| Step::MakeFolder { path, mode: 0o700 }));
        plan.steps.push(Step::WriteUnit { path: places.unit.clone(), text: wanted });
        plan.steps.push(Step::Systemctl(&["daemon-reload"]));
    }
    if !facts.unit.is_enabled {
        plan.steps.push(Step::Systemctl(&["enable", "--quiet", UNIT]));
    }
    let is_running = facts.listener != Listener::Stopped;
    if is_running && !facts.unit.runs_listener {
        let (lock, listener) = (places.listener_lock.clone(), facts.listener.clone());
        plan.steps.push(Step::StopListener { lock, listener });
    }
    if !is_written || !is_running || !facts.unit.runs_listener || facts.has_to_restart() {
        plan.steps.push(Step::Systemctl(&["restart", UNIT]));
        plan.steps
            .push(Step::AwaitListener { lock: places.listener_lock.clone(), before: facts.listener.clone() });
    }
    if facts.unit.lingers == Some(false) {
        plan.complaints.push(Complaint::warning(
            "systemd starts the listener when you log in, not when the machine starts",
            "let it start with the machine: loginctl enable-linger",
        ));
    }
}

/// Takes the unit away if it is ours, and says whether it was there.
pub(super) fn take_away(facts: &Facts, places: &Places, plan: &mut Plan) -> bool {
    if !facts.unit.text.as_ref().is_some_and(|text| text.starts_with(MARK)) {
        return false;
    }
    if facts.unit.has_manager {
        plan.steps.push(Step::Systemctl(&["disable", "--quiet", "--now", UNIT]));
    } else if facts.unit.is_enabled {
        plan.steps
            .push(Step::RemoveFile { path: places.unit.with_file_name("default.target.wants").join(UNIT) });
    }
    plan.steps.push(Step::RemoveFile { path: places.unit.clone() });
    if facts.unit.has_manager {
        plan.steps.push(Step::Systemctl(&["daemon-reload"]));
    }
    true
}

/// What stands in the way of the unit.
pub(super) fn refuse(facts: &Facts, places: &Places) -> Option<Complaint> {
    if !facts.unit.has_manager {
        return Some(Complaint::failure(
            "let systemd run the listener: systemctl --user does not reach a service manager of yours",
            "log in as yourself (not with su or sudo), or choose --supervisor cron",
        ));
    }
    let text = facts.unit.text.as_ref()?;
    let path = escape(places.unit.as_os_str().as_encoded_bytes());
    (!text.starts_with(MARK)).then(|| {
        Complaint::failure(
            format!("write the systemd unit: {path}: there is one that create-backrest-pipe has not made"),
            format!("look at it, then move it away: mv {path} {path}.old"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_says_all_that_it_forbids() {
        let command = ["/home/me/.local/bin/pipe-listener", "--container-dir", "/home/me/a b/100%/$x"];
        insta::assert_snapshot!(render(&command.map(OsString::from)).unwrap());
        assert!(render(&["/a\nb".into()]).is_err());
    }
}
