//! A rule as lines of the exclude file.
//!
//! A positive rule for folders, `r/`, becomes `r/*`: what lies in the folder, never a file of that name. A negation
//! becomes `!r` whether it is for folders or not. Beyond that, three differences are spelled out: a pattern also
//! matches everything below, so `a/**` is `a/*`; `**` may fail to be empty where another one follows, so the pattern
//! is written without the later ones too; and what restic can't express is left to [`Side`].

use std::borrow::Cow;

use crate::git::glob::Glob;
use crate::git::rule::{Rule, Segment};
use crate::index::Step;
use crate::translate::component::{self, Side};
use crate::translate::line::{Base, Out};

/// More lines than this are not written for one rule.
const MOST_LINES: usize = 24;
/// More levels than this are not spelled out.
const MOST_LEVELS: usize = 12;
/// With more `**` than this a rule is cut short: each one doubles the number of lines.
const MOST_DOUBLE_STARS: u64 = 3;
/// restic tries each way in which the `**` of a pattern can be filled, and takes about a tenth of a microsecond for
/// one. A rule is cut short if there may be more than these for a path.
const MOST_WAYS: u64 = 10_000;

/// What a rule may become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Paths below the folder of the rule's file are at most this many names long today.
    pub height: usize,
    /// A pattern holds at most this many `**`.
    pub double_stars: usize,
}

/// How many `**` a pattern may hold where paths are `depth` names long.
pub fn double_stars_for(depth: usize) -> usize {
    // The ways to put n names into k `**`: n + k over k.
    let ways = |count: u64| (1..=count).fold(1_u64, |ways, k| ways.saturating_mul(depth as u64 + k) / k);
    (1..=MOST_DOUBLE_STARS).take_while(|count| *count == 1 || ways(*count) <= MOST_WAYS).count()
}

/// The lines for `rule`, whose path is `path`, of a file whose folder is `base`. None if restic can't express it (only for a positive rule).
///
/// A positive rule for any depth gets a line for each depth up to the height of today, the least one first; what is made
/// deeper before the next run stays in the backup.
pub fn translate(rule: &Rule, path: &[Segment], base: &Base, limits: Limits) -> Vec<Vec<u8>> {
    let (negated, folders_only) = (rule.negated, rule.folders_only);
    let side = if negated { Side::Superset } else { Side::Subset };
    let path = simplified(path, side, limits.double_stars);
    let mut variants = vec![Vec::with_capacity(path.len() + 1)];
    let mut seen_double_star = false;
    for step in path.iter() {
        match step {
            Step::AnyFolders if seen_double_star => {
                append_each(&mut variants, &[Some(Out::AnyFolders), None]);
            }
            Step::AnyFolders => {
                seen_double_star = true;
                append(&mut variants, Out::AnyFolders);
            }
            Step::Name(glob) => {
                if let Some(text) = component::simple(glob) {
                    append(&mut variants, Out::Name(text));
                    continue;
                }
                let texts = component::translate(glob, side);
                let ends: Vec<_> = texts.into_iter().map(|text| Some(Out::Name(text.into()))).collect();
                append_each(&mut variants, &ends);
            }
        }
        if variants.len() > MOST_LINES {
            match side {
                Side::Subset => variants.truncate(MOST_LINES),
                // What was matched so far matches everything below as well.
                Side::Superset => return superset_of_prefix(&path, base),
            }
        }
    }
    if folders_only && !negated {
        variants.iter_mut().for_each(|parts| parts.push(Out::Name(b"*".into())));
    }
    if side == Side::Subset && seen_double_star {
        // In a folder that is left out nothing was looked at.
        let depth = limits.height + usize::from(folders_only);
        let mut spelled = Vec::with_capacity(variants.len());
        variants.into_iter().for_each(|parts| spell_out(parts, depth, &mut spelled));
        variants = spelled;
    }
    let mut lines = Vec::with_capacity(variants.len());
    for parts in &variants {
        match base.line(negated, parts) {
            Some(line) => lines.push(line),
            None if side == Side::Superset => return superset_of_prefix(&path, base),
            None => {}
        }
    }
    lines
}

/// Lengthens each of `variants` by `end`.
fn append<'a>(variants: &mut [Vec<Out<'a>>], end: Out<'a>) {
    match variants {
        [only] => only.push(end),
        _ => variants.iter_mut().for_each(|variant| variant.push(end.clone())),
    }
}

/// Lengthens each of `variants` by each of `ends`.
fn append_each<'a>(variants: &mut Vec<Vec<Out<'a>>>, ends: &[Option<Out<'a>>]) {
    let longer = |variant: &Vec<Out<'a>>| {
        ends.iter().map(|end| variant.iter().chain(end).cloned().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    *variants = variants.iter().flat_map(longer).collect();
}

/// Without what says nothing, and without what would take too many lines.
fn simplified(path: &[Segment], side: Side, most: usize) -> Cow<'_, [Segment]> {
    let ends_with_all = matches!(path, [.., Step::AnyFolders, Step::Name(Glob::Any)]);
    let double_stars = path.iter().filter(|step| **step == Step::AnyFolders).count();
    if !ends_with_all && double_stars <= most {
        return Cow::Borrowed(path);
    }
    let mut path = path.to_vec();
    if ends_with_all {
        path.remove(path.len() - 2);
    }
    limit_double_stars(&mut path, side, most);
    Cow::Owned(path)
}

/// `a/**/b` as `a/b`, `a/*/b`, `a/*/*/b` and so on, down to `depth` names.
///
/// restic tries a `**` by putting in every number of stars that fits the path, and allocates before it looks; a pattern
/// without one that has more parts than the path it does not look at. So the fixed ones cost a fraction, and those that
/// match nothing today can be left away. For a very deep tree the `**` stays.
fn spell_out<'a>(mut parts: Vec<Out<'a>>, depth: usize, spelled: &mut Vec<Vec<Out<'a>>>) {
    let levels = (depth + 1).saturating_sub(parts.len() - 1).max(1);
    let mut double_stars = parts.iter().enumerate().filter(|(_, part)| **part == Out::AnyFolders);
    match (double_stars.next(), double_stars.next()) {
        (Some((position, _)), None) if levels <= MOST_LEVELS => {
            parts.remove(position);
            for _ in 1..levels {
                spelled.push(parts.clone());
                parts.insert(position, Out::Name(b"*".into()));
            }
        }
        _ => {}
    }
    spelled.push(parts);
}

fn limit_double_stars(path: &mut Vec<Segment>, side: Side, most: usize) {
    let mut positions = path.iter().enumerate().filter(|(_, step)| **step == Step::AnyFolders);
    let Some((too_many, _)) = positions.nth(most) else { return };
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
        parts.push(Out::Name(b"*".into()));
    }
    while base.line(true, &parts).is_none() {
        if parts.pop().is_none() {
            break;
        }
    }
    base.line(true, &parts).into_iter().collect()
}
