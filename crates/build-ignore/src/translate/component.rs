//! One component of a rule as components of patterns: git's bytes in Go's characters.
//!
//! `?` and a bracket match one byte, so a run of k of them matches characters that take k bytes together: each way to
//! split k becomes an alternative. Beside a `*` the first or last character of the run may spill into what the star
//! takes. If no pattern is exact, [`Side`] decides which way to err.

use std::borrow::Cow;

use crate::git::class::ByteSet;
use crate::git::glob::{Glob, Token};
use crate::translate::class;

/// Which way a translation may err.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Matches nothing that the rule does not match: for what is left out.
    Subset,
    /// Matches all that the rule matches: for what is taken back in.
    Superset,
}

/// More ways to split a run than this are not written down.
const MOST_ALTERNATIVES: usize = 8;

/// The one pattern for a glob of the usual forms.
pub fn simple(glob: &Glob) -> Option<Cow<'_, [u8]>> {
    match glob {
        Glob::Any => Some(b"*".into()),
        Glob::Literal(name) => Some(literal(name)),
        Glob::Suffix(suffix) => Some([b"*", literal(suffix).as_ref()].concat().into()),
        Glob::Prefix(prefix) => Some([literal(prefix).as_ref(), b"*"].concat().into()),
        Glob::Tokens(_) => None,
    }
}

/// The patterns that together stand for `glob`; none if there is no such pattern (only for [`Side::Subset`]).
pub fn translate(glob: &Glob, side: Side) -> Vec<Vec<u8>> {
    if let Some(text) = simple(glob) {
        return vec![text.into_owned()];
    }
    let mut pieces = pieces(&glob.tokens());
    if side == Side::Superset && !is_plain_enough(&pieces) {
        // A character could spill from one run into the next, or into a literal: a star takes all of that.
        for piece in &mut pieces {
            if piece.is_run_with_high_bytes() {
                *piece = Piece::Star;
            }
        }
        pieces.dedup_by(|a, b| *a == Piece::Star && *b == Piece::Star);
    }
    let mut alternatives = vec![Vec::new()];
    for (position, piece) in pieces.iter().enumerate() {
        let texts = match piece {
            Piece::Star => vec![b"*".to_vec()],
            Piece::Literal(bytes) => vec![literal(bytes).into_owned()],
            Piece::Run(sets) => {
                let spill = Spill {
                    before: position > 0 && pieces[position - 1] == Piece::Star,
                    after: pieces.get(position + 1) == Some(&Piece::Star),
                };
                run(sets, spill, side)
            }
        };
        append_each(&mut alternatives, &texts);
        if alternatives.len() > MOST_ALTERNATIVES {
            match side {
                Side::Subset => alternatives.truncate(MOST_ALTERNATIVES),
                Side::Superset => return vec![b"*".to_vec()],
            }
        }
    }
    alternatives.iter_mut().for_each(merge_stars);
    alternatives
}

/// Lengthens each of `sequences` by each of `ends`. A single end, the common case, costs no more than itself.
fn append_each(sequences: &mut Vec<Vec<u8>>, ends: &[Vec<u8>]) {
    if let [end] = ends {
        sequences.iter_mut().for_each(|sequence| sequence.extend_from_slice(end));
    } else {
        let longer = |sequence: &Vec<u8>| {
            ends.iter().map(|end| [sequence.as_slice(), end].concat()).collect::<Vec<_>>()
        };
        *sequences = sequences.iter().flat_map(longer).collect();
    }
}

/// A name, or a part of one, such that Go matches just these bytes.
pub fn literal(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_special = |byte: u8| matches!(byte, b'\n' | b'\\' | b'[' | b']' | b'*' | b'?');
    // Without an early end the compiler looks at many bytes at once.
    if !bytes.iter().fold(false, |found, byte| found | is_special(*byte)) {
        return bytes.into();
    }
    let mut out = Vec::with_capacity(bytes.len() + 1);
    for &byte in bytes {
        match byte {
            b'\n' => out.extend_from_slice(class::newline().as_bytes()),
            byte if is_special(byte) => out.extend([b'\\', byte]),
            byte => out.push(byte),
        }
    }
    out.into()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Star,
    Run(Vec<ByteSet>),
}

impl Piece {
    fn is_run_with_high_bytes(&self) -> bool {
        matches!(self, Piece::Run(sets) if sets.iter().any(|set| set.has_some_high()))
    }
}

