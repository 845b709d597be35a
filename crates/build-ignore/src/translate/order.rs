//! The order in which a root's rules are written, such that restic's "last match wins" agrees with git's.
//!
//! A rule that no later negation can meet goes to the end of its section: nothing undoes it there, not even a negation
//! of a folder that it reaches into (restic's `!keep` takes back everything below keep, git's only the folder). A
//! negation that meets no rule before it has nothing to bring back and is left away. The others keep their order.
//! The root's own rules come first, then each service's: those of a service never reach into another one, unless a root
//! with services of its own is in it. Their sections come after its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use common::roots::service_depth;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::git::glob::Glob;
use crate::git::rule::Rule;
use crate::index::Step;
use crate::rules_file::RulesFile;
use crate::translate::overlap::{Scope, may_overlap};

/// What becomes of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Written where it stands among the rules.
    InOrder,
    /// Written behind all negations.
    Last,
    /// Not written, because git matches nothing with it, for this reason.
    Never(&'static str),
    /// Not written: a negation, and no rule before it leaves out anything that it names.
    BringsNothingBack,
    /// Not written: it matches nothing today, and only rules that do were wanted.
    MatchesNothing,
}

/// A rule and its place.
#[derive(Clone, Debug)]
pub struct RulePlace {
    /// The rule's file.
    pub file: Arc<RulesFile>,
    /// The rule's number in it.
    pub number: usize,
    /// Where it is written.
    pub position: Position,
}

impl RulePlace {
    /// The rule itself.
    pub fn rule(&self) -> &Rule {
        &self.file.rules.list[self.number]
    }

    fn scope(&self) -> Option<Scope<'_>> {
        Some(Scope { folder: &self.file.folder, path: self.rule().path.as_ref().ok()? })
    }

    fn last_literal(&self) -> Option<&[u8]> {
        match self.rule().path.as_ref().ok()?.last()? {
            Step::Name(Glob::Literal(name)) => Some(name),
            _ => None,
        }
    }
}

/// The names that lead to a service; none for what lies in the root itself.
pub type SectionName = Vec<Vec<u8>>;

/// The section of what lies in `folder`, in a root with the other one at `inner`.
pub fn section_of<'f>(inner: &[Vec<u8>], folder: &'f [Vec<u8>]) -> &'f [Vec<u8>] {
    &folder[..service_depth(inner, folder)]
}

/// After this many steps no more rules of a section are compared; they then stay in order, which is always safe.
const MOST_STEPS: usize = 20_000_000;

/// The rules of `files` (those above before those below) by section. With `lean`, rules that have matched nothing are
/// not written.
pub fn place(
    files: &[Arc<RulesFile>],
    inner: &[Vec<u8>],
    lean: bool,
) -> BTreeMap<SectionName, Vec<RulePlace>> {
    let mut sections: BTreeMap<SectionName, Vec<RulePlace>> = BTreeMap::new();
    for file in files {
        let section = sections.entry(section_of(inner, &file.folder).to_vec()).or_default();
        section.extend(file.rules.list.iter().enumerate().map(|(number, rule)| {
            let position = match rule.path {
                Err(why) => Position::Never(why),
                Ok(_) if lean && !rule.negated && !file.has_matched(number) => Position::MatchesNothing,
                Ok(_) => Position::InOrder,
            };
            RulePlace { file: Arc::clone(file), number, position }
        }));
    }
    // A section's negation can overlap a rule of a section around it, and then has something to bring back.
    let overlapped: Mutex<FxHashMap<&SectionName, Vec<bool>>> = Mutex::default();
    let around_one = |(name, section): (&SectionName, &Vec<RulePlace>)| {
        let mut needed = vec![false; section.len()];
        for (around, rules) in (0..name.len()).filter_map(|depth| sections.get_key_value(&name[..depth])) {
            let across = compare(rules, section, false);
            add(&mut needed, &across.needed);
            let mut overlapped = overlapped.lock().unwrap_or_else(PoisonError::into_inner);
            add(overlapped.entry(around).or_insert_with(|| vec![false; rules.len()]), &across.overlapped);
        }
        needed
    };
    let needed: Vec<Vec<bool>> = sections.par_iter().map(around_one).collect();
    let mut overlapped = overlapped.into_inner().unwrap_or_else(PoisonError::into_inner);
    let none = |rules: &Vec<RulePlace>| vec![false; rules.len()];
    let overlapped: Vec<Vec<bool>> =
        sections.iter().map(|(name, rules)| overlapped.remove(name).unwrap_or_else(|| none(rules))).collect();
    let known: Vec<_> = sections.values_mut().zip(overlapped.iter().zip(&needed)).collect();
    known.into_par_iter().for_each(|(rules, (overlapped, needed))| position_rules(rules, overlapped, needed));
    sections
}

fn add(all: &mut [bool], more: &[bool]) {
    all.iter_mut().zip(more).for_each(|(one, other)| *one |= other);
}

/// Places the rules of one section. `overlapped` and `needed` say what is known from outside the section.
fn position_rules(rules: &mut [RulePlace], overlapped: &[bool], needed: &[bool]) {
    let within = compare(rules, rules, true);
    for (number, place) in rules.iter_mut().enumerate() {
        if place.position != Position::InOrder {
            continue;
        }
        let is_needed = needed[number] || within.needed[number];
        let is_overlapped = overlapped[number] || within.overlapped[number];
        place.position = match place.rule().negated {
            true if !is_needed => Position::BringsNothingBack,
            false if !is_overlapped => Position::Last,
            _ => Position::InOrder,
        };
    }
}

