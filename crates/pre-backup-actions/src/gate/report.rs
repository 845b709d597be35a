//! What the gate reports: faults, doubts, and how much was proved. Text for people, types for decisions.

use std::path::{Path, PathBuf};

use common::text::escape_path;
use serde::Serialize;

use super::formats::{Flaw, Proved};
use crate::declare::Kind;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    pub(crate) dump: String,
    /// Its size; of several that one declaration names, all together.
    pub(crate) bytes: u64,
    pub(crate) before: Option<u64>,
    /// It has lost more than it may, and no person has accepted that.
    #[serde(skip)]
    pub(crate) has_shrunk: bool,
    pub(crate) proof: Proof,
}

/// How much is proved about a dump, the least of its files; later ones are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Proof {
    /// It is whole for its kind.
    Whole,
    /// Not everything could be checked.
    Partly,
    /// Nothing about what is in it.
    Unproved,
    /// It is not a good dump.
    Failed,
}

/// One thing that is wrong or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In a few words, for the summary.
    pub(crate) short: String,
    /// Which dump, what was expected, what was seen.
    pub(crate) detail: String,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) seen: Vec<Seen>,
    pub(crate) faults: Vec<Fault>,
    /// Dumps that are much smaller than the last good one.
    pub(crate) shrunk: Vec<Fault>,
    /// Dumps about whose content nothing is known.
    pub(crate) unproved: Vec<Fault>,
    /// Files that are not declared and not good.
    pub(crate) doubts: Vec<Fault>,
    /// What could not be proved in full.
    pub(crate) warnings: Vec<String>,
    /// What is worth knowing although nothing is wrong.
    pub(crate) notes: Vec<String>,
    /// Where the dumps lie now.
    pub(crate) files: Vec<PathBuf>,
}

impl Report {
    /// Takes in what was proved about the dump at `path`.
    pub(super) fn add(&mut self, proved: Proved, path: &Path) -> Proof {
        let path = escape_path(path);
        match proved {
            Proved::Whole => Proof::Whole,
            Proved::Partly(why) => {
                self.warnings.push(format!("{path}: {why}"));
                Proof::Partly
            }
            Proved::Nothing { short, why } => {
                self.unproved.push(Fault { short: short.into(), detail: format!("{path}: {why}") });
                Proof::Unproved
            }
        }
    }
}

/// `path: expected …, but …`.
pub(super) fn fault(short: &str, path: &Path, expected: &str, saw: &str) -> Fault {
    Fault { short: short.into(), detail: format!("{}: expected {expected}, but {saw}", escape_path(path)) }
}

impl Flaw {
    /// The flaw of the dump at `path`, which was declared as `kind`.
    pub(super) fn into_fault(self, path: &Path, kind: Option<Kind>) -> Fault {
        match self {
            Flaw::Empty => fault("dump is empty", path, "a dump", "there is nothing in it"),
            Flaw::Damaged(why) => {
                let declared = kind.map(|kind| format!(" (kind={})", kind.word())).unwrap_or_default();
                fault("dump is damaged", path, &format!("a whole dump{declared}"), &why)
            }
            Flaw::Unreadable(why) => fault("dump can't be read", path, "to read it", &why),
            Flaw::OutOfTime(limit) => {
                let limit = humantime::format_duration(limit);
                let expected = format!("to check it within its script's time limit ({limit})");
                fault("dump was not checked in time", path, &expected, "that was not enough")
            }
            Flaw::Interrupted => fault("interrupted", path, "to check it", "that was interrupted"),
        }
    }
}
