//! Cuts the FIFO's bytes into lines of bounded length and knows where each ended.
//!
//! A line that is too long is reported once, when it has become so, and skipped up to its newline.

use bridge::message::LONGEST;

/// A line, and the position after it, counted like the bytes that were pushed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its bytes without the newline; `None` if it is too long: the rest of it is still to come and to be skipped.
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) end: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Lines {
    open: Vec<u8>,
    skipping: bool,
    position: u64,
}

impl Lines {
    /// Starts at `position`, within a line that was too long if `skipping`.
    pub(crate) fn at(position: u64, skipping: bool) -> Lines {
        Lines { open: Vec::new(), skipping, position }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8], lines: &mut Vec<Line>) {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.extend(&bytes[..end], lines);
            self.position += 1;
            bytes = &bytes[end + 1..];
            if !std::mem::take(&mut self.skipping) {
                lines.push(self.line());
            }
        }
        self.extend(bytes, lines);
    }

    /// The line that has no newline yet, if there is one.
    pub(crate) fn take_open(&mut self) -> Option<Line> {
        (!self.open.is_empty()).then(|| self.line())
    }

    /// Whether there is the start of a line that could still become a message.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    fn line(&mut self) -> Line {
        Line { bytes: Some(std::mem::take(&mut self.open)), end: self.position }
    }

    fn extend(&mut self, bytes: &[u8], lines: &mut Vec<Line>) {
        self.position += bytes.len() as u64;
        if self.skipping {
            return;
        }
        // One more for the carriage return that does not count.
        if self.open.len() + bytes.len() > LONGEST + 1 {
            self.open = Vec::new();
            self.skipping = true;
            lines.push(Line { bytes: None, end: self.position });
        } else {
            self.open.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn texts(lines: &[Line]) -> Vec<(Option<&str>, u64)> {
        lines.iter().map(|l| (l.bytes.as_deref().map(|b| std::str::from_utf8(b).unwrap()), l.end)).collect()
    }

    #[test]
    fn lines_know_where_they_ended_however_they_arrive() {
        let mut lines = Lines::at(100, false);
        let mut out = Vec::new();
        for chunk in [b"on" as &[u8], b"e\ntwo\n\nthr", b"ee"] {
            lines.push(chunk, &mut out);
        }
        assert_eq!(texts(&out), [(Some("one"), 104), (Some("two"), 108), (Some(""), 109)]);
        let open = lines.take_open().unwrap();
        assert_eq!(texts(&[open]), [(Some("three"), 114)]);
        assert!(!lines.is_open());
    }

    #[test]
    fn a_line_without_end_is_reported_once_and_kept_nowhere() {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for _ in 0..1000 {
            lines.push(&[b'x'; 4096], &mut out);
        }
        lines.push(b"tail\nping\n", &mut out);
        assert_eq!(out.len(), 2);
        assert!(out[0].bytes.is_none());
        assert_eq!(out[1].bytes.as_deref(), Some(b"ping" as &[u8]));
    }
}
