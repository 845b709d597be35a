//! Cuts a stream of bytes into lines of bounded length.
//!
//! A line that is longer than the bound comes in pieces, so a child that writes a gigabyte without a newline needs
//! no more memory than one that writes poetry.

const LONGEST: usize = 8 << 10;

pub(super) struct Lines {
    open: Vec<u8>,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines { open: Vec::new() }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], each_line: &mut dyn FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.extend(&bytes[..end], each_line);
            each_line(without_cr(&self.open));
            self.open.clear();
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes, each_line);
    }

    /// Passes on the text after the last newline, if there is any.
    pub(super) fn finish(&mut self, each_line: &mut dyn FnMut(&[u8])) {
        if !self.open.is_empty() {
            each_line(without_cr(&self.open));
            self.open.clear();
        }
    }

    fn extend(&mut self, mut bytes: &[u8], each_line: &mut dyn FnMut(&[u8])) {
        while self.open.len() + bytes.len() > LONGEST {
            let (piece, rest) = bytes.split_at(LONGEST - self.open.len());
            self.open.extend_from_slice(piece);
            each_line(&self.open);
            self.open.clear();
            bytes = rest;
        }
        self.open.extend_from_slice(bytes);
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let mut out = Vec::new();
        let mut lines = Lines::new();
        let mut keep = |line: &[u8]| out.push(String::from_utf8_lossy(line).into_owned());
        for chunk in chunks {
            lines.push(chunk, &mut keep);
        }
        lines.finish(&mut keep);
        out
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        assert_eq!(lines_of(&[b"a", b"b\r\nc\n", b"\nlast"]), ["ab", "c", "", "last"]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let long = vec![b'x'; 3 * LONGEST + 5];
        let lengths: Vec<_> = lines_of(&[&long, b"\n"]).iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, LONGEST, 5]);
    }
}
