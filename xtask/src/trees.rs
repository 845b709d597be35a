//! The trees of the temporary homes: how a file gets into one, which files lie in it, and whether two of them are the same.
//!
//! The demo and the scenarios make their homes and judge a backup with it. Paths are below the folder that is walked.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::text::escape_path;
use walkdir::WalkDir;

/// What the tools write while a backup runs, below the home.
const MOVING: [&str; 3] =
    ["containers/backrest/logs", "containers/backrest/state", "containers/backrest/bridge"];

/// Whether `path`, below the home, stays as it is during a backup.
pub(crate) fn is_still(path: &Path) -> bool {
    !MOVING.iter().any(|moving| path.starts_with(moving))
}

/// The regular files below `data` and `containers` in `home` that stay as they are, with their sizes in bytes.
pub(crate) fn files(home: &Path) -> Result<BTreeMap<PathBuf, u64>> {
    let mut files = BTreeMap::new();
    for root in ["data", "containers"] {
        for entry in WalkDir::new(home.join(root)) {
            let entry = entry.with_context(|| format!("walk: {}", escape_path(home.join(root))))?;
            let path = entry.path().strip_prefix(home).unwrap_or(entry.path());
            if entry.file_type().is_file() && is_still(path) {
                files.insert(path.to_path_buf(), entry.metadata().context("look at a file")?.len());
            }
        }
    }
    Ok(files)
}

/// Whether both files have the same bytes and the same mode.
pub(crate) fn same(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("read: {}", escape_path(path)));
    let mode = |path: &Path| fs::metadata(path).map(|metadata| metadata.permissions().mode());
    Ok(mode(one)? == mode(other)? && read(one)? == read(other)?)
}

/// Writes a file with the folders above it; `mode` is that of an executable one, say.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let naming = || format!("write: {}", escape_path(path));
    fs::create_dir_all(path.parent().context("a path without a folder")?).with_context(naming)?;
    fs::write(path, content).with_context(naming)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(naming)
}
