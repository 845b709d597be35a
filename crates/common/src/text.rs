//! Text that came from somewhere else (file names, a script's output, a message) made safe and readable for a
//! terminal or a log: control and bidirectional characters and bytes that are no UTF-8 are written out.
//!
//! What is escaped can't be turned back; it is for people only, never for a path that is opened afterwards.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use anstyle::AnsiColor;
pub use anstyle::Style;

/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What to look at.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// What failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What can be skipped by the eye.
pub const DIM: Style = Style::new().dimmed();

/// `bytes` as one line of harmless text: `\n`, `\t`, `\x1b`, `\u{202e}`; a byte that is not UTF-8 becomes `\xff`.
pub fn escape(bytes: &[u8]) -> String {
    escaped(bytes).into_owned()
}

/// [`escape`] without a copy of a text that is harmless as it is.
pub fn escaped(bytes: &[u8]) -> Cow<'_, str> {
    // Nearly every text is plain. Without an early end the compiler looks at many bytes at once.
    let is_plain = bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if let (true, Ok(text)) = (is_plain, std::str::from_utf8(bytes)) {
        return text.into();
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.into()
}

/// [`escape`] for a file name or path.
pub fn escape_path(path: impl AsRef<OsStr>) -> String {
    escape(path.as_ref().as_bytes())
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if c.is_control() || is_invisible_or_bidirectional(c) => {
            out.push_str(&format!("\\u{{{:x}}}", c as u32));
        }
        c => out.push(c),
    }
}

/// Characters that reorder or hide their neighbours (Unicode's Bidi_Control, line and paragraph separators,
/// zero-width characters and the byte order mark).
fn is_invisible_or_bidirectional(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A name or path as one word of a shell, in a command that a person is to type. Bytes that would steer a terminal are
/// escaped.
pub fn word(text: impl AsRef<OsStr>) -> String {
    let text = escape_path(text);
    shlex::try_quote(&text).map(Into::into).unwrap_or(text)
}

/// `count` with its noun: "1 file", "3 files". Only for nouns whose plural takes an s.
pub fn count(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The candidate that a person most likely meant by `word`: the same but for its case or for a few slips of the keyboard;
/// `None` if none is near.
pub fn meant<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    let slips = |candidate: &&str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let near = |candidate: &&str| slips(candidate) <= word.chars().count().div_ceil(4);
    candidates.into_iter().filter(near).min_by_key(slips)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_written_out() {
        assert_eq!(escape(b"a\x1b[31m\x07\n\xff\x7f"), "a\\x1b[31m\\x07\\n\\xff\\x7f");
        assert_eq!(escape("x\u{202e}y\u{9b}z\u{200b}".as_bytes()), "x\\u{202e}y\\u{9b}z\\u{200b}");
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        assert_eq!(escape("Käse & 日本.txt".as_bytes()), "Käse & 日本.txt");
    }

    #[test]
    fn a_slip_or_another_case_is_recognized_and_another_word_is_not() {
        let names = ["immich", "Nextcloud", "wiki", "db"];
        for (word, expected) in [
            ("imich", Some("immich")),
            ("imimch", Some("immich")),
            ("nextcloud", Some("Nextcloud")),
            ("wikki", Some("wiki")),
            ("DB", Some("db")),
            ("ab", Some("db")),
            ("paperless", None),
            ("", None),
        ] {
            assert_eq!(meant(word, names), expected, "{word}");
        }
    }
}
