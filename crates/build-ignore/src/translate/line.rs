//! A pattern's components as one line of the exclude file, such that restic reads back just these components.
//!
//! restic trims white space at both ends of a line, expands `$`, and drops a carriage return; lines longer than 64 KiB
//! make it refuse the file.

use crate::restic::pattern::last_space;

/// A part of a pattern before it becomes text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// `**`.
    AnyFolders,
    /// A component in Go's syntax.
    Name(Vec<u8>),
}

/// Go's scanner takes lines of less than 64 KiB; what is longer is not written.
pub const LONGEST: usize = 60 << 10;

/// The line; `None` where it would be too long.
pub fn line(negated: bool, anchored: bool, parts: &[Out]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    if negated {
        text.push(b'!');
    }
    for (position, part) in parts.iter().enumerate() {
        if anchored || position > 0 {
            text.push(b'/');
        }
        match part {
            Out::AnyFolders => text.extend_from_slice(b"**"),
            Out::Name(name) => name.iter().for_each(|&byte| {
                text.push(byte);
                if byte == b'$' {
                    text.push(b'$');
                }
            }),
        }
    }
    if let Some(length) = last_space(&text) {
        let start = text.len() - length;
        text.insert(start, b'[');
        text.push(b']');
    }
    (text.len() <= LONGEST).then_some(text)
}
