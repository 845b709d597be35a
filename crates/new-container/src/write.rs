//! Puts a service's two folders in place: both or none.
//!
//! Each is built under a name of its own beside its place and then moved there. What a reader would get wrong: two
//! moves are never one step, so the data folder carries a mark until the container folder is there too; a run that
//! finds the mark of one that was killed in between makes the second move, and deletes nothing.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use common::atomic;
use common::cancel::Cancel;
use common::exit::HintExt;
use common::text::escape_path;
use nix::fcntl::{Flock, FlockArg};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use crate::plan::Planned;
use crate::templates::Root;

/// The folders that are to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets<'a> {
    pub(crate) name: &'a str,
    pub(crate) container: &'a Path,
    pub(crate) data: &'a Path,
}

/// Who made what is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// This run.
    Now,
    /// An earlier one that was killed at its last step, which was done now.
    Earlier,
}

/// Writes `files` below `targets`. If it fails, or `cancel` goes up, nothing is left.
pub(crate) fn all_or_nothing(files: &[Planned], targets: Targets, cancel: &Cancel) -> Result<Made> {
    for target in [targets.data, targets.container] {
        let root = root_of(target);
        if !root.is_dir() {
            let error =
                anyhow!("find the folder of all services: {}: there is no such folder", escape_path(root));
            return Err(error)
                .hint(format!("mkdir -p '{}', or name the right one with a flag", escape_path(root)));
        }
    }
    if settle_leftovers(targets)? {
        return Ok(Made::Earlier);
    }
    for target in [targets.container, targets.data] {
        if fs::symlink_metadata(target).is_ok() {
            return Err(anyhow!("make a service: {}: it exists already", escape_path(target)))
                .hint("choose another name; nothing was touched");
        }
    }
    let container = Staging::new(targets.container, targets.name)?;
    let data = Staging::new(targets.data, targets.name)?;
    for file in files {
        let staging = match file.root {
            Root::Container => &container,
            Root::Data => &data,
        };
        staging.write(file)?;
    }
    let mark = mark_of(container.folder.path());
    atomic::create_new(&data.folder.path().join(&mark), b"", 0o600)?;
    if cancel.is_cancelled() {
        bail!("interrupted; nothing was made");
    }
    data.move_to(targets.data)?;
    if let Err(error) = container.move_to(targets.container) {
        remove_unfinished(files, targets.data, &mark);
        return Err(error);
    }
    let mark = targets.data.join(mark);
    fs::remove_file(&mark).with_context(|| format!("take the mark away: {}", escape_path(&mark)))?;
    Ok(Made::Now)
}

fn root_of(target: &Path) -> &Path {
    target.parent().unwrap_or(Path::new("/"))
}

/// A folder under construction, locked as long as its maker lives, and gone when dropped.
struct Staging {
    folder: TempDir,
    _lock: Flock<File>,
}

impl Staging {
    fn new(target: &Path, name: &str) -> Result<Staging> {
        let root = root_of(target);
        let naming = || format!("make a folder: {}", escape_path(root));
        let folder = tempfile::Builder::new()
            .prefix(&staging_prefix(name))
            .permissions(PermissionsExt::from_mode(0o755))
            .tempdir_in(root)
            .with_context(naming)?;
        let lock = lock(folder.path()).with_context(naming)?;
        Ok(Staging { folder, _lock: lock })
    }

    fn write(&self, file: &Planned) -> Result<()> {
        let path = self.folder.path().join(&file.path);
        let folder = root_of(&path);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .with_context(|| format!("make a folder: {}", escape_path(folder)))?;
        atomic::create_new(&path, &file.text, file.mode)
    }

    /// Gives the folder its place, where nothing may be.
    fn move_to(&self, target: &Path) -> Result<()> {
        move_without_replacing(self.folder.path(), target)
            .and_then(|()| atomic::sync_folder(root_of(target)))
            .with_context(|| format!("make a service: {}", escape_path(target)))
    }
}

fn move_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system knows no such flag (NFS, some FUSE ones); what is there was looked at a moment ago.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::rename(from, to),
        result => Ok(result?),
    }
}

fn lock(folder: &Path) -> io::Result<Flock<File>> {
    Flock::lock(File::open(folder)?, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
}

fn staging_prefix(name: &str) -> String {
    format!(".{name}.new-")
}

/// The file in the data folder that says to which staging folder it belongs.
fn mark_of(container_staging: &Path) -> PathBuf {
    let name = container_staging.file_name().unwrap_or_default().to_string_lossy().into_owned();
    PathBuf::from(format!("{name}.unfinished"))
}

/// Sees to what a run for this very name left when it was killed; a run that still lives holds a lock. `true` where
/// it was killed between the two moves: then everything was written, and the second move is made now.
fn settle_leftovers(targets: Targets) -> Result<bool> {
    let prefix = staging_prefix(targets.name);
    let mut finished = false;
    for staging in entries_with(root_of(targets.container), &prefix)? {
        let Ok(_lock) = lock(&staging) else { continue };
        if targets.data.join(mark_of(&staging)).exists() && fs::symlink_metadata(targets.container).is_err() {
            move_without_replacing(&staging, targets.container)
                .with_context(|| format!("make a service: {}", escape_path(targets.container)))?;
            finished = true;
        } else {
            remove_staging(&staging)?;
        }
    }
    for staging in entries_with(root_of(targets.data), &prefix)? {
        let Ok(_lock) = lock(&staging) else { continue };
        remove_staging(&staging)?;
    }
    if targets.container.is_dir() {
        for mark in entries_with(targets.data, &prefix)? {
            fs::remove_file(&mark).with_context(|| format!("take the mark away: {}", escape_path(&mark)))?;
        }
    }
    Ok(finished)
}

fn remove_staging(staging: &Path) -> Result<()> {
    fs::remove_dir_all(staging)
        .with_context(|| format!("take away what an earlier run left: {}", escape_path(staging)))
}

/// What lies in `folder` and begins with `prefix`; nothing where there is no such folder.
fn entries_with(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(vec![]);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("look for leftovers: {}", escape_path(folder)));
        }
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("look for leftovers: {}", escape_path(folder)))?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Takes the data folder away again: our files, and the folders they lie in. What somebody else put there stays.
fn remove_unfinished(files: &[Planned], data: &Path, mark: &Path) {
    let _ = fs::remove_file(data.join(mark));
    for file in files.iter().filter(|file| file.root == Root::Data) {
        let path = data.join(&file.path);
        let _ = fs::remove_file(&path);
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(data)) {
            let _ = fs::remove_dir(folder);
        }
    }
}
