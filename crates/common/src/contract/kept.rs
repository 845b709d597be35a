//! `build-ignore --kept0`: every path that the rules keep, as records that end with NUL bytes, because a name may hold
//! any other byte.
//!
//! A [`Record::Root`] comes before what is below it. Then the order is restic's: names compared byte by byte, a folder
//! before its content. The last record is [`Record::End`]; without it the list is cut.

use std::io::{self, BufRead, ErrorKind, Write};

/// One record. Paths are below the root, names separated by `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The root that the records after it are about.
    Root {
        /// Its folder on the host.
        at: Vec<u8>,
        /// Where restic sees it.
        seen_at: Vec<u8>,
        /// What is in it.
        content: Content,
    },
    /// A folder.
    Folder {
        /// Its path.
        path: Vec<u8>,
        /// What the rules keep in it, at any depth.
        content: Content,
    },
    /// A regular file.
    File(Vec<u8>),
    /// A symlink, device, socket or FIFO.
    Other(Vec<u8>),
    /// A folder that can't be entered, so that its content is not listed.
    Closed(Vec<u8>),
    /// A service in which more is backed up than the rules keep; empty for the root itself.
    Unbounded(Vec<u8>),
    /// The list is complete.
    End,
}

/// How much a folder holds that the rules keep, at any depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// How many entries, itself apart.
    pub entries: u64,
    /// The bytes of their names.
    pub name_bytes: u64,
    /// How many names deep the deepest is.
    pub depth: u64,
}

impl Record {
    /// Writes the record.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (kind, fields): (u8, [&[u8]; 2]) = match self {
            Record::Root { at, seen_at, .. } => (b'R', [at, seen_at]),
            Record::Folder { path, .. } => (b'D', [path, b""]),
            Record::File(path) => (b'F', [path, b""]),
            Record::Other(path) => (b'O', [path, b""]),
            Record::Closed(path) => (b'C', [path, b""]),
            Record::Unbounded(path) => (b'U', [path, b""]),
            Record::End => (b'E', [b"", b""]),
        };
        out.write_all(&[kind])?;
        out.write_all(fields[0])?;
        out.write_all(b"\0")?;
        if let Record::Root { content, .. } | Record::Folder { content, .. } = self {
            let Content { entries, name_bytes, depth } = content;
            write!(out, "{entries} {name_bytes} {depth}\0")?;
        }
        if matches!(self, Record::Root { .. }) {
            out.write_all(fields[1])?;
            out.write_all(b"\0")?;
        }
        Ok(())
    }

    /// Reads the next record. Fails at the end of the input, which comes after [`Record::End`] only.
    pub fn read(input: &mut impl BufRead) -> io::Result<Record> {
        let mut first = field(input)?;
        if first.is_empty() {
            return Err(ErrorKind::InvalidData.into());
        }
        let kind = first.remove(0);
        Ok(match kind {
            b'R' => {
                let content = content(&field(input)?)?;
                Record::Root { at: first, content, seen_at: field(input)? }
            }
            b'D' => Record::Folder { path: first, content: content(&field(input)?)? },
            b'F' => Record::File(first),
            b'O' => Record::Other(first),
            b'C' => Record::Closed(first),
            b'U' => Record::Unbounded(first),
            b'E' => Record::End,
            _ => return Err(ErrorKind::InvalidData.into()),
        })
    }
}

fn field(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut field = Vec::new();
    input.read_until(0, &mut field)?;
    if field.pop() == Some(0) { Ok(field) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn content(text: &[u8]) -> io::Result<Content> {
    let numbers = std::str::from_utf8(text).ok().map(|text| text.split(' ').map(str::parse));
    let numbers: Option<Vec<u64>> = numbers.and_then(|numbers| numbers.collect::<Result<_, _>>().ok());
    match numbers.as_deref() {
        Some(&[entries, name_bytes, depth]) => Ok(Content { entries, name_bytes, depth }),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let content = Content { entries: 3, name_bytes: 12, depth: 2 };
        let records = [
            Record::Root { at: b"/h/data".to_vec(), seen_at: b"/userdata/data".to_vec(), content },
            Record::Closed(b"pg".to_vec()),
            Record::Unbounded(Vec::new()),
            Record::Folder { path: b"a\n\xff".to_vec(), content },
            Record::File(b"a\n\xff/f".to_vec()),
            Record::Other(b"l".to_vec()),
            Record::End,
        ];
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.write(&mut bytes).unwrap());
        let mut input = &bytes[..];
        for record in &records {
            assert_eq!(Record::read(&mut input).unwrap(), *record);
        }
        assert_eq!(Record::read(&mut input).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        for cut in 1..bytes.len() {
            let mut input = &bytes[..cut];
            while let Ok(record) = Record::read(&mut input) {
                assert_ne!(record, Record::End, "cut at {cut}");
            }
        }
    }
}
