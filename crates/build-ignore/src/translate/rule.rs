//! A rule as lines of the exclude file.
//!
//! A positive rule for folders, `r/`, becomes `r/*`: what lies in the folder, never a file of that name. A negation
//! becomes `!r` whether it is for folders or not. Beyond that, three differences are spelled out: a pattern also
//! matches everything below, so `a/**` is `a/*`; `**` may fail to be empty where another one follows, so the pattern
//! is written without the later ones too; and what can't be said is left to [`Side`].

use crate::git::glob::Glob;
use crate::git::rule::Segment;
use crate::index::Step;
use crate::translate::component::{self, Side, append_each};
use crate::translate::line::{self, Out};

/// Where patterns begin.
#[derive(Clone, Debug)]
pub struct Base {
    /// The components of mount, root and folder, in Go's syntax.
    pub parts: Vec<Out>,
    /// Whether the line begins with `/`.
    pub anchored: bool,
}

/// More lines than this are not written for one rule.
const MOST_LINES: usize = 24;
/// More levels than this are not spelled out.
const MOST_LEVELS: usize = 12;
/// With more `**` than this a rule is cut short: each one doubles the number of lines.
const MOST_DOUBLE_STARS: usize = 3;

impl Base {
    /// The base for the folder to which `names` lead from here.
    pub fn below(&self, names: &[Vec<u8>]) -> Base {
        let mut parts = self.parts.clone();
        parts.extend(names.iter().map(|name| Out::Name(component::literal(name))));
        Base { parts, anchored: self.anchored }
    }

    /// A line for these parts below the base.
    pub fn line(&self, negated: bool, parts: &[Out]) -> Option<Vec<u8>> {
        line::line(negated, self.anchored, &[self.parts.as_slice(), parts].concat())
    }
}

/// The lines for a rule of a file whose folder is `base`. None where nothing can be said (only for a positive rule).
///
/// Paths below `base` are at most `height` names long today. A positive rule for any depth gets a line for each depth up
/// to that, the least one first; what is made deeper before the next run stays in the backup.
pub fn translate(
    path: &[Segment],
    negated: bool,
    folders_only: bool,
    base: &Base,
    height: usize,
) -> Vec<Vec<u8>> {
    let side = if negated { Side::Superset } else { Side::Subset };
    let mut path = path.to_vec();
    if let [.., Step::AnyFolders, Step::Name(Glob::Any)] = path.as_slice() {
        path.remove(path.len() - 2);
    }
    limit_double_stars(&mut path, side);
    let mut variants = vec![Vec::new()];
    let mut seen_double_star = false;
    for step in &path {
        let choices: Vec<Vec<Out>> = match step {
            Step::AnyFolders if seen_double_star => vec![vec![Out::AnyFolders], vec![]],
            Step::AnyFolders => {
                seen_double_star = true;
                vec![vec![Out::AnyFolders]]
            }
            Step::Name(glob) => {
                component::translate(glob, side).into_iter().map(|text| vec![Out::Name(text)]).collect()
            }
        };
        append_each(&mut variants, &choices);
        if variants.len() > MOST_LINES {
            match side {
                Side::Subset => variants.truncate(MOST_LINES),
                // What was matched so far matches everything below as well.
                Side::Superset => return superset_of_prefix(&path, base),
            }
        }
    }
    if folders_only && !negated {
        variants.iter_mut().for_each(|parts| parts.push(Out::Name(b"*".to_vec())));
    }
    if side == Side::Subset {
        // In a folder that is left out nothing was looked at.
        let depth = height + usize::from(folders_only);
        variants = variants.into_iter().flat_map(|parts| spell_out(parts, depth)).collect();
    }
    let lines: Vec<Option<Vec<u8>>> = variants.iter().map(|parts| base.line(negated, parts)).collect();
    if side == Side::Superset && lines.contains(&None) {
        return superset_of_prefix(&path, base);
    }
    lines.into_iter().flatten().collect()
}

/// `a/**/b` as `a/b`, `a/*/b`, `a/*/*/b` and so on, down to `depth` names.
///
/// restic tries a `**` by putting in every number of stars that fits the path, and allocates before it looks; a pattern
/// without one that has more parts than the path it does not look at. So the fixed ones cost a fraction, and those that
/// match nothing today can be left away. For a very deep tree the `**` stays.
fn spell_out(parts: Vec<Out>, depth: usize) -> Vec<Vec<Out>> {
    let mut double_stars = parts.iter().enumerate().filter(|(_, part)| **part == Out::AnyFolders);
    let (Some((position, _)), None) = (double_stars.next(), double_stars.next()) else { return vec![parts] };
    let (before, after) = (&parts[..position], &parts[position + 1..]);
    let levels = (depth + 1).saturating_sub(before.len() + after.len()).max(1);
    if levels > MOST_LEVELS {
        return vec![parts];
    }
    let stars = |count| vec![Out::Name(b"*".to_vec()); count];
    (0..levels).map(|level| [before, &stars(level), after].concat()).collect()
}

fn limit_double_stars(path: &mut Vec<Segment>, side: Side) {
    let mut positions = path.iter().enumerate().filter(|(_, step)| **step == Step::AnyFolders);
    let Some((too_many, _)) = positions.nth(MOST_DOUBLE_STARS) else { return };
    match side {
        // Without the later `**` fewer paths match.
        Side::Subset => {
            let tail = path.split_off(too_many);
            path.extend(tail.into_iter().filter(|step| *step != Step::AnyFolders));
        }
        // A pattern that ends earlier matches everything below as well.
        Side::Superset => path.truncate(too_many),
    }
}

/// A negation that is certainly wide enough: as many leading names as are literal, then anything.
fn superset_of_prefix(path: &[Segment], base: &Base) -> Vec<Vec<u8>> {
    let literals = path.iter().map_while(|step| match step {
        Step::Name(Glob::Literal(name)) => Some(Out::Name(component::literal(name))),
        _ => None,
    });
    let mut parts: Vec<Out> = literals.collect();
    let all_literal = parts.len() == path.len();
    if !all_literal {
        parts.push(Out::Name(b"*".to_vec()));
    }
    while base.line(true, &parts).is_none() {
        if parts.pop().is_none() {
            break;
        }
    }
    base.line(true, &parts).into_iter().collect()
}
