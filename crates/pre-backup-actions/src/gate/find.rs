//! Which files a declaration means: those in `$DUMP_DIR` if there are any, else those in place that are new.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::WalkDir;

use super::fresh::Start;
use crate::declare::Dump;

/// A file that is a dump, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it belongs, below the service's folder.
    pub(crate) path: PathBuf,
    /// Where it lies now.
    pub(crate) at: PathBuf,
    /// It lies in `$DUMP_DIR`.
    pub(crate) is_staged: bool,
}

/// What was found for one declaration.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) files: Vec<Found>,
    /// When the newest was written of those that are there but too old.
    pub(super) newest_old: Option<SystemTime>,
}

/// The files that `dump` means, or why they can't be looked for.
pub(super) fn files(dump: &Dump, service: &Path, staging: &Path, start: &Start) -> Result<Files, String> {
    let staged = staged(dump, staging)?;
    if !staged.is_empty() {
        return Ok(Files { files: staged, newest_old: None });
    }
    let mut found = Files::default();
    for path in in_place(dump, service, staging)? {
        let at = service.join(&path);
        // Whatever it is, a plain path that is there is looked at closely later; of a pattern's files the old ones
        // are earlier dumps that are kept.
        let modified = fs::symlink_metadata(&at).map_err(|error| error.to_string())?;
        let is_old = start.was_there(&path, &modified) || !start.is_since(&modified);
        if dump.is_glob() && is_old {
            found.newest_old = found.newest_old.max(modified.modified().ok());
            continue;
        }
        found.files.push(Found { path, at, is_staged: false });
    }
    Ok(found)
}

/// In `$DUMP_DIR` a dump lies under its whole path or under its bare name.
fn staged(dump: &Dump, staging: &Path) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    for at in all_below(staging)? {
        let below = at.strip_prefix(staging).unwrap_or(&at).to_path_buf();
        let path = if dump.names(&below) {
            below
        } else if below.components().count() == 1 && dump.names_bare(&below) {
            dump.path().parent().unwrap_or(Path::new("")).join(&below)
        } else {
            continue;
        };
        found.push(Found { path, at, is_staged: true });
    }
    Ok(found)
}

/// Everything below `folder` that is no folder.
pub(super) fn all_below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        match entry {
            Ok(entry) if !entry.file_type().is_dir() => paths.push(entry.into_path()),
            Ok(_) => {}
            Err(error) if error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(paths)
}

pub(super) fn in_place(dump: &Dump, service: &Path, staging: &Path) -> Result<Vec<PathBuf>, String> {
    let path = dump.path();
    if !dump.is_glob() {
        return Ok(if fs::symlink_metadata(service.join(&path)).is_ok() { vec![path] } else { vec![] });
    }
    // The walk starts below the last folder that is no pattern.
    let is_plain = |part: &Path| !part.to_string_lossy().contains(['*', '?', '[', '{', '\\']);
    let start: PathBuf = path.iter().take_while(|part| is_plain(Path::new(part))).collect();
    let mut paths = Vec::new();
    for at in all_below(&service.join(start))? {
        let below = at.strip_prefix(service).unwrap_or(&at);
        if dump.names(below) && !at.starts_with(staging) {
            paths.push(below.to_path_buf());
        }
    }
    Ok(paths)
}
