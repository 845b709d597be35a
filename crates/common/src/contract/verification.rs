//! `create-backrest-pipe verify --json`: one [`Verification`]. The same is kept in
//! [`Layout::verification`](crate::layout::Layout::verification) for `status`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::regular_file;
use crate::text::escape_path;

/// How a verification of the last backup went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The plan; none if it did not get as far as that.
    pub plan: Option<String>,
    /// When it was over, in seconds since 1970.
    pub at: i64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// How it went.
    pub outcome: Outcome,
    /// Why it could not be carried out, if it could not.
    pub error: Option<String>,
    /// The snapshot that was compared.
    pub snapshot: Option<SnapshotInfo>,
    /// What was compared, by service, such as `data/immich`.
    pub services: BTreeMap<String, ServiceCounts>,
    /// How many of each kind of difference are explained.
    pub explained: BTreeMap<Reason, u64>,
    /// What is wrong; at most [`MOST_FAULTS`] of each kind and service.
    pub faults: Vec<Fault>,
    /// With this number the same sample is chosen from the same files.
    pub seed: u64,
    /// How many operations Backrest needed for the listing.
    pub operations: u64,
}

/// That many faults of one kind are listed for a service; all of them are counted.
pub const MOST_FAULTS: u64 = 5;

/// How a verification ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything is in the snapshot, or explained.
    Proved,
    /// Something is wrong with the backup.
    Wrong,
    /// It could not be carried out.
    #[default]
    Failed,
}

/// Which snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// restic's id.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub at: i64,
}

/// The numbers of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCounts {
    /// Files that the rules keep on the host.
    pub files: u64,
    /// Files of these that the snapshot holds as they are.
    pub in_snapshot: u64,
    /// Differences that are explained.
    pub explained: u64,
    /// Differences that are not.
    pub unexplained: u64,
    /// Declared dumps.
    pub dumps: u64,
    /// Dumps that were read back and are whole.
    pub dumps_proved: u64,
    /// Dumps that were read back, of a kind that can't be proved.
    pub dumps_unproved: u64,
    /// Files that were chosen for the sample.
    pub sample: u64,
    /// Files of these that were read back and are the host's.
    pub sample_same: u64,
}

/// Why a difference is not a fault of the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Made, or moved there, since the backup began; also after the ignore file was written.
    Made,
    /// Changed since the backup began.
    Changed,
    /// Removed since the backup began.
    Removed,
    /// A `.resticignore` above it changed since the backup began.
    Rules,
    /// The user of this tool may not look at it.
    Unreadable,
    /// It is on another file system than its root.
    OtherFileSystem,
    /// It is in a folder that a CACHEDIR.TAG marks.
    Cache,
    /// The plan's own excludes leave it out.
    Plan,
    /// The ignore file can't name all that the rules of its service leave out.
    Unbounded,
    /// It is a socket, which no backup holds.
    Socket,
}

impl Reason {
    /// For a person, after a number.
    pub fn words(self) -> &'static str {
        match self {
            Reason::Made => "made since",
            Reason::Changed => "changed since",
            Reason::Removed => "removed since",
            Reason::Rules => "in folders whose rules changed since",
            Reason::Unreadable => "that you may not read",
            Reason::OtherFileSystem => "on another file system",
            Reason::Cache => "in a cache folder (CACHEDIR.TAG)",
            Reason::Plan => "left out by the plan's own excludes",
            Reason::Unbounded => "beyond what the ignore file can name",
            Reason::Socket => "that are sockets",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The service, such as `data/immich`; none if it is about the whole backup.
    pub service: Option<String>,
    /// What kind of thing it is.
    pub kind: FaultKind,
    /// The path in the snapshot, or a dump as it is declared.
    pub path: Option<String>,
    /// What was seen, for a person.
    pub what: String,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The plan does not back up a root.
    RootNotCovered,
    /// The last backup failed, so the newest snapshot is older.
    LastBackupFailed,
    /// The rules keep the file, and the snapshot does not hold it.
    Missing,
    /// The snapshot holds it with another size, time or kind, and it did not change since.
    Different,
    /// The rules leave it out, and the snapshot holds it.
    TooMany,
    /// A folder of the snapshot can't be listed.
    NotListed,
    /// A dump is not in the snapshot.
    DumpMissing,
    /// The dump in the snapshot is of an earlier run.
    DumpOld,
    /// A dump that was read back is not whole, or not what lies on the host.
    DumpBroken,
    /// A dump could not be read back or checked here.
    DumpNotChecked,
    /// A file of the sample can't be read back in full.
    NotRestored,
    /// A file of the sample is not what lies on the host.
    Altered,
    /// A file of the sample was read back, but the file on the host can't be read.
    NotCompared,
}

impl Verification {
    /// The numbers of all services together.
    pub fn total(&self) -> ServiceCounts {
        self.services.values().fold(ServiceCounts::default(), |all, one| ServiceCounts {
            files: all.files + one.files,
            in_snapshot: all.in_snapshot + one.in_snapshot,
            explained: all.explained + one.explained,
            unexplained: all.unexplained + one.unexplained,
            dumps: all.dumps + one.dumps,
            dumps_proved: all.dumps_proved + one.dumps_proved,
            dumps_unproved: all.dumps_unproved + one.dumps_unproved,
            sample: all.sample + one.sample,
            sample_same: all.sample_same + one.sample_same,
        })
    }

    /// The verification that is kept at `path`; `None` if there was none.
    pub fn load(path: &Path) -> Result<Option<Verification>> {
        let naming = || format!("read the last verification: {}", escape_path(path));
        match regular_file::read(path, 16 << 20) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(naming)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(naming),
        }
    }
}
