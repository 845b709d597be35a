//! JSON: one value or several, one after another, to the end.

use std::io::{self, BufReader, Read};

use serde::de::IgnoredAny;

use super::super::budget::JSON_DEPTH;
use super::{BUFFER, Flaw, flaw, read_some};

/// What is wrong with the JSON in `content`, if anything is.
pub(super) fn check(content: &mut dyn Read) -> Result<(), Flaw> {
    let mut values = 0;
    let depth = Depth { inner: content, depth: 0, is_in_string: false, is_escaped: false };
    // Some programs write a byte order mark, and serde_json does not expect one.
    let mut reader = BufReader::with_capacity(BUFFER, depth);
    let first = read_some(&mut reader, 3)?;
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first);
    for value in serde_json::Deserializer::from_reader(first.chain(reader)).into_iter::<IgnoredAny>() {
        value.map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => Flaw::damaged("the file ends too early"),
            serde_json::error::Category::Io => flaw(error.into()),
            _ => Flaw::Damaged(format!(
                "its JSON is wrong at line {}, column {}",
                error.line(),
                error.column()
            )),
        })?;
        values += 1;
    }
    if values == 0 { Err(Flaw::Empty) } else { Ok(()) }
}

/// Counts how deep the JSON that is read through it is nested: the parser remembers each level.
struct Depth<'a> {
    inner: &'a mut dyn Read,
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
}

impl Read for Depth<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        for byte in &buffer[..length] {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_in_string => self.is_escaped = true,
                b'"' => self.is_in_string = !self.is_in_string,
                b'[' | b'{' if !self.is_in_string => self.depth += 1,
                b']' | b'}' if !self.is_in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth > JSON_DEPTH {
                return Err(io::Error::other(format!(
                    "its JSON is nested more than {JSON_DEPTH} levels deep"
                )));
            }
        }
        Ok(length)
    }
}
