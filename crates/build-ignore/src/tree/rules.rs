//! The `.resticignore` of a folder, read without ever waiting for it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};

use crate::rules_file::FILE_NAME;
use crate::tree::MOST_BYTES;

/// Why a `.resticignore` is not used.
pub(super) enum Unusable {
    /// git reads no rules from it either.
    NoRules(String),
    /// It may hold rules.
    Unseen(String),
}

/// The content of the `.resticignore` in `folder`. git follows no symlink here. `kind` is what the listing called it.
pub(super) fn read_rules(folder: &OwnedFd, kind: FileType) -> Result<Vec<u8>, Unusable> {
    let unseen = |error: io::Error| Unusable::Unseen(error.to_string());
    // A FIFO, a device or a socket may block, or act on being opened.
    if !matches!(kind, FileType::RegularFile | FileType::Unknown) {
        return Err(Unusable::NoRules(not_regular(kind).to_string()));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, FILE_NAME, flags, Mode::empty()).map_err(|error| match error {
        rustix::io::Errno::LOOP => Unusable::NoRules(not_regular(FileType::Symlink).to_string()),
        error => unseen(error.into()),
    })?;
    if kind == FileType::Unknown {
        let stat = rustix::fs::fstat(&file).map_err(|error| unseen(error.into()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(Unusable::NoRules(not_regular(kind).to_string()));
        }
    }
    let mut content = Vec::with_capacity(4 << 10);
    File::from(file).take(MOST_BYTES as u64 + 1).read_to_end(&mut content).map_err(unseen)?;
    content.shrink_to_fit();
    Ok(content)
}

fn not_regular(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "a symlink, which git does not follow either",
        FileType::Directory => "a folder, not a file",
        _ => "not a regular file",
    }
}

/// Why git does not read the text as the person sees it, if it does not.
pub(super) fn wrong_encoding(content: &[u8]) -> Option<&'static str> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Some("UTF-16 text, which matches nothing: save it as UTF-8");
    }
    let has_returns = content.contains(&b'\r') && !content.contains(&b'\n');
    has_returns.then_some(
        "its lines end with a carriage return alone, so it is one line: save it with Unix line ends",
    )
}
