//! `pre-backup-actions --journal --json`: one [`Journal`]. After steps that still have to run.

use serde::{Deserialize, Serialize};

/// What is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// In the order in which the prepare steps began.
    pub entries: Vec<OpenEntry>,
    /// When the first after step is due, in seconds since 1970; long ago if something is due now, `None` if nothing
    /// is open.
    pub next_due: Option<i64>,
}

/// A service whose after step has to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEntry {
    /// Its name.
    pub service: String,
    /// The keys of the backups that it is prepared for; empty for one without a key.
    #[serde(default)]
    pub keys: Vec<String>,
    /// When its prepare step began, in seconds since 1970.
    pub started: i64,
    /// The old name of `started`, for one version.
    // tidy: as above
    pub begun: i64,
    /// When its after step is due, likewise.
    pub due: i64,
    /// How often the after step has failed.
    pub failures: u32,
    /// Why it failed last.
    pub why: Option<String>,
}
