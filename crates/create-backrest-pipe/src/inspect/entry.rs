//! What is at a path, without opening or following it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::text::escape_path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Missing,
    Fifo,
    Folder {
        /// Nothing is in it; a folder that can't be read counts as not empty.
        empty: bool,
    },
    Link {
        target: PathBuf,
    },
    /// Anything else, in a word for people.
    Other(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) id: (u64, u64),
}

impl Entry {
    pub(crate) fn is_missing(&self) -> bool {
        self.kind == Kind::Missing
    }

    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder { .. })
    }

    /// An empty folder of root's is what Docker makes if a mount's source is missing.
    pub(crate) fn is_dockers(&self) -> bool {
        self.kind == Kind::Folder { empty: true } && self.owner == 0
    }

    /// What is there, with its article.
    pub(crate) fn in_words(&self) -> String {
        match &self.kind {
            Kind::Missing => "nothing".into(),
            Kind::Fifo => "a FIFO".into(),
            Kind::Folder { empty: true } => "an empty folder".into(),
            Kind::Folder { empty: false } => "a folder".into(),
            Kind::Link { target } => format!("a symlink to {}", escape_path(target)),
            Kind::Other(word) => (*word).into(),
        }
    }
}

/// Looks at `path`. Fails if it can't even be found out whether something is there.
pub(crate) fn look(path: &Path) -> Result<Entry> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Entry { path: path.into(), kind: Kind::Missing, mode: 0, owner: 0, id: (0, 0) });
        }
        Err(error) => return Err(error).with_context(|| format!("look at: {}", escape_path(path))),
    };
    let kind = metadata.file_type();
    let kind = if kind.is_dir() {
        Kind::Folder { empty: fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) }
    } else if kind.is_symlink() {
        Kind::Link { target: fs::read_link(path).unwrap_or_default() }
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_file() {
        Kind::Other("a plain file")
    } else if kind.is_socket() {
        Kind::Other("a socket")
    } else {
        Kind::Other("a device")
    };
    Ok(Entry {
        path: path.into(),
        kind,
        mode: metadata.mode() & 0o7777,
        owner: metadata.uid(),
        id: (metadata.dev(), metadata.ino()),
    })
}
