//! One component of a pattern and whether Go's `filepath.Match` matches one name with it.
//!
//! What a reader gets wrong: `?` and a bracket take one character, where a byte that is no UTF-8 counts as U+FFFD;
//! but a `*` moves byte by byte, into the middle of a character too. And Go never goes back to an earlier `*`: the
//! piece behind it is taken where it fits first.

use crate::index::{Form, NamePattern};

/// A component in parsed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoGlob(GoGlobForm);

#[derive(Clone, Debug, PartialEq, Eq)]
enum GoGlobForm {
    /// `*`.
    Any,
    Literal(Vec<u8>),
    /// A `*` and this.
    Suffix(Vec<u8>),
    Chunks {
        chunks: Vec<Chunk>,
        /// A `*` stands at the end.
        ends_with_star: bool,
        /// The plain text at its end; every name that it matches has it.
        ending: Vec<u8>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    star_before: bool,
    elements: Vec<Element>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    Byte(u8),
    AnyCharacter,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl GoGlob {
    /// Reads a component; `None` where Go calls it a bad pattern, for which restic refuses the whole file.
    pub fn parse(text: &[u8]) -> Option<GoGlob> {
        // Without any of these restic compares the component as it stands.
        let is_plain = |text: &[u8]| !text.iter().any(|byte| b"\\[]*?".contains(byte));
        match text.split_first() {
            _ if is_plain(text) => return Some(GoGlob(GoGlobForm::Literal(text.to_vec()))),
            Some((b'*', [])) => return Some(GoGlob(GoGlobForm::Any)),
            Some((b'*', ending)) if is_plain(ending) => {
                return Some(GoGlob(GoGlobForm::Suffix(ending.to_vec())));
            }
            _ => {}
        }
        let mut chunks = Vec::new();
        let mut chunk = Chunk { star_before: false, elements: Vec::new() };
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let element = match byte {
                b'*' => {
                    if !chunk.elements.is_empty() {
                        chunks.push(chunk);
                    }
                    chunk = Chunk { star_before: true, elements: Vec::new() };
                    continue;
                }
                b'?' => Element::AnyCharacter,
                b'[' => {
                    let (class, after) = parse_class(rest)?;
                    rest = after;
                    class
                }
                b'\\' => {
                    let (&escaped, after) = rest.split_first()?;
                    rest = after;
                    Element::Byte(escaped)
                }
                byte => Element::Byte(byte),
            };
            chunk.elements.push(element);
        }
        let ends_with_star = chunk.elements.is_empty() && chunk.star_before;
        if !chunk.elements.is_empty() {
            chunks.push(chunk);
        }
        Some(GoGlob::new(chunks, ends_with_star))
    }

    fn new(chunks: Vec<Chunk>, ends_with_star: bool) -> GoGlob {
        let simple = match (chunks.as_slice(), ends_with_star) {
            ([], true) => Some(GoGlobForm::Any),
            ([only], false) => literal(&only.elements).map(|bytes| {
                if only.star_before { GoGlobForm::Suffix(bytes) } else { GoGlobForm::Literal(bytes) }
            }),
            _ => None,
        };
        GoGlob(simple.unwrap_or_else(|| {
            let last = chunks.last().filter(|_| !ends_with_star).map_or([].as_slice(), |last| &last.elements);
            let from = last.iter().rposition(|element| !matches!(element, Element::Byte(_)));
            let ending = literal(&last[from.map_or(0, |before| before + 1)..]).unwrap_or_default();
            GoGlobForm::Chunks { chunks, ends_with_star, ending }
        }))
    }

    /// Whether it matches the whole of `name`.
    pub fn matches(&self, name: &[u8]) -> bool {
        let (chunks, ends_with_star) = match &self.0 {
            GoGlobForm::Any => return true,
            GoGlobForm::Literal(literal) => return literal == name,
            GoGlobForm::Suffix(suffix) => return name.ends_with(suffix),
            GoGlobForm::Chunks { chunks, ends_with_star, .. } => (chunks, *ends_with_star),
        };
        let mut left = name;
        for (index, chunk) in chunks.iter().enumerate() {
            let must_reach_end = index + 1 == chunks.len() && !ends_with_star;
            let starts = if chunk.star_before { 0..=left.len() } else { 0..=0 };
            let found = starts
                .filter_map(|start| after_chunk(&chunk.elements, &left[start..]))
                .find(|rest| !must_reach_end || rest.is_empty());
            match found {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        ends_with_star || left.is_empty()
    }
}

impl NamePattern for GoGlob {
    fn matches(&self, name: &[u8]) -> bool {
        GoGlob::matches(self, name)
    }

    fn form(&self) -> Form<'_> {
        match &self.0 {
            GoGlobForm::Any => Form::Any,
            GoGlobForm::Literal(literal) => Form::Literal(literal),
            GoGlobForm::Suffix(suffix) => Form::Suffix(suffix),
            GoGlobForm::Chunks { ending, .. } if !ending.is_empty() => Form::Ending(ending),
            GoGlobForm::Chunks { .. } => Form::Other,
        }
    }
}

fn literal(elements: &[Element]) -> Option<Vec<u8>> {
    elements
        .iter()
        .map(|element| if let Element::Byte(byte) = element { Some(*byte) } else { None })
        .collect()
}

/// What is left of `name` behind the chunk.
fn after_chunk<'a>(elements: &[Element], mut name: &'a [u8]) -> Option<&'a [u8]> {
    for element in elements {
        let (&first, _) = name.split_first()?;
        let length = match element {
            Element::Byte(byte) if *byte == first => 1,
            Element::Byte(_) => return None,
            Element::AnyCharacter => first_character(name).1,
            Element::Class { negated, ranges } => {
                let (character, length) = first_character(name);
                let inside = ranges.iter().any(|&(low, high)| (low..=high).contains(&character));
                if inside == *negated {
                    return None;
                }
                length
            }
        };
        name = &name[length..];
    }
    Some(name)
}

