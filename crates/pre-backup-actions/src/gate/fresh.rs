//! Whether a dump was made by the script that has just run: no earlier than the script, and not what lay there before.
//!
//! What a reader would get wrong: our own clock says nothing about it. A dump may lie on another machine's disk, whose
//! clock is another one, so the script's start is what that disk stamped on `$DUMP_DIR` when it was made. A time stamp
//! alone is no proof either: after the clock was once wrong, an old dump is newer than everything for years.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// What changes when a file is written to or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    place: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    pub(super) fn of(metadata: &Metadata) -> Fingerprint {
        Fingerprint {
            place: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// FAT keeps every other second.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

/// The moment before a script starts, and what lies there then.
#[derive(Debug)]
pub(crate) struct Start {
    /// By the clock of the disk.
    stamp: SystemTime,
    /// By ours.
    wall: SystemTime,
    steady: Instant,
    before: BTreeMap<PathBuf, Fingerprint>,
}

impl Start {
    /// Now, with the files at `paths` below `folder`; `made` is a folder that was made just now.
    pub(super) fn now(folder: &Path, paths: impl Iterator<Item = PathBuf>, made: Option<&Path>) -> Start {
        let wall = SystemTime::now();
        let stamp = made.and_then(|made| fs::symlink_metadata(made).ok()?.modified().ok());
        let mut before = BTreeMap::new();
        for path in paths {
            if let Ok(metadata) = fs::symlink_metadata(folder.join(&path)) {
                before.insert(path, Fingerprint::of(&metadata));
            }
        }
        Start { stamp: stamp.unwrap_or(wall), wall, steady: Instant::now(), before }
    }

    /// Whether the file that is at `path` below the service's folder is the very one that was there before. Where time
    /// stamps are whole seconds, one written just before looks like one written just now.
    pub(super) fn was_there(&self, path: &Path, metadata: &Metadata) -> bool {
        let since = metadata.modified().ok().and_then(|modified| self.stamp.duration_since(modified).ok());
        let is_in_doubt = metadata.mtime_nsec() == 0 && since.is_some_and(|since| since <= WHOLE_SECONDS);
        !is_in_doubt && self.before.get(path) == Some(&Fingerprint::of(metadata))
    }

    /// Whether a file was written since. The kernel stamps files with the time of its last tick, and some file systems
    /// and programs keep whole seconds only.
    pub(super) fn is_since(&self, metadata: &Metadata) -> bool {
        let slack = if metadata.mtime_nsec() == 0 { WHOLE_SECONDS } else { Duration::from_millis(20) };
        let slack = slack + self.set_back(SystemTime::now());
        metadata.modified().is_ok_and(|modified| modified + slack >= self.stamp)
    }

    /// By how much the clock was set back meanwhile.
    fn set_back(&self, now: SystemTime) -> Duration {
        (self.wall + self.steady.elapsed()).duration_since(now).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_makes_no_dump_old() {
        let (wall, steady) = (SystemTime::now(), Instant::now());
        let start = Start { stamp: wall, wall, steady, before: BTreeMap::new() };
        assert_eq!(start.set_back(wall + Duration::from_secs(60)), Duration::ZERO);
        let an_hour = Duration::from_secs(3600);
        assert!(start.set_back(wall - an_hour) >= an_hour);
    }
}
