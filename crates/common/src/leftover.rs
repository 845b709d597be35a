//! The one rule for temporary names, and the one cleaner of what a killed run left behind.
//!
//! A temporary file or folder for `NAME` is called `.NAME.backrest-part` (`.NAME.2.backrest-part` if another run has
//! that) and its maker holds flock(2) on it. The kernel lets go of the lock when the maker ends, however it ends: a
//! name of this form whose lock is free belongs to a killed run. No age and no process id is guessed at.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, FileType, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// How each temporary name ends.
const SUFFIX: &str = ".backrest-part";
/// This many runs may work on one name at a time.
const MOST: u64 = 100;

/// Whether `name` is that of a temporary file or folder.
pub fn is_part(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes()) && name.len() > 1 + SUFFIX.len()
}

/// The user's temporary files and folders in `folder` for names that begin with `start`, whose makers were killed, each
/// locked by us from now on. Empty if there is no such folder. A folder that other tools use too needs a `start`: what
/// they left may have to be put right first.
pub fn find(folder: &Path, start: impl AsRef<OsStr>) -> Vec<Leftover> {
    let start = [b".", start.as_ref().as_encoded_bytes()].concat();
    find_named(folder, |name, _| is_part(name) && name.as_encoded_bytes().starts_with(&start))
}

/// [`find`], but by `is_meant`, which gets each name and its kind: for the names that earlier versions used.
pub fn find_named(folder: &Path, is_meant: impl Fn(&OsStr, FileType) -> bool) -> Vec<Leftover> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let meant =
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| is_meant(&entry.file_name(), kind)));
    meant.filter_map(|entry| claim(&entry.path())).collect()
}

/// Removes what [`find`] finds. What can't be removed stays for the next run.
pub fn clear(folder: &Path, start: impl AsRef<OsStr>) {
    for leftover in find(folder, start) {
        let _ = leftover.remove();
    }
}

/// Removes what a killed run left of the file `target` alone.
pub(crate) fn clear_of(target: &Path) {
    let name = target.file_name().unwrap_or_default();
    if let Some(leftover) = claim(&folder_of(target).join(numbered(name, 1))) {
        let _ = leftover.remove();
    }
}

/// What a killed run left.
#[derive(Debug)]
pub struct Leftover {
    /// Where it lies.
    pub path: PathBuf,
    is_folder: bool,
    _lock: Option<Flock<File>>,
}

impl Leftover {
    /// Removes it, with all that is in it. A link in it is removed, never followed.
    pub fn remove(self) -> io::Result<()> {
        if self.is_folder { fs::remove_dir_all(&self.path) } else { fs::remove_file(&self.path) }
    }
}

/// Locks the entry at `path` if it is the user's own and no one else holds it.
fn claim(path: &Path) -> Option<Leftover> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_ours =
        metadata.uid() == nix::unistd::geteuid().as_raw() && (metadata.is_file() || metadata.is_dir());
    let lock = if is_ours { lock(file) } else { None };
    // Between our look and our lock its maker may have moved it to its place.
    let lock = lock.filter(|lock| lock.as_ref().is_none_or(|file| is_at(file, path)))?;
    Some(Leftover { path: path.to_path_buf(), is_folder: metadata.is_dir(), _lock: lock })
}

/// `None` if another process holds it; `Some(None)` on a file system that has no locks.
fn lock(file: File) -> Option<Option<Flock<File>>> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Some(Some(lock)),
        Err((_, errno::Errno::EWOULDBLOCK)) => None,
        Err(_) => Some(None),
    }
}

/// The folder that `path` is in; the working directory for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path).map(|there| (there.dev(), there.ino()));
    let ours = file.metadata().map(|ours| (ours.dev(), ours.ino()));
    matches!((there, ours), (Ok(there), Ok(ours)) if there == ours)
}

/// The temporary name for `name`: `.NAME.backrest-part`, or `.NAME.2.backrest-part` for the second one.
fn numbered(name: &OsStr, number: u64) -> OsString {
    // NAME_MAX is 255 bytes; a long name is cut, because the number makes it unique.
    let name = name.as_encoded_bytes();
    let kept = &name[..name.len().min(255 - 2 - SUFFIX.len() - 8)];
    let mut part = OsString::from(".");
    part.push(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(kept));
    if number > 1 {
        part.push(format!(".{number}"));
    }
    part.push(SUFFIX);
    part
}

/// Makes a temporary entry for `name` in `folder` by `make`, clearing what a killed run left under that name.
fn make(
    folder: &Path,
    name: &OsStr,
    make: impl Fn(&Path) -> io::Result<File>,
) -> io::Result<(PathBuf, Option<Flock<File>>)> {
    for number in 1..=MOST {
        let path = folder.join(numbered(name, number));
        if fs::symlink_metadata(&path).is_ok() {
            // One that can't be removed holds what another user wrote into it, as a container may have done.
            if claim(&path).is_none_or(|leftover| leftover.remove().is_err()) {
                continue;
            }
        }
        let file = match make(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            // As below.
            Err(error) if error.kind() == ErrorKind::NotFound && folder.is_dir() => continue,
            made => made?,
        };
        // A cleaner may have taken it for a leftover in the moment before we had the lock.
        match lock(file) {
            Some(lock) if lock.as_ref().is_none_or(|file| is_at(file, &path)) => return Ok((path, lock)),
            _ => {}
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "too many temporary files of this name"))
}

/// An entry under construction, locked as long as it is, and removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: Option<Flock<File>>,
    is_moved: bool,
}

