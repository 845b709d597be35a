//! Whether this host explains a difference.
//!
//! The backup began with its hooks at a known moment, and reads each file later. So what did not change since that
//! moment has to be in the snapshot as it is now, and anything else is explained by a time stamp: ctime, which the
//! kernel sets with every change and no program can set back. What a reader gets wrong: a path that is gone is explained
//! only if the folder that held it changed since.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use common::contract::verification::{FaultKind, Reason};
use common::moment::unix_seconds;
use common::services::RULES;
use common::text::escape;
use globset::GlobSet;

use super::entry::{EntryKind, SnapshotEntry};
use super::expected::{Root, is_below};
use super::local_time;

/// Another machine's clock may stamp the files, and FAT keeps every other second.
const SLACK: i64 = 2;
/// What marks a folder whose content restic leaves out with --exclude-caches.
const CACHE_TAG: (&str, &[u8]) = ("CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55");

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Explained(Reason),
    Unexplained(FaultKind, String),
}

pub(super) struct Host<'a> {
    roots: &'a [Root],
    /// When the backup began, in seconds since 1970.
    began: i64,
    excludes: &'a GlobSet,
    /// Whether a folder has a tag that makes it a cache, and whether its rules changed since.
    folders: RefCell<HashMap<PathBuf, Folder>>,
}

#[derive(Clone, Copy)]
struct Folder {
    is_cache: bool,
    has_new_rules: bool,
}

