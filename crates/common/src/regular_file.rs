//! Reads a file that someone else may have put there: it never blocks and never uses more memory than asked for.
//!
//! A FIFO, a device or a socket in the file's place is an error, not a wait. A symlink is followed, as the programs do
//! that the file is meant for; check the path first if that matters.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// Opens `path` for reading. Fails with [`ErrorKind::InvalidInput`] if it is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, OFlag::empty())
}

fn open_with(path: &Path, flags: OFlag) -> io::Result<File> {
    // O_NONBLOCK: a FIFO without a writer would block open(2) itself. O_NOCTTY: a terminal must not become ours.
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// [`open`], but a symlink is an error too (ELOOP).
pub fn open_unlinked(path: &Path) -> io::Result<File> {
    open_with(path, OFlag::O_NOFOLLOW)
}

/// Reads all of `path`, at most `limit` bytes. Fails with [`ErrorKind::FileTooLarge`] if it is longer.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let expected = file.metadata()?.len().min(limit);
    // One byte more, so that the end is seen without growing.
    let mut text = Vec::new();
    text.try_reserve_exact(usize::try_from(expected).unwrap_or(usize::MAX).saturating_add(1))?;
    file.take(limit.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > limit {
        let why = format!("larger than {}", crate::units::bytes(limit));
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_bearable_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, fifo) = (folder.path().join("file"), folder.path().join("fifo"));
        std::fs::write(&file, "12345").unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"12345");
        assert_eq!(read(&file, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        for other in [fifo.as_path(), Path::new("/dev/zero"), folder.path()] {
            assert!(read(other, 5).is_err(), "{}", other.display());
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(open(&link).is_ok() && open_unlinked(&link).is_err() && open_unlinked(&file).is_ok());
        assert_eq!(read(Path::new("/nonexistent"), 5).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
