//! One folder as the kernel lists it: names and kinds, without a system call for each name.
//!
//! getdents(2) returns the kind of an entry on every common file system; where it does not, fstatat(2) is asked.

use common::services::PREPARE;
use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};

use crate::rules_file::FILE_NAME;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder; a symlink to one is not.
    Folder,
    /// A regular file.
    File,
    /// A symlink, device, socket or FIFO: what git treats as a file.
    Other,
}

pub(super) struct Listing {
    pub(super) names: Vec<u8>,
    pub(super) entries: Vec<Listed>,
    /// What the `.resticignore` is, if there is one.
    pub(super) rules_file: Option<FileType>,
    /// Whether there is a compose file.
    pub(super) has_compose: bool,
    /// Whether there is a prepare step.
    pub(super) has_prepare_step: bool,
    /// Names that were probably meant to be rules files.
    pub(super) lookalikes: Vec<Vec<u8>>,
}

pub(super) struct Listed {
    pub(super) name_end: u32,
    kind: FileType,
}

thread_local! {
    static BUFFER: RefCell<Vec<MaybeUninit<u8>>> = RefCell::new(vec![MaybeUninit::uninit(); 64 << 10]);
}

/// Lists an open folder, without `.` and `..`.
pub(super) fn list(folder: &OwnedFd) -> io::Result<Listing> {
    let mut listing = Listing {
        names: Vec::new(),
        entries: Vec::new(),
        rules_file: None,
        has_compose: false,
        has_prepare_step: false,
        lookalikes: Vec::new(),
    };
    BUFFER.with_borrow_mut(|buffer| {
        let mut entries = RawDir::new(folder, buffer.as_mut_slice());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            // The first byte alone settles it for nearly every name.
            match name[0] {
                b'.' if name == FILE_NAME.as_bytes() => listing.rules_file = Some(entry.file_type()),
                b'.' if is_lookalike(name) => listing.lookalikes.push(name.to_vec()),
                b'c' | b'd' if is_compose_file(name) => listing.has_compose = true,
                b'p' if name == PREPARE.as_bytes() => listing.has_prepare_step = true,
                _ => {}
            }
            listing.names.extend_from_slice(name);
            let name_end = u32::try_from(listing.names.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
            listing.entries.push(Listed { name_end, kind: entry.file_type() });
        }
        Ok(listing)
    })
}

impl Listed {
    pub(super) fn is_symlink(&self) -> bool {
        self.kind == FileType::Symlink
    }
}

pub(super) fn kind(entry: &Listed, folder: &OwnedFd, name: &[u8]) -> Kind {
    let kind = match entry.kind {
        FileType::Unknown => rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
        kind => kind,
    };
    match kind {
        // What can't be asked about may be a folder with rules in it; that it can't be opened is found out then.
        FileType::Directory | FileType::Unknown => Kind::Folder,
        FileType::RegularFile => Kind::File,
        _ => Kind::Other,
    }
}

/// `.resticignore.txt`, `.Resticignore` and their like.
fn is_lookalike(name: &[u8]) -> bool {
    let is = |meant: &[u8]| name.eq_ignore_ascii_case(meant);
    [&b".resticignore"[..], b".resticignore.txt", b".resticignores", b".resticignores.txt"]
        .into_iter()
        .any(is)
}

/// `compose.yaml`, `docker-compose.yml` and their like.
fn is_compose_file(name: &[u8]) -> bool {
    (name.starts_with(b"compose.") || name.starts_with(b"docker-compose."))
        && (name.ends_with(b".yaml") || name.ends_with(b".yml"))
}

/// A file's size; 0 if it has vanished.
pub(super) fn size(folder: &OwnedFd, name: &[u8]) -> u64 {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_or(0, |stat| stat.st_size.unsigned_abs())
}

/// Opens a sub-folder. A symlink that has taken its place meanwhile is not followed.
pub(super) fn open_below(folder: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}
