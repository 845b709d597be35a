//! Files that appear whole or not at all.
//!
//! The new text is written beside the target under a temporary name ([`crate::leftover`]), synced, and then given the
//! target's name in one step (rename(2)). An interruption leaves the old file as it was, and the next write of the same
//! file removes what the interrupted one left.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};

use crate::leftover::{self, Part, folder_of};
use crate::text::escape_path;

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The file holds the new text now.
    Written,
    /// It held that text already and was not touched.
    Unchanged,
}

/// Makes `path` hold `content`. A file that exists keeps its mode and, if that is allowed, its owner; a new one
/// gets `mode`. A symlink at `path` is replaced, not followed.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<Change> {
    let old = match fs::symlink_metadata(path) {
        Ok(old) if old.is_file() => Some(old),
        Ok(old) if old.is_dir() => {
            return Err(io::Error::from(io::ErrorKind::IsADirectory)).context(naming(path));
        }
        _ => None,
    };
    if let Some(old) = &old {
        if old.len() == content.len() as u64 && fs::read(path).is_ok_and(|text| text == content) {
            leftover::clear_of(path);
            return Ok(Change::Unchanged);
        }
    }
    let mode = old.as_ref().map_or(mode, |old| old.mode() & 0o7777);
    let mut part = part_file(path, content, mode).with_context(|| naming(path))?;
    if let Some(old) = &old {
        // Only root may give a file away; any other user already is its owner.
        let _ = std::os::unix::fs::fchown(part.file(), Some(old.uid()), Some(old.gid()));
    }
    part.replace(path).with_context(|| naming(path))?;
    sync_folder(folder_of(path)).with_context(|| naming(path))?;
    Ok(Change::Written)
}

/// Makes the file `path` with `content` and `mode`; fails with [`io::ErrorKind::AlreadyExists`] in its chain, and
/// changes nothing, if something of that name exists.
pub fn create_new(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let part = part_file(path, content, mode).with_context(|| naming(path))?;
    part.become_new(path).with_context(|| naming(path))?;
    sync_folder(folder_of(path)).with_context(|| naming(path))
}

/// Puts the names in `folder` on the disk. Some file systems (of other machines, of FUSE) can't do that for a folder and
/// return EINVAL (fsync(2)); nothing more can be done then.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

fn naming(path: &Path) -> String {
    format!("write: {}", escape_path(path))
}

fn part_file(path: &Path, content: &[u8], mode: u32) -> io::Result<Part> {
    let mut part = Part::beside(path, mode)?;
    let file = part.file();
    file.write_all(content)?;
    // The mode given at creation goes through the umask; a mode that was there before is kept exactly.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn the_same_text_leaves_the_file_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        assert_eq!(write(&path, b"one", 0o640).unwrap(), Change::Written);
        let inode = fs::metadata(&path).unwrap().ino();
        assert_eq!(write(&path, b"one", 0o600).unwrap(), Change::Unchanged);
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(mode_of(&path), 0o640);
    }

    #[test]
    fn a_changed_file_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
        write(&path, b"new", 0o600).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode_of(&path)), (b"new".as_slice(), 0o604));
    }

    #[test]
    fn creating_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        create_new(&path, b"mine", 0o600).unwrap();
        let error = create_new(&path, b"other", 0o600).unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no part file stays behind");
    }

    #[test]
    fn a_failed_write_names_the_path_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/f");
        let error = write(&path, b"x", 0o600).unwrap_err();
        assert!(error.to_string().contains("missing/f"), "{error:#}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_symlink_is_replaced_and_its_target_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "theirs").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"ours", 0o600).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
    }
}
