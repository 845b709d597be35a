//! How a step went: a script's end, the gate's verdict on its dumps, and what a person should read about it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use common::exit::Exit;
use common::text::{BAD, GOOD, Style, WARN, escape_path};

use crate::gate::Seen;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All was well.
    #[default]
    Ok,
    /// Nothing was wrong, but about this dump nothing could be proved.
    Unproved(String),
    /// Something was wrong, and the backup may go on.
    Warned(String),
    /// It failed, because of this.
    Failed(String),
    /// It was not started, because of this.
    NotRun(String),
}

impl Verdict {
    /// In a word, with its colour.
    pub(crate) fn word(&self) -> (&'static str, Style) {
        match self {
            Verdict::Ok => ("ok", GOOD),
            Verdict::Unproved(_) => ("unproved", WARN),
            Verdict::Warned(_) => ("warning", WARN),
            Verdict::Failed(_) => ("failed", BAD),
            Verdict::NotRun(_) => ("not run", BAD),
        }
    }

    /// The reason, unless all was well.
    pub(crate) fn why(&self) -> Option<&String> {
        match self {
            Verdict::Ok => None,
            Verdict::Unproved(why) | Verdict::Warned(why) | Verdict::Failed(why) | Verdict::NotRun(why) => {
                Some(why)
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) service: OsString,
    pub(crate) verdict: Verdict,
    pub(crate) hint: Option<String>,
    /// When its step began, in seconds since 1970.
    pub(crate) started: i64,
    /// From the start of its script to the end of the checks of its dumps.
    pub(crate) elapsed: Duration,
    pub(crate) log: Option<PathBuf>,
    /// The last thing that its script printed.
    pub(crate) last_line: Option<String>,
    /// The dumps that the gate saw.
    pub(crate) dumps: Vec<Seen>,
    /// Where they lie.
    pub(crate) files: Vec<PathBuf>,
    /// What is wrong or odd, one line each.
    pub(crate) details: Vec<String>,
    /// The warning does not concern the dumps; later runs may compare with them.
    pub(crate) is_proved: bool,
}

impl Outcome {
    /// Of a service of which no more is known.
    pub(crate) fn new(service: &OsStr, verdict: Verdict) -> Outcome {
        Outcome { service: service.to_os_string(), verdict, ..Outcome::default() }
    }

    /// The service's name, safe to show.
    pub(crate) fn shown_name(&self) -> String {
        escape_path(&self.service)
    }

    /// A failure becomes a warning: the backup may start all the same.
    pub(crate) fn allow_failure(&mut self) {
        if let Verdict::Failed(why) = &self.verdict {
            self.verdict = Verdict::Warned(why.clone());
        }
    }

    /// Adds a warning, unless something worse is known already.
    pub(crate) fn warn(&mut self, why: &str) {
        match &mut self.verdict {
            Verdict::Ok | Verdict::Unproved(_) => {
                self.verdict = Verdict::Warned(why.to_string());
                self.is_proved = true;
            }
            Verdict::Warned(other) => other.push_str(&format!("; {why}")),
            Verdict::Failed(_) | Verdict::NotRun(_) => self.details.push(why.to_string()),
        }
    }

    /// Whether its dumps are good to be compared with.
    pub(crate) fn is_good(&self) -> bool {
        match self.verdict {
            Verdict::Ok | Verdict::Unproved(_) => true,
            Verdict::Warned(_) => self.is_proved,
            Verdict::Failed(_) | Verdict::NotRun(_) => false,
        }
    }

    /// Whether the run as a whole fails because of it.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_) | Verdict::NotRun(_))
    }
}

pub(crate) fn exit_of(outcomes: &[Outcome]) -> Exit {
    if outcomes.iter().any(Outcome::is_failure) { Exit::Failed } else { Exit::Done }
}
