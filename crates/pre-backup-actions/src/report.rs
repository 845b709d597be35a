//! What a run tells, while it goes on and at its end.
//!
//! Everything here is on standard output, where Backrest's hook shows it. The last line sums up and is short enough
//! for Uptime Kuma. Names and output were escaped before they come here.

mod json;
mod live;
mod plain;
mod summary;
mod table;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use common::text::escape_path;

pub(crate) use json::{print as print_json, print_outcomes};
pub(crate) use live::Live;
pub(crate) use plain::{Plain, Silent, say};
pub(crate) use summary::summary;
pub(crate) use table::table;

use crate::gate::Seen;
use crate::run::Ran;

/// Sees what happens while it happens.
pub(crate) trait Watcher: Sync {
    /// So many steps are to come.
    fn expect(&self, _steps: usize) {}
    /// A script of `service` starts.
    fn started(&self, service: &str);
    /// It said this.
    fn line(&self, service: &str, text: &str);
    /// A step is over.
    fn ended(&self, outcome: &Outcome);
    /// All steps are over.
    fn close(&self, _outcomes: &[Outcome]) {}
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All was well.
    Ok,
    /// Something was wrong, and the backup may go on.
    Warned(String),
    /// It failed, because of this.
    Failed(String),
    /// It was not started, because of this.
    NotRun(String),
}

/// What came of one service.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) service: OsString,
    pub(crate) verdict: Verdict,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// When its step began, in seconds since 1970.
    pub(crate) begun: i64,
    pub(crate) elapsed: Duration,
    pub(crate) log: Option<PathBuf>,
    pub(crate) last_line: Option<String>,
    /// The dumps that the gate saw.
    pub(crate) dumps: Vec<Seen>,
    /// Where they lie.
    pub(crate) files: Vec<PathBuf>,
    /// What is wrong or odd, one line each.
    pub(crate) details: Vec<String>,
    /// A warning that is none about the dumps themselves: they are good to be compared with.
    pub(crate) is_proved: bool,
}

impl Outcome {
    /// Of a service whose script did not run.
    pub(crate) fn new(service: &OsStr, verdict: Verdict) -> Outcome {
        let service = service.to_os_string();
        Outcome {
            service,
            verdict,
            hint: None,
            begun: 0,
            elapsed: Duration::ZERO,
            log: None,
            last_line: None,
            dumps: Vec::new(),
            files: Vec::new(),
            details: Vec::new(),
            is_proved: false,
        }
    }

    /// Of one whose script ran.
    pub(crate) fn of(service: &OsStr, ran: Ran) -> Outcome {
        let verdict = ran.failure.map_or(Verdict::Ok, Verdict::Failed);
        Outcome {
            elapsed: ran.elapsed,
            log: Some(ran.log),
            last_line: ran.last_line,
            ..Outcome::new(service, verdict)
        }
    }

    /// The service's name, safe to show.
    pub(crate) fn shown(&self) -> String {
        escape_path(&self.service)
    }

    /// What failed becomes a warning: the script says that the backup may start all the same.
    pub(crate) fn allow_failure(&mut self) {
        if let Verdict::Failed(why) = &self.verdict {
            self.verdict = Verdict::Warned(why.clone());
        }
    }

    /// Whether its dumps are good to be compared with.
    pub(crate) fn is_good(&self) -> bool {
        self.verdict == Verdict::Ok || (self.is_proved && matches!(self.verdict, Verdict::Warned(_)))
    }

    /// Whether the run as a whole fails because of it.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_) | Verdict::NotRun(_))
    }
}
