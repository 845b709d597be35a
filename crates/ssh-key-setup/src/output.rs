//! What a run prints: lines for people as it goes, or one JSON object at the end.
//!
//! Warnings go to standard error in both cases; standard output holds the lines or the object, never both.

use common::text::{BAD, DIM, GOOD, WARN, escape, escape_path};
use serde::Serialize;

use crate::prove::Check;
use crate::ssh_folder::key::Key;

/// The form of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Nothing on standard output but the object.
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

    /// A check that was seen to hold.
    pub(crate) fn check(self, check: &Check) {
        self.line("proof", &format!("{GOOD}{}{GOOD:#}: {}", check.name, check.detail), "");
    }

    /// Text as it is.
    pub(crate) fn text(self, text: &str) {
        if !self.json {
            common::out!("{text}");
        }
    }

    /// Something to look at, which does not end the run.
    pub(crate) fn warn(self, text: &str) {
        common::note!("ssh-key-setup: {WARN}warning{WARN:#}: {text}");
    }

    /// An error of one host among several.
    pub(crate) fn error(self, error: &anyhow::Error) {
        common::note!("ssh-key-setup: {BAD}{}{BAD:#}", common::exit::one_line(error));
        if let Some(hint) = common::exit::hint_of(error) {
            common::note!("hint: {}", escape(hint.as_bytes()));
        }
    }
}

/// All of a run, for programs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Nothing failed.
    pub(crate) ok: bool,
    /// Where the folder lies.
    pub(crate) folder: String,
    /// The key's public line, if no host is set up yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<String>,
    /// One per host.
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

impl HostReport {
    /// Names the key that the host gets.
    pub(crate) fn name_key(&mut self, key: &Key) {
        self.key_file = escape_path(&key.path);
        self.key_fingerprint.clone_from(&key.fingerprint);
        self.key_made = key.made;
    }

    /// Prints it now and keeps it.
    pub(crate) fn warn(&mut self, output: Output, text: impl Into<String>) {
        let text = text.into();
        output.warn(&text);
        self.warnings.push(text);
    }
}