/// Which rules meet which.
struct Overlaps {
    /// Of each first rule, whether it is positive and a second one, a negation, may match the same path.
    overlapped: Vec<bool>,
    /// Of each second rule, whether it is such a negation.
    needed: Vec<bool>,
}

/// Compares positive rules of `first` with negations of `second`; with `only_later`, both are the same list, and only
/// negations that stand later count.
fn compare(first: &[RulePlace], second: &[RulePlace], only_later: bool) -> Overlaps {
    let mut overlaps = Overlaps { overlapped: vec![false; first.len()], needed: vec![false; second.len()] };
    let negations: Vec<usize> = written(second).filter(|&number| second[number].rule().negated).collect();
    if first.is_empty() || negations.is_empty() {
        return overlaps;
    }
    let mut by_last_name: FxHashMap<&[u8], Vec<usize>> = FxHashMap::default();
    let mut others = Vec::new();
    for &number in &negations {
        match second[number].last_literal() {
            Some(name) => by_last_name.entry(name).or_default().push(number),
            None => others.push(number),
        }
    }
    let mut steps = 0;
    for number in written(first).filter(|&number| !first[number].rule().negated) {
        let (same_name, rest): (&[usize], &[usize]) = match first[number].last_literal() {
            Some(name) => (by_last_name.get(name).map_or(&[], Vec::as_slice), &others),
            None => (&negations, &[]),
        };
        let Some(rule) = first[number].scope() else { continue };
        for &negation in same_name.iter().chain(rest).filter(|&&negation| !only_later || negation > number) {
            if steps > MOST_STEPS {
                break;
            }
            let Some(other) = second[negation].scope() else { continue };
            steps += rule.steps() * other.steps();
            if may_overlap(&rule, &other) {
                overlaps.overlapped[number] = true;
                overlaps.needed[negation] = true;
            }
        }
        // What was not compared may overlap.
        overlaps.overlapped[number] |= steps > MOST_STEPS;
    }
    if steps > MOST_STEPS {
        negations.iter().for_each(|&negation| overlaps.needed[negation] = true);
    }
    overlaps
}

fn written(rules: &[RulePlace]) -> impl Iterator<Item = usize> {
    rules
        .iter()
        .enumerate()
        .filter(|(_, place)| place.position == Position::InOrder)
        .map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules_file::Rules;

    fn places(files: &[(&[&str], &str)], lean: bool) -> Vec<(String, Position)> {
        places_in(&[], files, lean)
    }

    fn places_in(inner: &[Vec<u8>], files: &[(&[&str], &str)], lean: bool) -> Vec<(String, Position)> {
        let file = |(folder, content): &(&[&str], &str)| {
            let folder = folder.iter().map(|name| name.as_bytes().to_vec()).collect();
            Arc::new(RulesFile::new("f".into(), folder, Rules::read(content.as_bytes()).into()))
        };
        let files: Vec<_> = files.iter().map(file).collect();
        let sections = place(&files, inner, lean);
        let rules = sections.into_values().flatten();
        rules
            .map(|place| (String::from_utf8_lossy(&place.rule().text).into_owned(), place.position))
            .collect()
    }

    fn only(text: &str) -> Vec<Position> {
        places(&[(&["s"], text)], false).into_iter().map(|(_, place)| place).collect()
    }

    #[test]
    fn a_rule_that_nothing_undoes_goes_to_the_end() {
        assert_eq!(only("*.log\n!keep.log\n*.tmp\n"), [Position::InOrder, Position::InOrder, Position::Last]);
        assert_eq!(
            only("*.log\n/cache\n!/keep/\n"),
            [Position::Last, Position::Last, Position::BringsNothingBack]
        );
        assert_eq!(only("!a\na\n"), [Position::BringsNothingBack, Position::Last]);
    }

    #[test]
    fn a_rule_of_the_root_is_met_by_a_negation_of_a_service() {
        let files: [(&[&str], &str); 2] = [(&[], "*.log\n*.tmp\n"), (&["s"], "!keep.log\n")];
        let places: Vec<_> = places(&files, false).into_iter().map(|(_, place)| place).collect();
        assert_eq!(places, [Position::InOrder, Position::Last, Position::InOrder]);
    }

    #[test]
    fn a_rule_of_a_service_is_met_by_a_negation_in_the_root_in_it() {
        let inner = [b"x".to_vec(), b"data".to_vec()];
        let files: [(&[&str], &str); 3] = [
            (&["x"], "*.log\n*.tmp\n"),
            (&["y"], "!keep.log\n"),
            (&["x", "data", "s"], "!keep.log\n*.tmp\n"),
        ];
        let places: Vec<_> = places_in(&inner, &files, false).into_iter().map(|(_, place)| place).collect();
        let expected = [
            Position::InOrder,
            Position::Last,
            Position::InOrder,
            Position::Last,
            Position::BringsNothingBack,
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn lean_drops_negations_only_with_the_rules_that_they_belong_to() {
        let places = places(&[(&["s"], "*.log\n!keep.log\n")], true);
        assert_eq!(places[0].1, Position::MatchesNothing);
        assert_eq!(places[1].1, Position::BringsNothingBack);
    }
}
