//! `pre-backup-actions --list --json`: one [`Services`]. Which services have scripts, and which of these would be
//! refused before the first backup.

use serde::{Deserialize, Serialize};

/// What `--list` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// Services with a script, sorted by name.
    pub services: Vec<Listed>,
    /// Folders of services that can't be looked into.
    pub unreadable: Vec<Unreadable>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub service: String,
    /// What runs before a backup.
    pub prepare: Option<Script>,
    /// What runs when the backup is over.
    pub after: Option<Script>,
}

/// A script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Where it is.
    pub path: String,
    /// The dumps that it declares.
    pub dumps: Vec<String>,
    /// Declarations that can't be read; such a script fails.
    pub problems: Vec<String>,
    /// Why it is never run; its service fails.
    pub refused: Option<String>,
    /// Why it is not run, although the service does not fail because of it.
    pub skipped: Option<String>,
    /// What is odd about it although it runs.
    pub warnings: Vec<String>,
    /// The command or change that helps against the reason before.
    pub hint: Option<String>,
}

/// A folder that can't be looked into, in which no run has seen a script: a service with one fails instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// The service's name.
    pub service: String,
    /// The folder.
    pub folder: String,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}
