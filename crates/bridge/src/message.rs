//! One line that names an action: `name`, or `name text`.
//!
//! In come the bytes of a line without its newline; out comes a [`Message`] or why it is none. The line is from a
//! side that is not trusted: a name is `[a-z0-9][a-z0-9-]*` and so is always a harmless file name, and a text holds
//! no control character.

use std::fmt;

use crate::action::BuiltIn;

/// The longest line, in bytes, without its newline.
pub const LONGEST: usize = 4096;
/// The longest line that is made here: with its newline it is written to a FIFO whole or not at all (pipe(7), PIPE_BUF).
const WHOLE: usize = 4095;

/// An action's name and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `[a-z0-9][a-z0-9-]*`.
    pub name: String,
    /// What follows the name, without blanks at its ends; may be empty.
    pub text: String,
}

/// Why a line is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is empty.
    Empty,
    /// It is longer than [`LONGEST`].
    TooLong,
    /// It is not UTF-8.
    NotUtf8,
    /// It holds a control character other than a tab.
    Control,
    /// It does not start with a name.
    Name,
}

impl Message {
    /// The built-in action that it names.
    pub fn built_in(&self) -> Option<BuiltIn> {
        BuiltIn::named(&self.name)
    }

    /// Reads a line. A carriage return before the newline and blanks at both ends don't count.
    pub fn parse(line: &[u8]) -> Result<Message, Malformed> {
        if line.len() > LONGEST + 1 {
            return Err(Malformed::TooLong);
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Err(Malformed::Empty);
        }
        if line.len() > LONGEST {
            return Err(Malformed::TooLong);
        }
        let line = std::str::from_utf8(line).map_err(|_| Malformed::NotUtf8)?;
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Malformed::Control);
        }
        let (name, text) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        if !is_name(name) {
            return Err(Malformed::Name);
        }
        Ok(Message { name: name.to_string(), text: text.trim().to_string() })
    }
}

/// Whether `name` could be an action's name.
pub fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|&b| b != b'-')
        && bytes.iter().all(|&b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The line with `name` and `text`, made fit to be sent: control characters (an error text has newlines)
/// become blanks, and what is too long is cut. Nothing is lost that an action could use.
pub fn line_of(name: &str, text: &str) -> String {
    let mut line = String::from(name);
    let text = text.trim();
    if !text.is_empty() {
        line.push(' ');
        line.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    if line.len() > WHOLE {
        let cut = (0..=WHOLE - '…'.len_utf8()).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
        line.truncate(cut);
        line.push('…');
    }
    line
}

/// Like [`line_of`], but of what is too long the middle is left out: the end of an error explains most.
pub fn line_with_end(name: &str, text: &str) -> String {
    const START: usize = 400;
    const MARK: &str = " … ";
    let room = WHOLE.saturating_sub(name.len() + 1);
    let text = text.trim();
    if text.len() <= room || room < 2 * START {
        return line_of(name, text);
    }
    let start = (0..=START).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let wanted = text.len() - (room - start - MARK.len());
    let end = (wanted..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    line_of(name, &format!("{}{MARK}{}", &text[..start], &text[end..]))
}

/// The line that was or would have been sent.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.text.is_empty() {
            write!(f, " {}", self.text)?;
        }
        Ok(())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Empty => "it is empty",
            Malformed::TooLong => "it is longer than 4,096 bytes",
            Malformed::NotUtf8 => "it is not UTF-8",
            Malformed::Control => "it holds a control character",
            Malformed::Name => "it does not start with a name made of a-z, 0-9 and -",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn parse(line: &[u8]) -> Result<(String, String), Malformed> {
        Message::parse(line).map(|message| (message.name, message.text))
    }

    #[test]
    fn a_name_and_an_optional_text() {
        for (line, name, text) in [
            ("pre-backups", "pre-backups", ""),
            ("pre-backups\r", "pre-backups", ""),
            (" ping ", "ping", ""),
            ("notify-up  all is  well ", "notify-up", "all is  well"),
            ("0\ttab", "0", "tab"),
            ("notify-down Käse $(rm -rf /) `x` ; 'q'", "notify-down", "Käse $(rm -rf /) `x` ; 'q'"),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok((name.into(), text.into())), "{line}");
        }
    }

    #[test]
    fn what_is_no_message_says_why() {
        let long = vec![b'a'; LONGEST + 1];
        for (line, why) in [
            (b"" as &[u8], Malformed::Empty),
            (b" \t\r", Malformed::Empty),
            (&long, Malformed::TooLong),
            (b"ping \xff", Malformed::NotUtf8),
            (b"ping \0", Malformed::Control),
            (b"ping \x1b[2J", Malformed::Control),
            ("ping \u{9b}2J".as_bytes(), Malformed::Control),
            (b"../../etc/passwd", Malformed::Name),
            (b"-rf", Malformed::Name),
            (b"Ping", Malformed::Name),
            (b"a/b", Malformed::Name),
            ("ping\u{a0}x".as_bytes(), Malformed::Name),
        ] {
            assert_eq!(parse(line), Err(why), "{line:?}");
        }
        assert!(parse(&long[1..]).is_ok());
    }

    #[test]
    fn an_error_text_is_made_fit_to_be_sent() {
        assert_eq!(line_of("notify-down", "one\ntwo\x1b\0"), "notify-down one two  ");
        let line = line_of("notify-down", &"ä".repeat(5000));
        assert!(line.len() <= LONGEST && line.ends_with("ä…"), "{}", line.len());
        let line = line_with_end("notify-down", &format!("{} Fatal: no", "ä".repeat(5000)));
        assert!(line.len() <= LONGEST && line.ends_with("ä Fatal: no"), "{}", line.len());
        assert!(line.starts_with("notify-down ä") && line.contains("ä … ä"), "{line}");
        assert_eq!(line_with_end("notify-down", "short"), "notify-down short");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_understood(name in "[a-z0-9][a-z0-9-]{0,20}", text in any::<String>()) {
            let message = Message::parse(line_of(&name, &text).as_bytes()).unwrap();
            assert_eq!(message.name, name);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(message) = Message::parse(&line) {
                assert!(is_name(&message.name) && !message.text.contains(|c: char| c.is_control() && c != '\t'));
            }
        }
    }
}
