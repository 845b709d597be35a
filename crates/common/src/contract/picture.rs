//! `state/ignore-picture.json`: what `build-ignore` saw at its last run, and what had changed since the run before.
//!
//! `build-ignore` writes and compares it; `pipe-listener` adds [`Picture::line`] to the push, `status` shows it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::contract::coverage::GapKind;
use crate::{regular_file, units};

/// The file is small; one that is larger is not ours.
const LARGEST: u64 = 64 << 20;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Every service that rules apply to, with its root, such as `data/immich`.
    pub services: BTreeMap<String, ServicePicture>,
    /// What was in no backup: kind and path of each gap.
    pub gaps: Vec<(GapKind, String)>,
    /// A fingerprint of all rules.
    pub rules: u64,
    /// The rules files to which `build-ignore` has added the rules for the tools' own folders.
    #[serde(default)]
    pub own_rules: Vec<String>,
    /// Dumps that rules leave out.
    #[serde(default)]
    pub dumps_left_out: Vec<String>,
    /// What changed with the last run.
    pub changes: Vec<PictureChange>,
}

/// One service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePicture {
    /// How many rules it has.
    pub rules: usize,
    /// Whether anything of it but rules and scripts is in the backup.
    pub keeps: bool,
}

/// Bytes of all files in the roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// All.
    pub total: u64,
    /// Those that rules leave out.
    pub left_out: u64,
}

/// One change that a person should hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureChange {
    /// The rules leave out everything in the service.
    KeepsNothing(String),
    /// The service has no rules any more.
    RulesVanished(String),
    /// The rules leave out a dump that a script declares or has just written.
    DumpLeftOut {
        /// Its path on the host.
        dump: String,
        /// The file of the rule, its line and its text.
        rule: String,
    },
    /// The rules leave out a fifth of all bytes more than the exclude file before.
    MuchLeftOut {
        /// Before.
        before: Bytes,
        /// Now.
        now: Bytes,
    },
    /// The rules have changed, but what they leave out takes too long to measure.
    NotMeasured,
}

impl Picture {
    /// Reads the file. `None` if it is missing or can't be read.
    pub fn load(path: &Path) -> Option<Picture> {
        serde_json::from_slice(&regular_file::read(path, LARGEST).ok()?).ok()
    }

    /// What changed, in one line. None if nothing did.
    pub fn line(&self) -> Option<String> {
        let changes: Vec<String> = self.changes.iter().take(3).map(PictureChange::text).collect();
        let more = self.changes.len() - changes.len();
        let more = if more > 0 { format!("; and {more} more changes") } else { String::new() };
        (!changes.is_empty()).then(|| changes.join("; ") + &more)
    }
}

impl PictureChange {
    fn text(&self) -> String {
        match self {
            PictureChange::KeepsNothing(service) => {
                format!("the rules leave out everything in {service} (rules and scripts aside)")
            }
            PictureChange::RulesVanished(service) => format!("{service} has no rules any more"),
            PictureChange::DumpLeftOut { dump, rule } => {
                format!("the rules leave out the dump {dump} ({rule})")
            }
            PictureChange::MuchLeftOut { before, now } => format!(
                "the rules leave out {} of {}; it was {} of {}",
                units::bytes(now.left_out),
                units::bytes(now.total),
                units::bytes(before.left_out),
                units::bytes(before.total)
            ),
            PictureChange::NotMeasured => {
                "how much more the changed rules leave out was not measured, because patterns with \
                                           ** would take too long; see build-ignore --report"
                    .into()
            }
        }
    }
}