impl<'a> Host<'a> {
    pub(super) fn new(roots: &'a [Root], began: i64, excludes: &'a GlobSet) -> Host<'a> {
        Host { roots, began: began.div_euclid(1000) - SLACK, excludes, folders: RefCell::default() }
    }

    /// The root that a path of the snapshot lies in, and its path below it.
    pub(super) fn root_of<'p>(&self, path: &'p [u8]) -> Option<(&'a Root, &'p [u8])> {
        let root = self.roots.iter().find(|root| is_below(path, root.seen_at.as_bytes()))?;
        Some((root, &path[root.seen_at.len() + 1..]))
    }

    pub(super) fn path(&self, path: &[u8]) -> Option<PathBuf> {
        let (root, below) = self.root_of(path)?;
        Some(root.place.path.join(OsStr::from_bytes(below)))
    }

    /// The service of that path, such as `data/immich`.
    pub(super) fn service(&self, path: &[u8]) -> String {
        let Some((root, below)) = self.root_of(path) else { return String::new() };
        let mut names: Vec<&[u8]> =
            below.split(|byte| *byte == b'/').take(root.place.inner.len() + 2).collect();
        names.pop();
        root.place.service(&names)
    }

    /// The part of that path down to the first folder below its root, which may hold several services.
    pub(super) fn first_folder<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let below = self.root_of(path).map_or(path, |(_, below)| below);
        let end = below.iter().position(|byte| *byte == b'/').unwrap_or(below.len());
        &path[..path.len() - below.len() + end]
    }

    /// A path that the rules keep and the snapshot holds.
    pub(super) fn both(&self, path: &[u8], entry: &SnapshotEntry) -> Verdict {
        let Some(metadata) = self.path(path).and_then(|path| fs::symlink_metadata(path).ok()) else {
            return Verdict::Explained(Reason::Removed);
        };
        let is_file = entry.kind == EntryKind::File;
        let what = if entry.kind != kind(&metadata) {
            "it is another kind of file".into()
        } else if is_file && entry.size != metadata.len() {
            format!("it has {} bytes there and {} here", entry.size, metadata.len())
        } else if is_file && entry.modified != metadata.mtime() {
            format!(
                "it was changed {} there and {} here",
                local_time(entry.modified),
                local_time(metadata.mtime())
            )
        } else {
            return Verdict::Same;
        };
        match self.is_since(&metadata) {
            true => Verdict::Explained(Reason::Changed),
            false => Verdict::Unexplained(FaultKind::Different, what),
        }
    }

    /// A path that the rules keep and the snapshot does not hold.
    pub(super) fn missing(&self, path: &[u8]) -> Verdict {
        let Some((root, below)) = self.root_of(path) else { return Verdict::Explained(Reason::Removed) };
        let at = root.place.path.join(OsStr::from_bytes(below));
        let Ok(metadata) = fs::symlink_metadata(&at) else { return Verdict::Explained(Reason::Removed) };
        if metadata.file_type().is_socket() {
            return Verdict::Explained(Reason::Socket);
        }
        if self.is_since(&metadata) {
            return Verdict::Explained(Reason::Made);
        }
        let reason = self.of_folders(root, &at, true);
        match reason.or_else(|| self.excludes.is_match(escape(path)).then_some(Reason::Plan)) {
            Some(reason) => Verdict::Explained(reason),
            None => {
                let what = "the rules keep it, and the snapshot does not hold it";
                Verdict::Unexplained(FaultKind::Missing, what.into())
            }
        }
    }

    /// What the folders above a path explain, which is missing or in the snapshot against the rules.
    fn of_folders(&self, root: &Root, at: &Path, is_missing: bool) -> Option<Reason> {
        let device = fs::metadata(&root.place.path).map(|root| root.dev());
        let explained = |folder: &Path| {
            let metadata = fs::symlink_metadata(folder).ok()?;
            // A folder that was made since; or that was moved there since, which changes its ctime alone.
            let is_new = is_missing && metadata.created().is_ok_and(|time| unix_seconds(time) >= self.began);
            let is_moved = self.is_since(&metadata) && metadata.mtime() < self.began;
            let is_elsewhere = device.as_ref().is_ok_and(|device| metadata.dev() != *device);
            let known = self.folder(folder);
            if folder != root.place.path && (is_new || is_moved) {
                Some(Reason::Made)
            } else if is_missing && is_elsewhere {
                Some(Reason::OtherFileSystem)
            } else if is_missing && known.is_cache && at != folder.join(CACHE_TAG.0) {
                Some(Reason::Cache)
            } else {
                known.has_new_rules.then_some(Reason::Rules)
            }
        };
        at.ancestors().skip(1).take_while(|folder| folder.starts_with(&root.place.path)).find_map(explained)
    }

    /// A path that the snapshot holds and the rules don't keep.
    pub(super) fn extra(&self, path: &[u8]) -> Verdict {
        let Some((root, below)) = self.root_of(path) else { return Verdict::Explained(Reason::Removed) };
        let ends = || (0..below.len()).filter(|end| below[*end] == b'/').chain([below.len()]);
        if ends().any(|end| root.closed.contains(&below[..end])) || root.closed.contains(&b""[..]) {
            return Verdict::Explained(Reason::Unreadable);
        }
        if ends().any(|end| root.unbounded.contains(&below[..end])) || root.unbounded.contains(&b""[..]) {
            return Verdict::Explained(Reason::Unbounded);
        }
        let at = root.place.path.join(OsStr::from_bytes(below));
        match fs::symlink_metadata(&at) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Verdict::Explained(Reason::Unreadable);
            }
            Ok(metadata) if self.is_since(&metadata) => return Verdict::Explained(Reason::Made),
            Ok(_) => {}
            Err(_) => {
                // The nearest folder that is still there held it, or a folder above it.
                let held = at.ancestors().skip(1).find_map(|folder| fs::symlink_metadata(folder).ok());
                if held.is_none_or(|held| self.is_since(&held)) {
                    return Verdict::Explained(Reason::Removed);
                }
                let what = "the snapshot holds it, and it was not there when the backup began";
                return Verdict::Unexplained(FaultKind::TooMany, what.into());
            }
        }
        match self.of_folders(root, &at, false) {
            Some(reason) => Verdict::Explained(reason),
            None => {
                let what = "the rules leave it out, and the snapshot holds it";
                Verdict::Unexplained(FaultKind::TooMany, what.into())
            }
        }
    }

    /// Whether it changed since the backup began.
    pub(super) fn is_since(&self, metadata: &Metadata) -> bool {
        metadata.ctime() >= self.began || metadata.mtime() >= self.began
    }

    /// Whether a time, in seconds since 1970, is not before the backup.
    pub(super) fn is_of_the_backup(&self, modified: i64) -> bool {
        modified >= self.began
    }

    fn folder(&self, folder: &Path) -> Folder {
        let mut folders = self.folders.borrow_mut();
        // Bounded, for trees of millions of folders.
        if folders.len() > 10_000 {
            folders.clear();
        }
        *folders.entry(folder.to_path_buf()).or_insert_with(|| {
            let rules = fs::symlink_metadata(folder.join(RULES));
            let tag = common::regular_file::read(&folder.join(CACHE_TAG.0), 64 << 10);
            Folder {
                is_cache: tag.is_ok_and(|tag| tag.starts_with(CACHE_TAG.1)),
                has_new_rules: rules.is_ok_and(|rules| self.is_since(&rules)),
            }
        })
    }
}

fn kind(metadata: &Metadata) -> EntryKind {
    match metadata.file_type() {
        kind if kind.is_dir() => EntryKind::Folder,
        kind if kind.is_file() => EntryKind::File,
        _ => EntryKind::Other,
    }
}
