//! Folders and files that only the user may read, made with their final mode and without following a link.
//!
//! They are never loosened or tightened afterwards: what exists keeps the mode that its owner chose.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// Makes `folder` with mode 0700, and each missing folder above it likewise. One that exists is left as it is.
pub fn folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the folder `path` alone, with `mode` less the umask. Returns whether it was missing.
pub fn new_folder(path: &Path, mode: u32) -> io::Result<bool> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|()| true),
    }
}

/// Opens `path` for appending; a new file has mode 0600. A symlink is refused (ELOOP). Makes the folder if it is
/// missing.
pub fn append(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().append(true).read(true))
}

/// Opens `path` for reading and writing anywhere in it, likewise.
pub fn read_write(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true))
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Without O_NONBLOCK a FIFO in the file's place would wait for its other end.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    options.create(true).truncate(false).mode(0o600).custom_flags(flags.bits());
    let opened = match (options.open(path), path.parent()) {
        (Err(error), Some(above)) if error.kind() == ErrorKind::NotFound => {
            folder(above)?;
            options.open(path)
        }
        (opened, _) => opened,
    };
    let file = opened?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn new_files_and_folders_are_for_the_user_alone() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/b/f");
        append(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&outer.path().join("a"))), (0o600, 0o700));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        read_write(&path).unwrap();
        assert_eq!(mode(&path), 0o640);
    }

    #[test]
    fn neither_a_link_nor_a_fifo_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (link, fifo) = (folder.path().join("link"), folder.path().join("fifo"));
        symlink("/etc/passwd", &link).unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [link, fifo] {
            assert!(append(&path).is_err() && read_write(&path).is_err(), "{}", path.display());
        }
    }
}
