//! The lines of one `.resticignore` as rules, read as git's `dir.c` reads an exclude file.
//!
//! In come the file's bytes; out come its rules, each with line number and text, and what is wrong with lines that
//! can't match anything. Line 1 is the first; a line that git never matches is still in the list, so that it can
//! be shown.

use std::borrow::Cow;
use std::sync::Arc;

use common::text::escaped;

use crate::git::class::{self, ByteSet};
use crate::git::glob::{Glob, Token};
use crate::git::star;
use crate::index::Step;

/// One line that is neither empty nor a comment.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its line, counted from 1; 0 for a rule that is assumed because the file can't be read.
    pub line: usize,
    /// What stands there, without newline, carriage return and blanks at the end.
    pub text: Vec<u8>,
    /// It begins with `!`: what it matches is kept.
    pub negated: bool,
    /// It ends with `/`: only folders match.
    pub folders_only: bool,
    /// What it matches, below the folder of its file; or why git never matches anything with it.
    pub path: Result<Arc<[Segment]>, &'static str>,
}

/// No path that a program can open is longer (PATH_MAX), so no name is.
const LONGEST_NAME: usize = 4096;
/// More characters of a rule than this are not shown.
const MOST_SHOWN: usize = 200;

impl Rule {
    /// A rule by which everything in the folder is kept, for a file that can't be read: it may hold such a rule.
    pub fn keep_everything() -> Rule {
        let path = [Segment::AnyFolders, Segment::Name(Glob::Any)];
        let text = b"everything in it is kept".to_vec();
        Rule { line: 0, text, negated: true, folders_only: false, path: Ok(path.into()) }
    }

    /// The line as it follows the path of a file: `:3`.
    pub fn after_path(&self) -> String {
        if self.line == 0 { String::new() } else { [":", &self.line.to_string()].concat() }
    }

    /// Its text for a person: harmless, and no longer than one reads.
    pub fn excerpt(&self) -> Cow<'_, str> {
        let text = escaped(&self.text);
        if text.len() <= MOST_SHOWN {
            return text;
        }
        match text.char_indices().nth(MOST_SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]).into(),
            None => text,
        }
    }
}

/// A part of the path that a rule matches.
pub type Segment = Step<Glob>;

/// The rules of a file whose content is `text`.
pub fn parse(text: &[u8]) -> Vec<Rule> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    // What follows the last newline is a line only if something stands there.
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let mut rules = Vec::with_capacity(lines.len());
    rules.extend(lines.into_iter().zip(1..).filter_map(|(text, line)| parse_line(line, text)));
    rules
}

fn parse_line(line: usize, text: &[u8]) -> Option<Rule> {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.starts_with(b"#") {
        return None;
    }
    // git handles lines as C strings: a NUL byte ends one.
    let visible = text.split(|&byte| byte == 0).next().unwrap_or(text);
    let visible = without_trailing_blanks(visible);
    if visible.is_empty() {
        return None;
    }
    let (negated, pattern) = match visible.strip_prefix(b"!") {
        Some(pattern) => (true, pattern),
        None => (false, visible),
    };
    let (folders_only, pattern) = match pattern.strip_suffix(b"/") {
        Some(pattern) => (true, pattern),
        None => (false, pattern),
    };
    Some(Rule { line, text: visible.to_vec(), negated, folders_only, path: parse_path(pattern) })
}

/// Blanks at the end go, unless a backslash stands before them; only the blank itself, no tab.
fn without_trailing_blanks(text: &[u8]) -> &[u8] {
    let mut end = text.len();
    let mut blanks_from = None;
    let mut index = 0;
    while index < text.len() {
        match text[index] {
            b' ' => {
                blanks_from.get_or_insert(index);
            }
            b'\\' => {
                index += 1;
                if index == text.len() {
                    return text;
                }
                blanks_from = None;
            }
            _ => blanks_from = None,
        }
        index += 1;
    }
    if let Some(from) = blanks_from {
        end = from;
    }
    &text[..end]
}

/// A pattern with a `/` anywhere but at its end is anchored to the folder of its file, one without matches below it
/// at any depth.
fn parse_path(pattern: &[u8]) -> Result<Arc<[Segment]>, &'static str> {
    let anchored = pattern.contains(&b'/');
    let mut segments = Vec::with_capacity(4);
    if !anchored {
        segments.push(Segment::AnyFolders);
    }
    let mut rest = pattern.strip_prefix(b"/").unwrap_or(pattern);
    let mut name = Vec::with_capacity(rest.len());
    loop {
        name.clear();
        let end = read_name(&mut rest, &mut name)?;
        let is_double_star = name.len() >= 2 && name.iter().all(|token| *token == Token::Star);
        if anchored && is_double_star {
            match end {
                // `a/**`: everything below a, not a itself.
                End::Pattern => segments.extend([Segment::AnyFolders, Segment::Name(Glob::Any)]),
                // wildmatch lets `**` stand for no folder at all only before a plain `/`, not before `\/`.
                End::EscapedSlash => segments.extend([Segment::Name(Glob::Any), Segment::AnyFolders]),
                End::Slash => segments.push(Segment::AnyFolders),
            }
        } else {
            segments.push(Segment::Name(as_name(&name)?));
        }
        if end == End::Pattern {
            break;
        }
    }
    segments.dedup_by(|a, b| *a == Segment::AnyFolders && *b == Segment::AnyFolders);
    Ok(segments.into())
}

