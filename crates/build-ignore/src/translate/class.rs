//! Sets of characters as Go's brackets.
//!
//! Go's `filepath.Match` knows `^`, ranges and `\`, nothing else; a bracket takes one character, not one byte. A `/`,
//! a newline and a NUL byte can't be in the file, so ranges are cut such that none of them is an end of one; only the
//! newline can be in the middle of a name, and that one is translated correctly.

use crate::git::class::ByteSet;

/// How many bytes a character takes in UTF-8: two, three or four.
pub const LENGTHS: std::ops::RangeInclusive<usize> = 2..=4;

/// What Go decodes a byte to that is no UTF-8.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// A bracket for the ASCII part of `set`; with `bad_bytes` also for any byte that is no UTF-8. `None` where nothing
/// is left to match.
pub fn ascii(set: ByteSet, bad_bytes: bool) -> Option<String> {
    let has_newline = set.contains(b'\n');
    let is_member = |byte: u8| set.contains(byte);
    let mut inside = String::new();
    if has_newline {
        // Only a negated bracket can match a newline: it names everything else.
        push_ranges(&mut inside, |byte| !is_member(byte));
        if bad_bytes {
            push_range(&mut inside, '\u{80}', '\u{fffc}');
            push_range(&mut inside, '\u{fffe}', char::MAX);
        } else {
            push_range(&mut inside, '\u{80}', char::MAX);
        }
        return Some(format!("[^{inside}]"));
    }
    push_ranges(&mut inside, is_member);
    if bad_bytes {
        inside.push(REPLACEMENT);
    }
    (!inside.is_empty()).then(|| format!("[{inside}]"))
}

/// A bracket for every character that `set` holds when it holds all bytes from 0x80 on, whatever its length: all but
/// the ASCII characters that are missing. If the newline is missing, which can't be named, all that it holds.
pub fn all_but_missing(set: ByteSet) -> String {
    let mut inside = String::new();
    if !set.contains(b'\n') {
        push_ranges(&mut inside, |byte| set.contains(byte));
        push_range(&mut inside, '\u{80}', char::MAX);
        return format!("[{inside}]");
    }
    push_ranges(&mut inside, |byte| !set.contains(byte));
    if inside.is_empty() { "?".to_string() } else { format!("[^{inside}]") }
}

/// A bracket for the characters whose UTF-8 takes one of `lengths` bytes. The replacement character is among them
/// only if `bad_bytes`, because to Go it is the same as a byte that is no UTF-8.
pub fn of_lengths(lengths: impl Iterator<Item = usize>, bad_bytes: bool) -> String {
    let mut inside = String::new();
    for length in lengths {
        match length {
            2 => push_range(&mut inside, '\u{80}', '\u{7ff}'),
            3 if bad_bytes => push_range(&mut inside, '\u{800}', '\u{ffff}'),
            3 => {
                push_range(&mut inside, '\u{800}', '\u{fffc}');
                push_range(&mut inside, '\u{fffe}', '\u{ffff}');
            }
            _ => push_range(&mut inside, '\u{10000}', char::MAX),
        }
    }
    format!("[{inside}]")
}

/// A bracket for the newline alone.
pub fn newline() -> String {
    let mut set = ByteSet::default();
    set.insert(b'\n');
    ascii(set, false).unwrap_or_default()
}

/// The ranges of ASCII bytes for which `is_member` holds. A `/` is in no name, so a range may run across it.
fn push_ranges(inside: &mut String, is_member: impl Fn(u8) -> bool) {
    let crosses = is_member(b'/' - 1) && is_member(b'/' + 1);
    let is_member = |byte: u8| if byte == b'/' { crosses } else { is_member(byte) };
    let mut byte = 1;
    while byte < 0x80 {
        if !is_member(byte) {
            byte += 1;
            continue;
        }
        let low = byte;
        while byte < 0x80 && is_member(byte) {
            byte += 1;
        }
        push_range(inside, char::from(low), char::from(byte - 1));
    }
}

fn push_range(inside: &mut String, low: char, high: char) {
    push_escaped(inside, low);
    if low != high {
        inside.push('-');
        push_escaped(inside, high);
    }
}

fn push_escaped(inside: &mut String, c: char) {
    if matches!(c, '\\' | '[' | ']' | '^' | '-') {
        inside.push('\\');
    }
    inside.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restic::glob::GoGlob;

    #[test]
    fn no_bracket_has_a_newline_in_it_and_each_matches_its_set() {
        // Which of the characters around the newline are in the set.
        for members in 0..16_u8 {
            let mut set = ByteSet::default();
            (0x80..=0xff).for_each(|byte| set.insert(byte));
            for (bit, byte) in [b'\t', b'\n', 0x0b, b'a'].into_iter().enumerate() {
                if members & (1 << bit) != 0 {
                    set.insert(byte);
                }
            }
            for (bracket, is_wide) in [
                (all_but_missing(set), true),
                (ascii(set, true).unwrap(), false),
                (ascii(set, false).unwrap_or_else(|| "[/]".into()), false),
            ] {
                assert!(!bracket.contains('\n'), "{members}: {bracket:?}");
                let glob = GoGlob::parse(bracket.as_bytes()).unwrap();
                for byte in (1..0x80).filter(|&byte| byte != b'/') {
                    assert_eq!(glob.matches(&[byte]), set.contains(byte), "{members}: {bracket:?}, {byte}");
                }
                assert_eq!(glob.matches("é".as_bytes()), is_wide, "{members}: {bracket:?}");
            }
        }
    }
}
