//! A bracket expression of a rule, `[a-z]`, `[!a]`, `[[:digit:]]`, as the set of bytes that it matches.
//!
//! Follows the loop in git's `wildmatch.c` step by step, because the odd cases (`]` first, a range after a class, a
//! `[:` that is never closed) have no other definition. A `/` is never matched, whatever the set says.

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// Every byte but `/`: what `?` matches.
    pub fn any() -> ByteSet {
        ByteSet::default().negated()
    }

    /// Adds `byte`.
    pub fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Whether `byte` is in it.
    pub fn contains(self, byte: u8) -> bool {
        (self.0[usize::from(byte >> 6)] >> (byte & 63)) & 1 == 1
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    /// Whether every byte from 0x80 on is in it, so that any part of a multi-byte character matches.
    pub fn has_all_high(self) -> bool {
        self.0[2] == u64::MAX && self.0[3] == u64::MAX
    }

    /// Whether any byte from 0x80 on is in it.
    pub fn has_some_high(self) -> bool {
        self.0[2] != 0 || self.0[3] != 0
    }

    /// The bytes below 0x80 in ascending order.
    pub fn ascii(self) -> impl Iterator<Item = u8> {
        (0..0x80).filter(move |&byte| self.contains(byte))
    }

    fn negated(self) -> ByteSet {
        let mut set = ByteSet(self.0.map(|word| !word));
        set.0[0] &= !((1 << b'/') | 1);
        set
    }

    fn insert_where(&mut self, test: impl Fn(u8) -> bool) {
        (0..=255).filter(|&byte| test(byte)).for_each(|byte| self.insert(byte));
    }
}

/// Reads the expression whose `[` is before `text`. Returns the set and how many bytes were read, or why git never
/// matches anything with it.
pub fn parse(text: &[u8]) -> Result<(ByteSet, usize), &'static str> {
    const UNCLOSED: &str = "the bracket [ is never closed";
    let at = |index: usize| text.get(index).copied();
    let mut position = 0;
    let negated = matches!(at(0), Some(b'!' | b'^'));
    if negated {
        position += 1;
    }
    let mut set = ByteSet::default();
    // The lower end that a `-` would continue; none after a range or a named class.
    let mut previous: Option<u8> = None;
    loop {
        let byte = at(position).ok_or(UNCLOSED)?;
        match byte {
            b'\\' => {
                position += 1;
                let escaped = at(position).ok_or(UNCLOSED)?;
                set.insert(escaped);
                previous = Some(escaped);
            }
            b'-' if previous.is_some() && !matches!(at(position + 1), None | Some(b']')) => {
                position += 1;
                if at(position) == Some(b'\\') {
                    position += 1;
                }
                let high = at(position).ok_or(UNCLOSED)?;
                let low = previous.take().unwrap_or(0);
                set.insert_where(|byte| (low..=high).contains(&byte));
            }
            b'[' if at(position + 1) == Some(b':') => {
                let start = position + 2;
                let length = text[start..].iter().position(|&byte| byte == b']').ok_or(UNCLOSED)?;
                match text[start..start + length].split_last() {
                    Some((b':', name)) => {
                        let class = named(name).ok_or("the bracket names a class that git does not know")?;
                        set.insert_where(class);
                        position = start + length;
                        previous = None;
                    }
                    // No `:]`: an ordinary `[`.
                    _ => {
                        set.insert(b'[');
                        previous = Some(b'[');
                    }
                }
            }
            byte => {
                set.insert(byte);
                previous = Some(byte);
            }
        }
        position += 1;
        if at(position) == Some(b']') {
            break;
        }
    }
    let mut set = if negated { set.negated() } else { set };
    set.0[0] &= !(1 << b'/');
    Ok((set, position + 1))
}

/// git's own character table (`ctype.c`): ASCII only, and `[:space:]` without \v and \f.
fn named(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ascii_of(text: &str) -> String {
        let (set, length) = parse(text.as_bytes()).unwrap();
        assert_eq!(length, text.len(), "{text}");
        set.ascii().map(char::from).filter(|c| c.is_ascii_graphic()).collect()
    }

    #[test]
    fn odd_expressions_mean_what_git_makes_of_them() {
        for (text, expected) in [
            ("abc]", "abc"),
            ("]a]", "]a"),
            ("a-]", "-a"),
            ("-a]", "-a"),
            ("a-c-e]", "-abce"),
            ("[:digit:]-z]", "-0123456789z"),
            ("[:x]", ":[x"),
            ("\\]\\\\]", "\\]"),
            ("+-0]", "+,-.0"),
            ("c-a]", "c"),
        ] {
            assert_eq!(ascii_of(text), expected, "[{text}");
        }
        assert!(!parse(b"!a]").unwrap().0.contains(b'/'));
        assert!(parse(b"^a]").unwrap().0.has_all_high());
    }

    #[test]
    fn what_can_never_match_says_why() {
        for text in ["", "a", "]", "!]", "a\\", "[:alpha:]", "[:nope:]]", "a-\\"] {
            assert!(parse(text.as_bytes()).is_err(), "[{text}");
        }
    }
}
