//! One component of a rule (what stands between two `/`) and whether it matches one name.
//!
//! What a reader gets wrong: git works on bytes, so `?` and a bracket match one byte of a multi-byte character.
//! Matching never takes longer than the product of both lengths.

use crate::git::class::ByteSet;
use crate::git::star;
use crate::index::{Form, NamePattern};

/// One element of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// This byte.
    Byte(u8),
    /// One byte of the set; `?` is [`ByteSet::any`].
    One(ByteSet),
    /// Any bytes, also none.
    Star,
}

/// A component, in the form that is quickest to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glob {
    /// Any name.
    Any,
    /// This name.
    Literal(Vec<u8>),
    /// `*` and this at the end.
    Suffix(Vec<u8>),
    /// This and a `*` at the end.
    Prefix(Vec<u8>),
    /// Everything else.
    Tokens(Vec<Token>),
}

impl Glob {
    /// From tokens; neighbouring stars become one.
    pub fn new(tokens: &[Token]) -> Glob {
        let is_star = |token: &Token| *token == Token::Star;
        if tokens.windows(2).any(|pair| pair.iter().all(is_star)) {
            let mut tokens = tokens.to_vec();
            tokens.dedup_by(|a, b| is_star(a) && is_star(b));
            return Glob::new(&tokens);
        }
        let literal = |tokens: &[Token]| -> Option<Vec<u8>> {
            let mut bytes = Vec::with_capacity(tokens.len());
            for token in tokens {
                let Token::Byte(byte) = token else { return None };
                bytes.push(*byte);
            }
            Some(bytes)
        };
        let simple = match tokens {
            [Token::Star] => Some(Glob::Any),
            [Token::Star, rest @ ..] => literal(rest).map(Glob::Suffix),
            [rest @ .., Token::Star] => literal(rest).map(Glob::Prefix),
            all => literal(all).map(Glob::Literal),
        };
        simple.unwrap_or_else(|| Glob::Tokens(tokens.to_vec()))
    }

    /// Whether it matches the whole of `name`.
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Glob::Any => true,
            Glob::Literal(literal) => literal == name,
            Glob::Suffix(suffix) => name.ends_with(suffix),
            Glob::Prefix(prefix) => name.starts_with(prefix),
            Glob::Tokens(tokens) => matches(tokens, name),
        }
    }

    /// The same as tokens.
    pub fn tokens(&self) -> Vec<Token> {
        let bytes = |literal: &[u8]| literal.iter().map(|&byte| Token::Byte(byte)).collect::<Vec<_>>();
        match self {
            Glob::Any => vec![Token::Star],
            Glob::Literal(literal) => bytes(literal),
            Glob::Suffix(suffix) => [vec![Token::Star], bytes(suffix)].concat(),
            Glob::Prefix(prefix) => [bytes(prefix), vec![Token::Star]].concat(),
            Glob::Tokens(tokens) => tokens.clone(),
        }
    }

    /// Whether some name could match both. `true` where that isn't clear.
    pub fn may_share_a_name(&self, other: &Glob) -> bool {
        match (self, other) {
            (Glob::Literal(name), other) => other.matches(name),
            (one, Glob::Literal(name)) => one.matches(name),
            _ => {
                let (a, b) = (self.tokens(), other.tokens());
                ends_agree(a.iter(), b.iter()) && ends_agree(a.iter().rev(), b.iter().rev())
            }
        }
    }
}

impl NamePattern for Glob {
    fn matches(&self, name: &[u8]) -> bool {
        Glob::matches(self, name)
    }

    fn form(&self) -> Form<'_> {
        match self {
            Glob::Any => Form::Any,
            Glob::Literal(literal) => Form::Literal(literal),
            Glob::Suffix(suffix) => Form::Suffix(suffix),
            Glob::Prefix(_) | Glob::Tokens(_) => Form::Other,
        }
    }
}

/// Whether two token sequences can agree up to the first star of either.
fn ends_agree<'a>(a: impl Iterator<Item = &'a Token>, b: impl Iterator<Item = &'a Token>) -> bool {
    for pair in a.zip(b) {
        let agree = match pair {
            (Token::Star, _) | (_, Token::Star) => return true,
            (Token::Byte(a), Token::Byte(b)) => a == b,
            (Token::Byte(byte), Token::One(set)) | (Token::One(set), Token::Byte(byte)) => {
                set.contains(*byte)
            }
            (Token::One(_), Token::One(_)) => true,
        };
        if !agree {
            return false;
        }
    }
    true
}

fn matches(tokens: &[Token], name: &[u8]) -> bool {
    star::matches(
        tokens,
        name,
        |token| *token == Token::Star,
        |token, byte| match token {
            Token::Byte(expected) => expected == byte,
            Token::One(set) => set.contains(*byte),
            Token::Star => false,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        let token = |byte| match byte {
            b'*' => Token::Star,
            b'?' => Token::One(ByteSet::any()),
            byte => Token::Byte(byte),
        };
        Glob::new(&text.bytes().map(token).collect::<Vec<_>>())
    }

    #[test]
    fn stars_and_question_marks_match_bytes() {
        for (text, name, expected) in [
            ("*", "anything", true),
            ("*.log", ".log", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("?", "é", false),
            ("??", "é", true),
            ("**a**", "bab", true),
            ("a?", "a", false),
        ] {
            assert_eq!(glob(text).matches(name.as_bytes()), expected, "{text} {name}");
        }
    }

    #[test]
    fn many_stars_against_a_long_name_take_no_time() {
        let name = vec![b'a'; 100_000];
        assert!(!glob("*a*a*a*a*a*a*a*b").matches(&name));
    }

    #[test]
    fn globs_that_can_not_share_a_name_are_disjoint() {
        for (a, b, expected) in [
            ("*.log", "*.txt", false),
            ("*.log", "a*", true),
            ("a*", "b*", false),
            ("?x", "ay", false),
            ("*.log", "keep.log", true),
            ("*.log", "keep", false),
        ] {
            assert_eq!(glob(a).may_share_a_name(&glob(b)), expected, "{a} {b}");
        }
    }
}
