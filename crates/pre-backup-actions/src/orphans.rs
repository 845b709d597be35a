//! Scripts of a run that was killed: they run on, and could stop a service after it was brought back.
//!
//! They are known by what every script of ours has in its environment, the run and the service. What a reader would
//! get wrong: a daemon that a script started on purpose inherits that as well; it made a session of its own, so only
//! processes of the run's session are ended.

use std::ffi::OsStr;
use std::fs;
use std::time::{Duration, Instant};

use common::proc_stat;
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
    // The end of a process that is not our child is not reported.
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
    let own = getpgrp();
    let mut groups: Vec<Pid> = proc_stat::all()
        .into_iter()
        // What has ended and was not waited for does nothing any more.
        .filter(|(_, process)| Some(process.session) == entry.session && !process.is_zombie)
        .filter(|(_, process)| process.group != own.as_raw())
        .filter(|(id, _)| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            is_of(&environment, &entry.run, &entry.service)
        })
        .map(|(_, process)| Pid::from_raw(process.group))
        .collect();
    groups.sort();
    groups.dedup();
    groups
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
    fn both_the_run_and_the_service_have_to_be_right() {
        let environment = b"HOME=/x\0BACKUP_RUN=r1\0SERVICE=app\0";
        assert!(is_of(environment, "r1", OsStr::new("app")));
        assert!(!is_of(environment, "r", OsStr::new("app")) && !is_of(environment, "r1", OsStr::new("ap")));
    }
}
