//! `pre-backup-actions --prove FOLDER --only SERVICE --json`: one [`Proof`]. Whether files that were read back from a
//! backup are the dumps that the service declares.

use serde::{Deserialize, Serialize};

/// The dumps of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Each declared dump.
    pub dumps: Vec<ProvedDump>,
}

/// One `# dump:` line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvedDump {
    /// As it is declared: a path or pattern below the script's folder; one that ends in `/` is a folder.
    pub dump: String,
    /// The files that it means.
    pub files: Vec<ProvedFile>,
    /// Why it is missing, or why the dumps are too small together.
    pub fault: Option<String>,
}

/// One file, or one folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvedFile {
    /// Its path below the folder that was given.
    pub path: String,
    /// Its size; of a folder, that of all files in it.
    pub bytes: u64,
    /// What was proved.
    pub outcome: ProofOutcome,
    /// What could not be proved, or what is wrong.
    pub why: Option<String>,
}

/// What was proved about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofOutcome {
    /// It is whole for its kind.
    Proved,
    /// Not everything about it, or nothing, could be checked.
    Unproved,
    /// It is not a good dump.
    Fault,
}
