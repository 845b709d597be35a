//! The file-system calls of a set-up, each with the path in its error, each whole or not at all.
//!
//! What a reader would get wrong: a listener may run meanwhile and mend the same things, so what is there by now, just
//! as it was to be made, is no failure.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use common::text::escape_path;
use nix::errno::Errno;
use nix::sys::stat::Mode;
use rustix::fs::OFlags;

use crate::inspect::client::CLIENT_MODE;

pub(super) fn make_folder(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        // Another of the tools was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.with_context(|| format!("make a folder: {}", escape_path(path))),
    }
}

pub(super) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        // A listener that runs puts its FIFO in an empty folder's place as well, and was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound || is_private_fifo(path) => Ok(()),
        result => result.with_context(|| format!("remove an empty folder: {}", escape_path(path))),
    }
}

/// Removes the folder; where something is in it, it stays and the name of that comes back.
pub(super) fn remove_folder_if_empty(path: &Path) -> Result<Option<OsString>> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            let first = fs::read_dir(path).ok().and_then(|mut entries| entries.next()?.ok());
            Ok(Some(first.map(|entry| entry.file_name()).unwrap_or_default()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(|()| None).with_context(|| format!("remove: {}", escape_path(path))),
    }
}

/// Sets the mode of what stands at `path` itself: where it is a symlink by now, this fails.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let naming = || format!("set mode {mode:04o}: {}", escape_path(path));
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).with_context(naming)?;
    // A descriptor opened with O_PATH is no reader of a FIFO, so no message is lost; it has no fchmod(2) either.
    let itself = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened));
    if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&opened).with_context(naming)?.st_mode)
        .is_symlink()
    {
        return Err(io::Error::from_raw_os_error(nix::libc::ELOOP)).with_context(naming);
    }
    fs::set_permissions(itself, Permissions::from_mode(mode)).with_context(naming)
}

pub(super) fn make_fifo(path: &Path) -> Result<()> {
    match nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        // A listener that runs makes a FIFO that is missing as well, and was quicker.
        Err(Errno::EEXIST) if is_private_fifo(path) => Ok(()),
        result => result.with_context(|| format!("make a FIFO: {}", escape_path(path))),
    }
}

fn is_private_fifo(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| {
        let is_ours = there.uid() == nix::unistd::geteuid().as_raw();
        there.file_type().is_fifo() && is_ours && there.mode() & 0o7777 == 0o600
    })
}

/// Gives the inode at `from` the name `to` as well, in the place of what has it.
pub(super) fn link_over(from: &Path, to: &Path) -> Result<()> {
    let naming = || format!("link: {} to {}", escape_path(to), escape_path(from));
    replace(to, |name| fs::hard_link(from, name)).with_context(naming)
}

/// Makes the symlink `path` to `target`, in the place of what has that name.
pub(super) fn symlink_over(target: &Path, path: &Path) -> Result<()> {
    let naming = || format!("link: {} to {}", escape_path(path), escape_path(target));
    replace(path, |name| symlink(target, name)).with_context(naming)
}

/// Copies the client. A file that the container has put in its place is replaced, not written to.
pub(super) fn install_client(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("read: {}", escape_path(from)))?;
    let write = |part: &Path| -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
        file.write_all(&bytes)?;
        file.set_permissions(Permissions::from_mode(CLIENT_MODE))?;
        file.sync_all()
    };
    replace(to, write).with_context(|| format!("install: {}", escape_path(to)))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("move: {} to {}", escape_path(from), escape_path(to)))
}

pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        // The listener removes its socket itself when it ends.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("remove: {}", escape_path(path))),
    }
}

/// Removes a file, or a folder with all that is in it. std does this without following a symlink that is put in the
/// place of a folder meanwhile.
pub(super) fn remove_all(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => {
            fs::remove_dir_all(path).with_context(|| format!("remove: {}", escape_path(path)))
        }
        _ => remove_file(path),
    }
}

/// Has `make` make something under another name beside `path`, and gives it the name `path` in one step. The other
/// name is always the same, so that a run that was killed leaves nothing that the next one does not use or remove.
fn replace(path: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    let part = path.with_file_name(name);
    let remove = || match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove()?;
    let made = make(&part).and_then(|()| fs::rename(&part, path));
    // rename(2) does nothing where both names are the same inode already, and after a failure the name has to go too.
    made.and(remove())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_that_the_listener_made_meanwhile_is_as_good_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backrest-pipe");
        make_fifo(&path).unwrap();
        make_fifo(&path).unwrap();
        remove_folder(&path).unwrap();
        assert!(is_private_fifo(&path), "it is still there");
        fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
        assert!(make_fifo(&path).is_err() && remove_folder(&path).is_err());
        fs::remove_file(&path).unwrap();
        remove_folder(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(make_fifo(&path).is_err() && remove_folder(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
