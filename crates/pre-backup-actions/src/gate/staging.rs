//! `$DUMP_DIR`: a fresh folder beside the dump, and the move from there to its place.
//!
//! It lies in the dump's own folder so that the move is a rename: the old dump is there until the new one is. Only
//! the user may look into it.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::atomic;
use common::text::escape_path;
use nix::unistd::geteuid;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::TempPath;

use super::find::{DumpFile, all_below};
use crate::declare::Dump;

/// Its name; one that a killed run left behind is known by it.
pub(crate) const NAME: &str = ".prepare-backup.dump";

/// The folder, gone with all that is in it when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
}

impl Staging {
    /// A fresh folder for `dumps` of the service in `service`.
    pub(crate) fn new(service: &Path, dumps: &[Dump]) -> Result<Staging> {
        let beside = dumps
            .first()
            .map(|dump| service.join(dump.path()))
            .and_then(|path| path.parent().map(Path::to_path_buf));
        // A pattern, or a folder that isn't there yet: the service's own folder is on the same disk.
        let beside = beside.filter(|folder| fs::symlink_metadata(folder).is_ok_and(|entry| entry.is_dir()));
        let folder = beside.unwrap_or_else(|| service.to_path_buf()).join(NAME);
        let naming = || format!("make DUMP_DIR: {}", escape_path(&folder));
        remove(&folder).with_context(naming)?;
        DirBuilder::new().mode(0o700).create(&folder).with_context(naming)?;
        Ok(Staging { folder })
    }

    /// Where it lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is something else in its place by now.
    pub(super) fn is_replaced(&self) -> bool {
        fs::symlink_metadata(&self.folder).is_ok_and(|entry| !entry.is_dir())
    }

    /// What lies in it and is not, or not in, one of `found`: paths below it.
    pub(super) fn leftover(&self, found: &[&Path]) -> Vec<PathBuf> {
        let all = all_below(&self.folder, usize::MAX).unwrap_or_default();
        let is_left = |path: &PathBuf| !found.iter().any(|at| path.starts_with(at));
        let below = |path: PathBuf| path.strip_prefix(&self.folder).map(Path::to_path_buf).unwrap_or(path);
        all.into_iter().filter(is_left).map(below).collect()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The next run takes away what can't be taken away now.
        let _ = remove(&self.folder);
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(folder) {
        Ok(entry) if entry.is_dir() => fs::remove_dir_all(folder),
        Ok(_) => fs::remove_file(folder),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Moves the proved dumps of a service to their places, synced first: all of them, or none if one can't be moved.
pub(super) fn put_in_place<'a>(
    dumps: impl Iterator<Item = &'a DumpFile>,
    service: &Path,
) -> Result<(), String> {
    let mut ready = Vec::new();
    for dump in dumps {
        let target = service.join(&dump.path);
        match make_ready(&dump.at, &target) {
            Ok(part) => ready.push((part, target)),
            Err(error) => return Err(format!("{}: {error}", escape_path(&target))),
        }
    }
    for (part, target) in ready {
        let folder = target.parent().unwrap_or(service);
        part.become_dump(&target)
            .and_then(|()| atomic::sync_folder(folder))
            .map_err(|error| format!("{}: {error}", escape_path(&target)))?;
    }
    Ok(())
}

/// A dump on the disk of its target, synced.
enum Ready {
    File(TempPath),
    Folder(PathBuf),
}

impl Ready {
    fn become_dump(self, target: &Path) -> io::Result<()> {
        let folder = match self {
            Ready::File(part) => return part.persist(target).map_err(io::Error::from),
            Ready::Folder(folder) => folder,
        };
        if fs::symlink_metadata(target).is_err() {
            return fs::rename(folder, target);
        }
        // In one step; the old one is then in DUMP_DIR and goes with it.
        match renameat_with(CWD, &folder, CWD, target, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                let mut old = folder.clone().into_os_string();
                old.push(".old");
                fs::rename(target, old).and_then(|()| fs::rename(folder, target))
            }
            exchanged => Ok(exchanged?),
        }
    }
}

/// The dump at `at` on the disk of its target, synced, with the mode that it gets: the old dump's. A first one is for
/// the user alone, because a dump holds what its database protects.
fn make_ready(at: &Path, target: &Path) -> io::Result<Ready> {
    let folder = target.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let entry = fs::symlink_metadata(target).ok();
    let source = fs::symlink_metadata(at)?;
    let is_on_its_disk = source.dev() == fs::metadata(folder)?.dev();
    if source.is_dir() {
        return ready_folder(at, entry.as_ref(), is_on_its_disk);
    }
    if entry.as_ref().is_some_and(Metadata::is_dir) {
        return Err(ErrorKind::IsADirectory.into());
    }
    let mode = entry.filter(Metadata::is_file).map_or(0o600, |old| old.mode() & 0o7777);
    let mut file = File::open(at)?;
    if is_on_its_disk {
        set_mode(&file, mode)?;
        file.sync_all()?;
        return TempPath::try_from_path(at).map(Ready::File);
    }
    // A folder of the service may be on another disk than DUMP_DIR. The name is always the same, so that what a killed
    // run left there goes.
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let part = folder.join(format!("{NAME}.{name}.part"));
    remove(&part)?;
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let part = TempPath::try_from_path(part)?;
    io::copy(&mut file, &mut copy)?;
    set_mode(&copy, mode)?;
    copy.sync_all()?;
    Ok(Ready::File(part))
}

fn ready_folder(at: &Path, old: Option<&Metadata>, is_on_its_disk: bool) -> io::Result<Ready> {
    if old.is_some_and(|old| !old.is_dir()) {
        return Err(ErrorKind::NotADirectory.into());
    }
    if !is_on_its_disk {
        return Err(io::Error::other("a folder can't be moved to another disk; write it in its place"));
    }
    for file in all_below(at, usize::MAX).map_err(io::Error::other)? {
        File::open(file)?.sync_all()?;
    }
    let mode = old.map_or(0o700, |old| old.mode() & 0o7777);
    fs::set_permissions(at, Permissions::from_mode(mode))?;
    atomic::sync_folder(at)?;
    Ok(Ready::Folder(at.to_path_buf()))
}

/// Sets a file's mode, unless its file system has none (a disk of Windows, another machine's).
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.mode() & 0o7777 == mode {
        return Ok(());
    }
    match file.set_permissions(Permissions::from_mode(mode)) {
        Err(error) if metadata.uid() != geteuid().as_raw() => {
            let owner = metadata.uid();
            Err(io::Error::new(
                error.kind(),
                format!("give it mode {mode:o}: it belongs to user {owner}: {error}"),
            ))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}