/// Cuts tokens into pieces. Among stars and `?` side by side the order does not matter: the `?` come first.
fn pieces(tokens: &[Token]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for &token in tokens {
        match (token, pieces.last_mut()) {
            (Token::Byte(byte), Some(Piece::Literal(bytes))) => bytes.push(byte),
            (Token::Byte(byte), _) => pieces.push(Piece::Literal(vec![byte])),
            (Token::One(set), Some(Piece::Run(sets))) => sets.push(set),
            (Token::One(set), Some(Piece::Star)) if set == ByteSet::any() => {
                let star = pieces.len() - 1;
                match pieces.get_mut(star.wrapping_sub(1)) {
                    Some(Piece::Run(sets)) => sets.push(set),
                    _ => pieces.insert(star, Piece::Run(vec![set])),
                }
            }
            (Token::One(set), _) => pieces.push(Piece::Run(vec![set])),
            (Token::Star, Some(Piece::Star)) => {}
            (Token::Star, _) => pieces.push(Piece::Star),
        }
    }
    pieces
}

/// Whether each character of a name lies within one run or one literal: there is one run that takes bytes of longer
/// characters, and the literal behind it does not begin in the middle of one.
fn is_plain_enough(pieces: &[Piece]) -> bool {
    let runs = pieces.iter().filter(|piece| piece.is_run_with_high_bytes()).count();
    let splits_a_character = pieces.windows(2).any(|pair| {
        pair[0].is_run_with_high_bytes()
            && matches!(&pair[1], Piece::Literal(bytes) if matches!(bytes.first(), Some(0x80..=0xbf)))
    });
    runs <= 1 && !splits_a_character
}

/// On which sides a star lets a character spill out of the run.
#[derive(Clone, Copy)]
struct Spill {
    before: bool,
    after: bool,
}

fn run(sets: &[ByteSet], spill: Spill, side: Side) -> Vec<Vec<u8>> {
    if let ([set], true) = (sets, spill.before || spill.after) {
        if set.has_all_high() {
            return vec![class::all_but_missing(*set).into_bytes()];
        }
    }
    let mut alternatives = Vec::new();
    split(sets, 0, spill, side, &mut String::new(), &mut alternatives);
    if alternatives.len() <= MOST_ALTERNATIVES {
        return alternatives;
    }
    match side {
        // The first alternative takes every byte for a character of its own: names of ASCII.
        Side::Subset => alternatives.into_iter().take(1).collect(),
        Side::Superset => vec![b"*".to_vec()],
    }
}

/// Adds to `alternatives` each way in which characters can cover `sets` from `position` on; `text` is what covers the
/// part before.
fn split(
    sets: &[ByteSet],
    position: usize,
    spill: Spill,
    side: Side,
    text: &mut String,
    alternatives: &mut Vec<Vec<u8>>,
) {
    // One more than is used: the caller sees that there are too many.
    if alternatives.len() > MOST_ALTERNATIVES {
        return;
    }
    if position == sets.len() {
        alternatives.push(text.clone().into_bytes());
        return;
    }
    let superset = side == Side::Superset;
    let mut go_on = |bracket: &str, taken: usize, text: &mut String| {
        let length = text.len();
        text.push_str(bracket);
        split(sets, position + taken, spill, side, text, alternatives);
        text.truncate(length);
    };
    let set = sets[position];
    if let Some(bracket) = class::ascii(set, superset && set.has_some_high()) {
        go_on(&bracket, 1, text);
    }
    let takes_parts = |set: &ByteSet| if superset { set.has_some_high() } else { set.has_all_high() };
    let coverable = sets[position..].iter().take_while(|set| takes_parts(set)).count();
    for taken in 1..=coverable.min(*class::LENGTHS.end()) {
        let reaches_out = (spill.after && position + taken == sets.len()) || (spill.before && position == 0);
        let is_possible = |length: &usize| *length == taken || (reaches_out && *length > taken);
        let mut lengths = class::LENGTHS.filter(is_possible).peekable();
        if lengths.peek().is_some() {
            go_on(&class::of_lengths(lengths, superset), taken, text);
        }
    }
}

/// `**` inside a component is `*`; as a whole component it would be another thing.
fn merge_stars(text: &mut Vec<u8>) {
    let mut escaped = false;
    let mut in_bracket = false;
    let mut after_star = false;
    text.retain(|&byte| {
        let is_star = byte == b'*' && !escaped && !in_bracket;
        let keep = !(is_star && after_star);
        match byte {
            b'[' if !escaped => in_bracket = true,
            b']' if !escaped => in_bracket = false,
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
        after_star = is_star;
        keep
    });
}
