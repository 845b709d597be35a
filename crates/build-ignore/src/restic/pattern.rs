//! A line of an exclude file as restic reads it, and which paths it matches.
//!
//! What a reader gets wrong: a pattern matches a path if it matches the path **or any folder above it**, and a line
//! passes through trimming, `$NAME` expansion and path cleaning before it is split.

use std::borrow::Cow;

use crate::index::Step;
use crate::restic::glob::GoGlob;

/// A parsed pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// It begins with `!`: what it matches is taken back in.
    pub negated: bool,
    /// It begins with `/`: its first part is the first part of the path. Otherwise it may begin anywhere.
    pub anchored: bool,
    /// What stands between the slashes.
    pub parts: Vec<Part>,
}

/// One component of a pattern.
pub type Part = Step<GoGlob>;

/// What restic makes of a line of an exclude file.
#[derive(Clone, Debug)]
pub enum Line {
    /// Empty, or a comment.
    Nothing,
    /// A pattern.
    Pattern(Pattern),
    /// A malformed pattern, for which restic refuses the whole file.
    Refused,
}

/// Reads a line without its newline. Variables are taken to be unset: our own output holds none.
pub fn parse_line(line: &[u8]) -> Line {
    let line = trim(line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() || line.starts_with(b"#") {
        return Line::Nothing;
    }
    let line = expand(line);
    let (negated, text) = without_negation(&line);
    let mut parts = Vec::new();
    for name in clean(text) {
        parts.push(match name {
            b"**" => Part::AnyFolders,
            name => match GoGlob::parse(name) {
                Some(glob) => Part::Name(glob),
                None => return Line::Refused,
            },
        });
    }
    Line::Pattern(Pattern { negated, anchored: text.starts_with(b"/"), parts })
}

/// Whether a line is negated, and its text behind `start` and a `/`; `None` if it does not begin like that.
pub fn below<'l>(start: &[u8], line: &'l [u8]) -> Option<(bool, &'l [u8])> {
    let (negated, line) = without_negation(line);
    Some((negated, line.strip_prefix(start)?.strip_prefix(b"/")?))
}

/// The parts of a pattern behind the folder that it begins with, from what [`below`] returns. None where the line can only
/// be understood as a whole. The lines of a service all begin alike, and this spares reading that again for each.
pub fn parse_below(below: &[u8]) -> Option<Vec<Part>> {
    if last_space(below).is_some() {
        return None;
    }
    let below = expand(below);
    let names = || below.split(|&byte| byte == b'/');
    let mut parts = Vec::with_capacity(names().count());
    let mut double_stars = 0;
    for name in names() {
        parts.push(match name {
            b"" | b"." | b".." => return None,
            b"**" => {
                double_stars += 1;
                Part::AnyFolders
            }
            name => Part::Name(GoGlob::parse(name)?),
        });
    }
    (double_stars <= 1 && parts.last() != Some(&Part::AnyFolders)).then_some(parts)
}

/// Whether a line begins with `!`, and what stands behind that.
fn without_negation(line: &[u8]) -> (bool, &[u8]) {
    line.strip_prefix(b"!").map_or((false, line), |text| (true, text))
}

/// Go's `strings.TrimSpace`: Unicode white space.
fn trim(line: &[u8]) -> &[u8] {
    let mut line = line;
    while let Some(length) = first_space(line) {
        line = &line[length..];
    }
    while let Some(length) = last_space(line) {
        line = &line[..line.len() - length];
    }
    line
}

fn first_space(line: &[u8]) -> Option<usize> {
    let first = line.utf8_chunks().next()?.valid().chars().next()?;
    first.is_whitespace().then_some(first.len_utf8())
}

/// The length of the white space character at the end of `line`, if one stands there.
pub fn last_space(line: &[u8]) -> Option<usize> {
    if let Some(last) = line.last().filter(|last| last.is_ascii()) {
        return char::from(*last).is_whitespace().then_some(1);
    }
    let longest = line.len().min(4);
    let last = (1..=longest).find_map(|length| {
        let mut characters = std::str::from_utf8(&line[line.len() - length..]).ok()?.chars();
        characters.next_back()
    })?;
    last.is_whitespace().then_some(last.len_utf8())
}

/// Go's `os.Expand` with nothing set but `$$`.
fn expand(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&b'$') {
        return Cow::Borrowed(line);
    }
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.iter().position(|&byte| byte == b'$') {
        out.extend_from_slice(&rest[..start]);
        rest = &rest[start + 1..];
        match rest.first() {
            Some(b'$') => {
                out.push(b'$');
                rest = &rest[1..];
            }
            Some(b'{') => {
                let end = rest.iter().position(|&byte| byte == b'}').map_or(1, |end| end + 1);
                rest = &rest[end..];
            }
            Some(b'*' | b'#' | b'@' | b'!' | b'?' | b'-' | b'0'..=b'9') => rest = &rest[1..],
            _ => {
                let name =
                    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                if name == 0 {
                    out.push(b'$');
                }
                rest = &rest[name..];
            }
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// Go's `filepath.Clean`, as components.
fn clean(text: &[u8]) -> Vec<&[u8]> {
    let anchored = text.starts_with(b"/");
    let mut names: Vec<&[u8]> = Vec::new();
    for name in text.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if names.last().is_some_and(|last| *last != b"..") => {
                names.pop();
            }
            b".." if anchored => {}
            name => names.push(name),
        }
    }
    if names.is_empty() && !anchored {
        names.push(b".");
    }
    names
}

