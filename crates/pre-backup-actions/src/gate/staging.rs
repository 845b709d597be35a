//! `$DUMP_DIR`: a fresh folder beside the dump, and the move from there to its place.
//!
//! It lies in the dump's own folder so that the move is a rename: the old dump is there until the new one is. Only
//! the user may look into it. Its name and lock are those of every temporary entry ([`common::leftover`]), but it may lie
//! anywhere below a service, so the journal keeps where.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, FileType, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use anyhow::{Context, Result};
use common::atomic;
use common::leftover::{self, Part, Scratch};
use common::text::escape_path;
use nix::unistd::geteuid;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::find::{DumpFile, all_below};
use super::report::{Fault, Report};
use crate::declare::Dump;
use crate::discover::PATIENCE;

/// What the names of the gate's temporary entries begin with ([`common::leftover`]).
const NAME: &str = "prepare-backup.dump";
const NOT_REMOVED: &str = "DUMP_DIR can't be removed";

/// A fresh folder for `dumps` of the service in `service`, gone with all that is in it when dropped.
pub(crate) fn make(service: &Path, dumps: &[Dump]) -> Result<Scratch> {
    let beside = dumps.first().map(|dump| service.join(dump.folder()));
    // It may not be there yet: the service's own folder is on the same disk.
    let beside = beside.filter(|folder| fs::symlink_metadata(folder).is_ok_and(|entry| entry.is_dir()));
    let beside = beside.unwrap_or_else(|| service.to_path_buf());
    Scratch::new(&beside, OsStr::new(NAME))
        .with_context(|| format!("make DUMP_DIR: {}", escape_path(&beside)))
}

/// Removes DUMP_DIR. Reports it, and each of an earlier run beside it, that can't be removed, as if a container's user
/// wrote into it: they hold dumps, and are in the backup.
pub(crate) fn remove(staging: Scratch) -> Report {
    let at = staging.path().to_path_buf();
    let own = staging.remove().map_err(|error| (at.clone(), error));
    let earlier = leftover::find_named(at.parent().unwrap_or(&at), is_left).into_iter().map(|leftover| {
        let path = leftover.path.clone();
        leftover.remove().map_err(|error| (path, error))
    });
    let earlier = earlier.filter_map(Result::err).filter(|(path, _)| *path != at);
    let mut lines = own.err().into_iter().chain(earlier).map(|(path, error)| {
        let path = escape_path(&path);
        format!("{path}: {NOT_REMOVED}: {error}; sudo rm -r '{path}'")
    });
    let first = lines.next().map(|detail| Fault { short: NOT_REMOVED.into(), detail });
    Report { doubts: first.into_iter().collect(), notes: lines.collect(), ..Report::default() }
}

/// What lies in `folder` and is not, or not in, one of `found`: paths below it.
pub(super) fn undeclared_in(folder: &Path, found: &[&Path]) -> Vec<PathBuf> {
    let all = all_below(folder, usize::MAX).unwrap_or_default().into_iter();
    let undeclared = all.filter(|path| !found.iter().any(|at| path.starts_with(at)));
    undeclared.map(|path| path.strip_prefix(folder).map(Path::to_path_buf).unwrap_or(path)).collect()
}

/// Removes, in a thread, what killed runs left of dumps in `folders`; dropped, it waits for that, and stops what takes
/// too long: steps make entries of these names.
pub(crate) struct Cleaner {
    done: Receiver<()>,
    is_over: Arc<AtomicBool>,
}

impl Cleaner {
    pub(crate) fn start(folders: BTreeSet<PathBuf>) -> Cleaner {
        let ((sender, done), is_over) = (mpsc::channel(), Arc::<AtomicBool>::default());
        // Most often nothing is open.
        if !folders.is_empty() {
            let is_over = Arc::clone(&is_over);
            // If no thread can be started, the next run removes it.
            let _ = thread::Builder::new().spawn(move || {
                let _sender = sender;
                clear(folders, &is_over);
            });
        }
        Cleaner { done, is_over }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        // A file system that does not answer holds no run up.
        let _ = self.done.recv_timeout(PATIENCE);
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn clear(folders: impl IntoIterator<Item = PathBuf>, is_over: &AtomicBool) {
    let goes_on = || !is_over.load(Ordering::Relaxed);
    let folders = folders.into_iter().take_while(|_| goes_on());
    let left = folders.flat_map(|folder| leftover::find_named(&folder, is_left));
    for leftover in left.take_while(|_| goes_on()) {
        // The next run removes what can't be removed now.
        let _ = leftover.remove();
    }
}

/// Whether an entry has the name of a temporary one of the gate, or the one that earlier versions gave it.
fn is_left(name: &OsStr, kind: FileType) -> bool {
    match name.as_encoded_bytes().strip_prefix(b".prepare-backup.dump") {
        Some(b"") => kind.is_dir(),
        Some([b'.', rest @ ..]) => leftover::is_part(name) || (kind.is_file() && rest.ends_with(b".part")),
        _ => false,
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
    /// It lies in DUMP_DIR.
    Staged(PathBuf),
    Copied(Part),
}

impl Ready {
    fn become_dump(self, target: &Path) -> io::Result<()> {
        let at = match self {
            Ready::Copied(part) => return part.replace(target),
            Ready::Staged(at) => at,
        };
        if !(at.is_dir() && fs::symlink_metadata(target).is_ok()) {
            return fs::rename(at, target);
        }
        // In one step; the old one is then in DUMP_DIR and goes with it.
        match renameat_with(CWD, &at, CWD, target, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                let mut old = at.clone().into_os_string();
                old.push(".old");
                fs::rename(target, old).and_then(|()| fs::rename(at, target))
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
        return Ok(Ready::Staged(at.to_path_buf()));
    }
    // A folder of the service may be on another disk than DUMP_DIR.
    let mut name = OsString::from(format!("{NAME}."));
    name.push(target.file_name().unwrap_or_default());
    let mut part = Part::beside(&folder.join(name), 0o600)?;
    io::copy(&mut file, part.file())?;
    set_mode(part.file(), mode)?;
    part.file().sync_all()?;
    Ok(Ready::Copied(part))
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
    Ok(Ready::Staged(at.to_path_buf()))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps run then, and make entries of the same names.
    #[test]
    fn a_cleaner_that_is_no_longer_waited_for_removes_no_more() {
        let cleaner = Cleaner::start(BTreeSet::new());
        let is_over = Arc::clone(&cleaner.is_over);
        drop(cleaner);
        assert!(is_over.load(Ordering::Relaxed));

        let root = tempfile::tempdir().unwrap();
        let left = |name: &str| root.path().join(name).join(".prepare-backup.dump.backrest-part");
        for name in ["before", "slow", "after"] {
            DirBuilder::new().recursive(true).create(left(name)).unwrap();
        }
        let is_over = AtomicBool::new(false);
        let folders = ["before", "slow", "after"].into_iter().map(|name| {
            is_over.fetch_or(name == "slow", Ordering::Relaxed);
            root.path().join(name)
        });
        clear(folders, &is_over);
        assert!(!left("before").exists() && left("slow").exists() && left("after").exists());
    }
}
