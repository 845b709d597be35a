//! What a run prints: lines for people as it goes, or one JSON object at the end.
//!
//! Warnings go to standard error in both cases; standard output holds the lines or the object, never both.

use common::text::{DIM, GOOD, WARN};
use serde::Serialize;

use crate::prove::Check;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// One line: label, result, and a dimmed note.
    pub(crate) fn line(self, label: &str, news: &str, aside: &str) {
        if self.json {
            return;
        }
        let aside = if aside.is_empty() { String::new() } else { format!(" {DIM}({aside}){DIM:#}") };
        common::out!("{label:<7} {news}{aside}");
    }

    pub(crate) fn check(self, check: &Check) {
        self.line("proof", &format!("{GOOD}{}{GOOD:#}: {}", check.name, check.detail), "");
    }

    pub(crate) fn text(self, text: &str) {
        if !self.json {
            common::out!("{text}");
        }
    }

    /// Something to look at, which does not end the run.
    pub(crate) fn warn(self, text: &str) {
        common::note!("ssh-key-setup: {WARN}warning{WARN:#}: {text}");
    }
}

/// All of a run, for programs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) ok: bool,
    pub(crate) folder: String,
    /// The key's public line, if no host is set up yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<String>,
    pub(crate) hosts: Vec<HostReport>,
}

/// One host of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct HostReport {
    pub(crate) alias: String,
    pub(crate) ok: bool,
    /// `me@nas.lan, port 2222`.
    pub(crate) server: String,
    pub(crate) jump_hosts: Vec<String>,
    pub(crate) key_file: String,
    pub(crate) key_fingerprint: String,
    pub(crate) key_made: bool,
    pub(crate) host_keys: Vec<String>,
    /// Something on the server or in the folder is another than before.
    pub(crate) changed: bool,
    pub(crate) restricted: bool,
    pub(crate) checks: Vec<Check>,
    pub(crate) free_bytes: Option<u64>,
    /// What to type as URI in Backrest.
    pub(crate) repository: String,
    /// The line for compose.yaml under volumes.
    pub(crate) mount: String,
    pub(crate) start_tailscale_first: bool,
    pub(crate) warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}