fn as_name(tokens: &[Token]) -> Result<Glob, &'static str> {
    if tokens.is_empty() {
        return Err("it has an empty name");
    }
    if matches!(tokens, [Token::Byte(b'.')] | [Token::Byte(b'.'), Token::Byte(b'.')]) {
        return Err("no name is . or ..");
    }
    if tokens.iter().filter(|token| matches!(token, Token::One(_))).count() > LONGEST_NAME {
        return Err("it is longer than any name");
    }
    if tokens.iter().any(|token| matches!(token, Token::One(set) if set.is_empty())) {
        return Err("a bracket in it matches no character");
    }
    Ok(Glob::new(tokens))
}

/// Where a name in a pattern ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Slash,
    /// At a `\/`.
    EscapedSlash,
    Pattern,
}

/// Takes one name off the front of `pattern`, and what ends it; its tokens go into `name`.
fn read_name(pattern: &mut &[u8], name: &mut Vec<Token>) -> Result<End, &'static str> {
    while let Some((&byte, after)) = pattern.split_first() {
        *pattern = after;
        name.push(match byte {
            b'/' => return Ok(End::Slash),
            b'*' => Token::Star,
            b'?' => Token::One(ByteSet::any()),
            b'[' => {
                let (set, length) = class::parse(after)?;
                *pattern = &after[length..];
                Token::One(set)
            }
            b'\\' => {
                let (&escaped, after) = after.split_first().ok_or("it ends with a backslash")?;
                *pattern = after;
                if escaped == b'/' {
                    return Ok(End::EscapedSlash);
                }
                Token::Byte(escaped)
            }
            byte => Token::Byte(byte),
        });
    }
    Ok(End::Pattern)
}

/// Whether the path `names` (below the folder of the rule's file) is matched by `path`. The plain definition, for
/// tests and for one path; a walk uses the index.
pub fn matches(path: &[Segment], names: &[&[u8]]) -> bool {
    star::matches(
        path,
        names,
        |segment| *segment == Segment::AnyFolders,
        |segment, name| match segment {
            Segment::Name(glob) => glob.matches(name),
            Segment::AnyFolders => false,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn only(text: &str) -> Rule {
        let rules = parse(text.as_bytes());
        assert_eq!(rules.len(), 1, "{text:?}");
        rules.into_iter().next().unwrap()
    }

    #[track_caller]
    fn does_match(rule: &str, path: &str) -> bool {
        let names: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        only(rule).path.is_ok_and(|segments| matches(&segments, &names))
    }

    #[test]
    fn lines_are_trimmed_as_git_trims_them() {
        let texts: Vec<_> = parse(b"\xef\xbb\xbfa  \r\n\n# c\n \n\\#b\\  \n\tc\t\nd\\\n!e\0f\nlast")
            .into_iter()
            .map(|rule| (rule.line, String::from_utf8(rule.text).unwrap()))
            .collect();
        let expected = [(1, "a"), (5, "\\#b\\ "), (6, "\tc\t"), (7, "d\\"), (8, "!e"), (9, "last")];
        assert_eq!(texts, expected.map(|(line, text)| (line, text.to_string())));
    }

    #[test]
    fn a_slash_anchors_unless_it_stands_at_the_end() {
        for (rule, path, expected) in [
            ("a", "x/a", true),
            ("a/", "x/a", true),
            ("/a", "x/a", false),
            ("a/b", "x/a/b", false),
            ("a[/]b", "a/b", false),
            ("a[x/y]b", "axb", true),
            ("a[x/y]b", "q/axb", false),
            ("*", "x/y", true),
            ("**", "x/y", true),
            ("**/", "x/y", true),
            ("/**", "x/y", true),
            ("**/a", "a", true),
            ("**\\/a", "a", false),
            ("**\\/a", "x/a", true),
            ("a/**", "a", false),
            ("a/**", "a/b/c", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a**/b", "a/x/b", false),
            ("a**/b", "axx/b", true),
            ("a//b", "a/b", false),
            ("a//", "a", false),
            ("./a", "a", false),
            ("a/../b", "b", false),
            ("\\a", "a", true),
            ("\\!a", "!a", true),
            ("a\\/b", "a/b", true),
            ("/", "a", false),
        ] {
            assert_eq!(does_match(rule, path), expected, "{rule} {path}");
        }
    }

    #[test]
    fn what_git_never_matches_says_why() {
        let long = "?".repeat(5000);
        for text in ["[a", "a\\", "a//b", ".", "/../x", "!", "/", "[/]", "[[:nope:]]", &long] {
            assert!(only(text).path.is_err(), "{text}");
        }
    }
}