/// The first character and its length in bytes, as Go's `utf8.DecodeRune` returns it. `bytes` is not empty.
fn first_character(bytes: &[u8]) -> (char, usize) {
    let piece = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(piece) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&piece[..error.valid_up_to()]).unwrap_or(""),
    };
    valid.chars().next().map_or((char::REPLACEMENT_CHARACTER, 1), |first| (first, first.len_utf8()))
}

/// Reads the class whose `[` is before `text`; returns what follows it, too.
fn parse_class(text: &[u8]) -> Option<(Element, &[u8])> {
    let (negated, mut rest) = match text.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let (Some(after), false) = (rest.strip_prefix(b"]"), ranges.is_empty()) {
            return Some((Element::Class { negated, ranges }, after));
        }
        let (low, after) = class_character(rest)?;
        rest = after;
        let mut high = low;
        if let Some(after) = rest.strip_prefix(b"-") {
            (high, rest) = class_character(after)?;
        }
        ranges.push((low, high));
    }
}

/// One character of a class; `-` and `]` have to be escaped, and something must follow.
fn class_character(text: &[u8]) -> Option<(char, &[u8])> {
    let text = match text.split_first()? {
        (b'-' | b']', _) => return None,
        (b'\\', escaped) => escaped,
        _ => text,
    };
    if text.is_empty() {
        return None;
    }
    let (character, length) = first_character(text);
    let is_bad_byte = character == char::REPLACEMENT_CHARACTER && length == 1;
    let rest = &text[length..];
    (!is_bad_byte && !rest.is_empty()).then_some((character, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_match_as_filepath_match_does() {
        for (text, name, expected) in [
            ("a?c", "aéc", true),
            ("a??c", "aéc", false),
            ("[a-c]x", "bx", true),
            ("[^a]", "é", true),
            ("\\[a\\]", "[a]", true),
            ("a]", "a]", true),
            ("*é", "xé", true),
            ("a*b*c", "a1b2c", true),
            ("*[^\u{80}-\u{10ffff}]", "é", false),
            ("**", "ab", true),
            ("a**b", "axb", true),
        ] {
            assert_eq!(
                GoGlob::parse(text.as_bytes()).unwrap().matches(name.as_bytes()),
                expected,
                "{text} {name}"
            );
        }
        assert!(GoGlob::parse(b"?").unwrap().matches(b"\xff"));
        assert!(GoGlob::parse("[\u{fffd}]".as_bytes()).unwrap().matches(b"\xff"));
    }

    #[test]
    fn bad_patterns_are_reported() {
        for text in ["[", "[]", "[]a]", "[a-]", "[-a]", "[a", "a\\", "[\\]", "[a]["] {
            assert_eq!(GoGlob::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(GoGlob::parse(b"[\xff]"), None);
    }
}