impl Scratch {
    /// A folder of mode 0700 for `name` in `folder`, whatever the umask.
    pub fn new(folder: &Path, name: &OsStr) -> io::Result<Scratch> {
        let (path, lock) = make(folder, name, |path| {
            DirBuilder::new().mode(0o700).create(path)?;
            // A umask may take the user's own bits away.
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
            let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
            OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
        })?;
        Ok(Scratch { path, lock, is_moved: false })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it now, with all that is in it.
    pub fn remove(mut self) -> io::Result<()> {
        self.is_moved = true;
        remove_if_there(&self.path)
    }

    /// Makes it `target`. Fails with [`ErrorKind::AlreadyExists`] if something is there.
    pub fn move_to(&mut self, target: &Path) -> io::Result<()> {
        // Without such a rename: what is at the target was looked at a moment ago by the caller, and a folder never
        // replaces a full one.
        self.move_new(target, |from, to| fs::rename(from, to))
    }

    /// By `otherwise` on a file system that has no rename that never replaces (NFS, some FUSE ones).
    fn move_new(&mut self, target: &Path, otherwise: fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => otherwise(&self.path, target)?,
            moved => moved?,
        }
        self.is_moved = true;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_moved {
            let _ = remove_if_there(&self.path);
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A file under construction, removed when dropped.
#[derive(Debug)]
pub struct Part {
    scratch: Scratch,
    file: File,
}

impl Part {
    /// A file of mode `mode`, less the umask, that is to become `target`.
    pub fn beside(target: &Path, mode: u32) -> io::Result<Part> {
        let (path, lock) = make(folder_of(target), target.file_name().unwrap_or_default(), |path| {
            OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)
        })?;
        let scratch = Scratch { path, lock, is_moved: false };
        let file = match &scratch.lock {
            Some(lock) => lock.try_clone()?,
            None => {
                let flags = OFlag::O_NOFOLLOW.bits();
                OpenOptions::new().write(true).custom_flags(flags).open(&scratch.path)?
            }
        };
        Ok(Part { scratch, file })
    }

    /// To write into.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes it `target`, replacing what is there.
    pub fn replace(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.scratch.path, target)?;
        self.scratch.is_moved = true;
        Ok(())
    }

    /// Makes it `target`, unless something is there.
    pub(crate) fn become_new(mut self, target: &Path) -> io::Result<()> {
        // link(2) never replaces either.
        self.scratch
            .move_new(target, |from, to| fs::hard_link(from, to).map(|()| drop(fs::remove_file(from))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_in_use_stays_and_what_a_killed_run_left_goes() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".old.backrest-part")).unwrap();
        fs::write(folder.path().join(".old.backrest-part/f"), "").unwrap();
        fs::write(folder.path().join(".file.backrest-part"), "").unwrap();
        fs::write(folder.path().join("theirs.part"), "").unwrap();
        std::os::unix::fs::symlink("theirs.part", folder.path().join(".link.backrest-part")).unwrap();
        let scratch = Scratch::new(folder.path(), OsStr::new("new")).unwrap();
        let second = Scratch::new(folder.path(), OsStr::new("new")).unwrap();
        clear(folder.path(), "another");
        assert!(names(folder.path()).contains(&".old.backrest-part".into()));
        clear(folder.path(), "");
        assert_eq!(
            names(folder.path()),
            [".link.backrest-part", ".new.2.backrest-part", ".new.backrest-part", "theirs.part"]
        );
        drop((scratch, second));
        assert_eq!(names(folder.path()), [".link.backrest-part", "theirs.part"]);
    }

    #[test]
    fn what_is_made_beside_a_cleaner_is_there_as_long_as_it_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    clear(folder.path(), "");
                }
            });
            let is_there =
                |_| Scratch::new(folder.path(), OsStr::new("s")).is_ok_and(|made| made.path().is_dir());
            let failures = (0..1000).map(is_there).filter(|is_there| !is_there).count();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(failures, 0);
        });
    }

    #[test]
    fn a_file_is_taken_over_from_a_killed_run_and_never_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("f");
        fs::write(folder.path().join("theirs"), "theirs").unwrap();
        std::os::unix::fs::symlink("theirs", folder.path().join(".f.backrest-part")).unwrap();
        fs::write(folder.path().join(".f.2.backrest-part"), "left by a killed run").unwrap();
        let part = Part::beside(&target, 0o600).unwrap();
        assert_eq!(part.scratch.path.file_name().unwrap(), ".f.2.backrest-part");
        part.replace(&target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
        assert_eq!(fs::read(folder.path().join("theirs")).unwrap(), b"theirs");
    }

    #[test]
    fn a_folder_is_private_and_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let (target, mut scratch) =
            (folder.path().join("t"), Scratch::new(folder.path(), OsStr::new("t")).unwrap());
        assert_eq!(fs::metadata(scratch.path()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(&target).unwrap();
        assert_eq!(scratch.move_to(&target).unwrap_err().kind(), ErrorKind::AlreadyExists);
        drop(scratch);
        assert_eq!(names(folder.path()), ["t"]);
    }

    #[test]
    fn long_names_have_a_part_name_as_well() {
        let name = OsString::from("x".repeat(255));
        assert!(numbered(&name, 1).len() <= 255 && is_part(&numbered(&name, 1)));
        assert!(!is_part(OsStr::new(".backrest-part")) && !is_part(OsStr::new("a.backrest-part")));
    }
}