impl Pattern {
    /// Whether it matches the absolute path that `names` make, or a folder above it.
    pub fn matches(&self, names: &[&[u8]]) -> bool {
        if self.anchored {
            return matches_here(&self.parts, names, 0);
        }
        (0..names.len()).any(|start| matches_here(&self.parts, &names[start..], start + 1))
    }

    /// How many `**` it holds.
    pub fn double_stars(&self) -> usize {
        self.parts.iter().filter(|part| **part == Part::AnyFolders).count()
    }
}

/// Whether `parts` match `names` or their beginning. restic lets the first `**` stand for at most as many names as are
/// left when every other part, a later `**` too, takes one: a quirk by which `/a/**/b/**/c` misses `/a/b/c`. It counts
/// the names before a pattern that is not anchored as well: those are `uncounted` here.
///
/// How far a `**` may reach depends only on what follows it, so the first place at which the names between two of them
/// fit is the best one: the time is at most the product of both lengths.
fn matches_here(parts: &[Part], names: &[&[u8]], uncounted: usize) -> bool {
    let most = names.len() + uncounted + 1;
    let fits_at = |parts: &[Part], start: usize| {
        parts.len() <= names.len() - start
            && parts.iter().zip(&names[start..]).all(|(part, name)| fits(part, name))
    };
    let (mut earliest, mut latest) = (0, 0);
    let mut rest = parts;
    loop {
        let length = rest.iter().take_while(|part| **part != Part::AnyFolders).count();
        let (between, after) = rest.split_at(length);
        if after.is_empty() {
            return (earliest..=latest).any(|start| fits_at(between, start));
        }
        let Some(last_start) = most.checked_sub(rest.len()) else { return false };
        let Some(start) = (earliest..=latest.min(last_start)).find(|start| fits_at(between, *start)) else {
            return false;
        };
        earliest = start + length;
        latest = names.len().min(most - after.len());
        rest = &after[1..];
    }
}

fn fits(part: &Part, name: &[u8]) -> bool {
    match part {
        Part::Name(glob) => glob.matches(name),
        Part::AnyFolders => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn does_match(line: &str, path: &str) -> bool {
        let Line::Pattern(pattern) = parse_line(line.as_bytes()) else { panic!("{line} is no pattern") };
        let names: Vec<&[u8]> = path.split('/').filter(|name| !name.is_empty()).map(str::as_bytes).collect();
        pattern.matches(&names)
    }

    #[test]
    fn patterns_match_as_restic_matches() {
        for (line, path, expected) in [
            ("/a/b", "/a/b/c", true),
            ("/a/*", "/a", false),
            ("/a/**", "/a", true),
            ("/a/**/c", "/a/c", true),
            ("/a/**/b/**/c", "/a/b/c", false),
            ("/a/**/b/**/c", "/a/b/c/d", true),
            ("/a/**/b/**/c", "/a/b/x/c", true),
            ("a/b", "/x/a/b/y", true),
            ("  /a//b/./c/../  ", "/a/b", true),
            ("/a/$$x", "/a/$x", true),
            ("/a/$x", "/a", true),
            ("/a\u{3000}", "/a", true),
        ] {
            assert_eq!(does_match(line, path), expected, "{line} {path}");
        }
    }

    /// As restic does it, which takes years for a deep path.
    fn by_trying(parts: &[Part], names: &[&[u8]], uncounted: usize) -> bool {
        let Some(first) = parts.iter().position(|part| *part == Part::AnyFolders) else {
            return parts.len() <= names.len()
                && parts.iter().zip(names).all(|(part, name)| fits(part, name));
        };
        let (before, after) = (&parts[..first], &parts[first + 1..]);
        if names.len() < before.len() || !before.iter().zip(names).all(|(part, name)| fits(part, name)) {
            return false;
        }
        let Some(slack) = (names.len() + uncounted).checked_sub(parts.len() - 1) else { return false };
        (0..=slack.min(names.len() - first)).any(|skip| by_trying(after, &names[first + skip..], uncounted))
    }

    #[test]
    fn the_quick_way_agrees_with_trying_everything() {
        // Every pattern of up to 5 parts and every path of up to 5 names, of two names each.
        let parts_of = |mut number: usize| -> Vec<Part> {
            let mut parts = Vec::new();
            while number > 0 {
                parts.push(match number % 4 {
                    0 => Part::AnyFolders,
                    1 => Part::Name(GoGlob::parse(b"a").unwrap()),
                    2 => Part::Name(GoGlob::parse(b"b").unwrap()),
                    _ => Part::Name(GoGlob::parse(b"*").unwrap()),
                });
                number /= 4;
            }
            parts
        };
        for parts in (0..4usize.pow(5)).map(parts_of) {
            for path in 0..63usize {
                let length = (path + 1).ilog2();
                let names: Vec<&[u8]> = (0..length)
                    .map(|bit| if (path + 1) >> bit & 1 == 0 { b"a".as_slice() } else { b"b" })
                    .collect();
                for uncounted in 0..2 {
                    assert_eq!(
                        matches_here(&parts, &names, uncounted),
                        by_trying(&parts, &names, uncounted),
                        "{parts:?} {names:?} {uncounted}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_restic_would_refuse_is_reported() {
        assert!(matches!(parse_line(b"/a/[b"), Line::Refused));
        assert!(matches!(parse_line(b"  # [b"), Line::Nothing));
    }
}
