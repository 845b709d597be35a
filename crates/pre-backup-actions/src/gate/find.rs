//! Which files a declaration means: those in `$DUMP_DIR` if there are any, otherwise those in place that are new.
//!
//! Only folders whose depth the pattern can match are listed; no link is followed and nothing is read.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::WalkDir;

use super::fresh::Start;
use crate::declare::Dump;

/// A file, or a folder, that is a dump or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DumpFile {
    /// Where it belongs, below the service's folder.
    pub(crate) path: PathBuf,
    pub(crate) at: PathBuf,
    /// It lies in `$DUMP_DIR`.
    pub(crate) is_staged: bool,
}

/// Of a dump that is a folder, that many files are asked about.
const MOST_FILES: usize = 1000;

impl DumpFile {
    /// Its size: of a folder, that of all files in it.
    pub(super) fn bytes(&self) -> u64 {
        self.contents()
            .filter_map(|path| fs::symlink_metadata(path).ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// Of a folder, the file in it that was written last, with its path below the service's folder.
    pub(super) fn newest_inside(&self) -> Option<(Metadata, PathBuf)> {
        if !self.at.is_dir() {
            return None;
        }
        let files = self.contents().filter_map(|at| Some((fs::symlink_metadata(&at).ok()?, at)));
        let (metadata, at) = files.max_by_key(|(metadata, _)| metadata.modified().ok())?;
        let below = at.strip_prefix(&self.at).map(|below| self.path.join(below)).unwrap_or(at);
        Some((metadata, below))
    }

    /// The files that are backed up, once it is in its place in `folder`.
    pub(super) fn files_in_place(&self, folder: &Path) -> Vec<PathBuf> {
        let target = folder.join(&self.path);
        let files = match all_below(&target, usize::MAX) {
            Ok(files) if !files.is_empty() => files.into_iter().take(MOST_FILES).collect(),
            _ => vec![target],
        };
        files.iter().map(|file| real_place(folder, file.strip_prefix(folder).unwrap_or(file))).collect()
    }

    fn contents(&self) -> impl Iterator<Item = PathBuf> {
        match self.at.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {
                all_below(&self.at, usize::MAX).unwrap_or_default().into_iter()
            }
            _ => vec![self.at.clone()].into_iter(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) files: Vec<DumpFile>,
    /// When the newest was written of those that are there but too old.
    pub(super) newest_old: Option<SystemTime>,
}

/// The files that `dump` means, or why they can't be looked for.
pub(super) fn files(dump: &Dump, service: &Path, staging: &Path, start: &Start) -> Result<Files, String> {
    let staged = staged(dump, staging)?;
    if !staged.is_empty() {
        return Ok(Files { files: staged, newest_old: None });
    }
    if dump.is_folder() {
        let at = service.join(dump.path());
        let files = if fs::symlink_metadata(&at).is_ok() {
            vec![DumpFile { path: dump.path(), at, is_staged: false }]
        } else {
            vec![]
        };
        return Ok(Files { files, newest_old: None });
    }
    let mut found = Files::default();
    for path in in_place(dump, service, Some(staging))? {
        let at = service.join(&path);
        // Whatever it is, a plain path that exists is looked at closely later; of a pattern's files the old ones are
        // earlier dumps that are kept.
        let modified = fs::symlink_metadata(&at).map_err(|error| error.to_string())?;
        let is_old = start.was_there(&path, &modified) || !start.is_since(&modified);
        if dump.is_glob() && is_old {
            found.newest_old = found.newest_old.max(modified.modified().ok());
            continue;
        }
        found.files.push(DumpFile { path, at, is_staged: false });
    }
    Ok(found)
}

/// In `$DUMP_DIR` a dump lies under its whole path or under its bare name.
fn staged(dump: &Dump, staging: &Path) -> Result<Vec<DumpFile>, String> {
    if dump.is_folder() {
        let path = dump.path();
        let places = [staging.join(&path), staging.join(path.file_name().unwrap_or_default())];
        let at = places.into_iter().find(|place| fs::symlink_metadata(place).is_ok());
        return Ok(at.map(|at| DumpFile { path, at, is_staged: true }).into_iter().collect());
    }
    let mut found = Vec::new();
    for at in all_below(staging, usize::MAX)? {
        let below = at.strip_prefix(staging).unwrap_or(&at).to_path_buf();
        let path = if dump.names(&below) {
            below
        } else if below.components().count() == 1 && dump.names_bare(&below) {
            dump.path().parent().unwrap_or(Path::new("")).join(&below)
        } else {
            continue;
        };
        found.push(DumpFile { path, at, is_staged: true });
    }
    if let (true, false) = (found.is_empty(), dump.is_glob()) {
        // A folder of that name is not passed over: it is reported as one.
        let at = staging.join(dump.path().file_name().unwrap_or_default());
        if at.is_dir() {
            found.push(DumpFile { path: dump.path(), at, is_staged: true });
        }
    }
    Ok(found)
}

/// Everything below `folder` that is not a folder, at most `depth` levels down. What the user can't enter is passed
/// over: what runs as the user has not written it.
pub(super) fn all_below(folder: &Path, depth: usize) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(folder).min_depth(1).max_depth(depth).sort_by_file_name() {
        match entry {
            Ok(entry) if !entry.file_type().is_dir() => paths.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => match error.io_error().map(std::io::Error::kind) {
                Some(ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
                _ => return Err(error.to_string()),
            },
        }
    }
    Ok(paths)
}

/// The files in place that `dump` means, as paths below the service's folder.
pub(super) fn in_place(dump: &Dump, service: &Path, staging: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    let path = dump.path();
    if dump.is_folder() {
        let files = all_below(&service.join(&path), usize::MAX)?;
        return Ok(files
            .iter()
            .filter_map(|at| Some(at.strip_prefix(service).ok()?.to_path_buf()))
            .collect());
    }
    if !dump.is_glob() {
        return Ok(if fs::symlink_metadata(service.join(&path)).is_ok() { vec![path] } else { vec![] });
    }
    // The walk starts below the last folder that is not a pattern, and goes no deeper than the pattern.
    let start = dump.folder();
    let depth = match dump.text.contains("**") || dump.text.contains('{') {
        true => usize::MAX,
        false => path.iter().count() - start.iter().count(),
    };
    let mut paths = Vec::new();
    for at in all_below(&service.join(start), depth)? {
        let below = at.strip_prefix(service).unwrap_or(&at);
        if dump.names(below) && !staging.is_some_and(|staging| at.starts_with(staging)) {
            paths.push(below.to_path_buf());
        }
    }
    Ok(paths)
}

/// Where `path` below a service's folder really lies, with the symlinks on the way followed: that is what is backed up,
/// and which rules hold for it.
fn real_place(service: &Path, path: &Path) -> PathBuf {
    let named = service.join(path);
    let real = || -> Option<PathBuf> {
        let folder = named.parent()?.canonicalize().ok()?;
        let below = folder.strip_prefix(service.canonicalize().ok()?).ok()?.to_path_buf();
        Some(service.join(below).join(named.file_name()?))
    };
    real().unwrap_or(named)
}
