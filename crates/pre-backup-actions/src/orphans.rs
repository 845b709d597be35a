//! Scripts of a run that was killed: they run on, and could stop a service after it was brought back.
//!
//! They are known by what every script of ours has in its environment, the run and the service. What a reader would
//! get wrong: a daemon that a script started on purpose inherits that as well; it made a session of its own, so only
//! processes of the run's session are ended.

use std::ffi::OsStr;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp, getsid};

use crate::journal::Entry;

/// From TERM to KILL.
const GRACE: Duration = Duration::from_secs(10);
/// How long what was sent KILL is waited for.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// Our session, which our scripts have too.
pub(crate) fn own_session() -> Option<i32> {
    getsid(None).ok().map(Pid::as_raw)
}

/// Ends what still runs of the step that `entry` is about; `true` where something did.
pub(crate) fn end(entry: &Entry) -> bool {
    if groups(entry).is_empty() {
        return false;
    }
    signal(entry, Signal::SIGTERM);
    if !gone_within(entry, GRACE) {
        signal(entry, Signal::SIGKILL);
        gone_within(entry, AFTER_KILL);
    }
    true
}

fn signal(entry: &Entry, signal: Signal) {
    for group in groups(entry) {
        // It may have ended since it was seen.
        let _ = killpg(group, signal);
        let _ = killpg(group, Signal::SIGCONT);
    }
}

fn gone_within(entry: &Entry, time: Duration) -> bool {
    let end = Instant::now() + time;
    // Nobody tells when a process ends that is not our child.
    while !groups(entry).is_empty() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// The process groups of the step.
fn groups(entry: &Entry) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return vec![] };
    let own = getpgrp();
    let mut groups: Vec<Pid> = processes
        .flatten()
        .filter(|process| process.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .filter_map(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            let (group, session) = group_and_session(&stat)?;
            if Some(session) != entry.session || group == own {
                return None;
            }
            let environment = fs::read(process.path().join("environ")).ok()?;
            is_of(&environment, &entry.run, &entry.service).then_some(group)
        })
        .collect();
    groups.sort();
    groups.dedup();
    groups
}

/// proc(5): after the name, which may hold anything, come the state, the parent, the group and the session.
fn group_and_session(stat: &str) -> Option<(Pid, i32)> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().take(4).collect();
    // What has ended and was not waited for does nothing any more.
    if fields.first() == Some(&"Z") {
        return None;
    }
    Some((Pid::from_raw(fields.get(2)?.parse().ok()?), fields.get(3)?.parse().ok()?))
}

fn is_of(environment: &[u8], run: &str, service: &OsStr) -> bool {
    let run = format!("BACKUP_RUN={run}");
    let service = [b"SERVICE=", service.as_encoded_bytes()].concat();
    let has = |wanted: &[u8]| environment.split(|&byte| byte == 0).any(|variable| variable == wanted);
    has(run.as_bytes()) && has(&service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "42 (a) Z (b) S 1 77 66 0 -1 4194304";
        assert_eq!(group_and_session(stat), Some((Pid::from_raw(77), 66)));
        assert_eq!(group_and_session("42 (gone) Z 1 77 66 0"), None);
        assert_eq!(group_and_session("nothing"), None);
    }

    #[test]
    fn both_the_run_and_the_service_have_to_be_right() {
        let environment = b"HOME=/x\0BACKUP_RUN=r1\0SERVICE=app\0";
        assert!(is_of(environment, "r1", OsStr::new("app")));
        assert!(!is_of(environment, "r", OsStr::new("app")) && !is_of(environment, "r1", OsStr::new("ap")));
    }
}
