//! One service in the journal, and when its after step is due.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::Not;
use std::path::PathBuf;
use std::time::Duration;

use common::moment::boot_id;
use serde::{Deserialize, Serialize};

use crate::name;

/// A service whose prepare step has started and whose after step has to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(with = "name")]
    pub(crate) service: OsString,
    #[serde(with = "name")]
    pub(crate) folder: PathBuf,
    /// The folders below that one in which its dumps are made, if there are any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) dumps: BTreeSet<PathBuf>,
    pub(crate) run: String,
    /// The boot in which that was, or in which the after step was last tried.
    pub(crate) boot: String,
    /// The session that its script belongs to, if that is known. It is 0 in a PID namespace whose sessions were
    /// all started outside of it (pid_namespaces(7)), such as a container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<i32>,
    /// The backups that it is prepared for. Its after step runs when the last of them is over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) keys: BTreeSet<String>,
    /// When the prepare step began, in seconds since 1970.
    // tidy: an older version reads this name only; the next one writes `started`
    #[serde(rename = "begun", alias = "started")]
    pub(crate) started: i64,
    /// When the after step has to run even if no one asks for it, in seconds since 1970.
    pub(crate) due: i64,
    /// There was an after script when it began: that there is none now is odd.
    #[serde(rename = "after", default, skip_serializing_if = "Not::not")]
    pub(crate) has_after: bool,
    /// Its prepare step has done well.
    #[serde(rename = "prepared", default, skip_serializing_if = "Not::not")]
    pub(crate) is_prepared: bool,
    /// How often the after step has failed.
    #[serde(default)]
    pub(crate) failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// Between the first failure of an after step and the next try; doubled with each failure.
const FIRST_RETRY: Duration = Duration::from_secs(15 * 60);

/// A clock is corrected by seconds, not by hours.
const CLOCK_MAY_DIFFER: i64 = 3600;

impl Entry {
    /// Whether the after step has to run now without being asked for.
    pub(crate) fn is_due(&self, now: i64, boot: &str) -> bool {
        now >= self.due_by(now, boot)
    }

    /// When that will be: its deadline, but long ago if the host has booted since, or if the clock was set back so far
    /// that the time that is over is not known.
    pub(crate) fn due_by(&self, now: i64, boot: &str) -> i64 {
        let is_known = self.boot == boot && !boot.is_empty() && self.started <= now + CLOCK_MAY_DIFFER;
        if is_known { self.due } else { 0 }
    }

    /// A failure puts the next try off, a little more each time, but never past twelve hours. No backup holds the
    /// service any more.
    pub(super) fn fail(&mut self, why: &str, now: i64) {
        let wait = FIRST_RETRY.as_secs() << self.failures.min(6);
        self.failures += 1;
        self.why = Some(why.to_string());
        self.keys.clear();
        self.boot = boot_id().to_string();
        self.started = self.started.min(now);
        self.due = now + i64::try_from(wait.min(12 * 3600)).unwrap_or(0);
    }
}
