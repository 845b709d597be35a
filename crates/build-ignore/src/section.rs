//! A root's patterns, section by section, in the order in which they are written: rules in order, rules that come
//! last, then single paths that had to be named.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::{FxBuildHasher, FxHashSet};

use crate::rules_file::RulesFile;
use crate::translate::line::Base;
use crate::translate::order::{self, Position, RulePlace, SectionName};
use crate::translate::rule::{self, Limits};

/// What is written for one service, or for what lies in the root itself.
#[derive(Debug, Default)]
pub struct Section {
    /// Its rules in the order in which they are written, also those that no pattern is written for.
    pub rules: Vec<RulePatterns>,
    /// Single paths, taken back in first.
    pub paths: Vec<NamedPath>,
    /// How many paths would have had to be named beyond the limit; they are backed up.
    pub unnamed: usize,
    /// Its lines would take more than [`MOST_BYTES`].
    pub is_over: bool,
    /// Some rule matches nothing, can't be expressed or has a line with a `**`: there may be something to warn about.
    pub has_odd_rules: bool,
}

/// The lines of a service may take this many bytes of memory.
pub const MOST_BYTES: usize = 32 << 20;

impl Section {
    /// Every line, in the order of the file.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let rules = self.rules.iter().flat_map(|rule| &rule.lines);
        rules.chain(self.paths.iter().map(|path| &path.line)).map(Vec::as_slice)
    }
}

/// A rule with its patterns.
#[derive(Debug)]
pub struct RulePatterns {
    /// The rule and its place.
    pub place: RulePlace,
    /// Its lines in the exclude file, without those that another line makes needless.
    pub lines: Vec<Vec<u8>>,
    /// Lines that are left away because they match nothing today, to be shown as comments.
    pub inactive: Vec<Vec<u8>>,
    /// Its lines name only what it matches today.
    pub is_lean: bool,
    /// It matches nothing today, so only the first of its lines is written.
    pub is_first_only: bool,
    /// restic's syntax can't express any of it.
    pub is_unsayable: bool,
}

impl RulePatterns {
    /// See [`Section::has_odd_rules`].
    fn is_odd(&self) -> bool {
        self.is_unsayable
            || matches!(self.place.position, Position::Never(_))
            || self.lines.iter().any(|line| has_double_star(line))
    }

    /// The rule without lines.
    fn nothing(place: RulePlace) -> RulePatterns {
        RulePatterns {
            place,
            lines: Vec::new(),
            inactive: Vec::new(),
            is_lean: false,
            is_first_only: false,
            is_unsayable: false,
        }
    }
}

/// A path that a line of its own settles.
#[derive(Clone, Debug)]
pub struct NamedPath {
    /// The line.
    pub line: Vec<u8>,
    /// The names that lead to it from the root.
    pub names: Vec<Vec<u8>>,
    /// Why no pattern of a rule does it.
    pub why: String,
}

/// All of a root.
pub type Sections = BTreeMap<SectionName, Section>;

/// Compiles the rules of `files`, whose root is seen at `base` and has the other root at `inner`. restic sees no path in
/// it of more than `depth` names.
pub fn compile(
    files: &[Arc<RulesFile>],
    base: &Base,
    inner: &[Vec<u8>],
    lean: bool,
    depth: usize,
) -> Sections {
    let sections: Vec<_> = order::place(files, inner, lean).into_iter().collect();
    let compiled: Vec<_> =
        sections.into_par_iter().map(|(name, rules)| (name, section(&rules, base, depth))).collect();
    compiled.into_iter().collect()
}

fn section(rules: &[RulePlace], base: &Base, depth: usize) -> Section {
    let mut written = Vec::with_capacity(rules.len());
    let mut bytes = 0;
    let mut has_odd_rules = false;
    for of_file in rules.chunk_by(|a, b| Arc::ptr_eq(&a.file, &b.file)) {
        let base = base.below(&of_file[0].file.folder);
        let stars = rule::double_stars_for(depth.saturating_sub(base.depth()));
        for place in of_file {
            let rule = write(place.clone(), &base, stars);
            bytes += rule.lines.iter().map(Vec::len).sum::<usize>();
            if bytes > MOST_BYTES {
                return Section { is_over: true, ..Section::default() };
            }
            // Here the lines are still in the processor's cache.
            has_odd_rules |= rule.is_odd();
            written.push(rule);
        }
    }
    written.sort_by_key(|rule| rule.place.position == Position::Last);
    drop_repeated(&mut written);
    Section { rules: written, has_odd_rules, ..Section::default() }
}

/// Whether a line has a `**`.
pub(crate) fn has_double_star(line: &[u8]) -> bool {
    // Without an early end the compiler looks at many bytes at once.
    let pairs = line.iter().zip(line.get(1..).unwrap_or_default());
    pairs.fold(false, |found, (one, next)| found | ((*one == b'*') & (*next == b'*')))
}

/// Of equal lines only the last one can decide.
pub(crate) fn drop_repeated(rules: &mut [RulePatterns]) {
    let lines = rules.iter().rev().flat_map(|rule| rule.lines.iter().rev());
    let mut seen = FxHashSet::with_capacity_and_hasher(2 * rules.len(), FxBuildHasher);
    let is_last: Vec<bool> = lines.map(|line| seen.insert(line.as_slice())).collect();
    drop(seen);
    if is_last.iter().all(|is_last| *is_last) {
        return;
    }
    let mut is_last = is_last.into_iter().rev();
    for rule in rules {
        rule.lines.retain(|_| is_last.next().unwrap_or(true));
    }
}

/// `base` is the folder of the rule's file.
fn write(place: RulePlace, base: &Base, double_stars: usize) -> RulePatterns {
    let lines = match &place.rule().path {
        Ok(path) => {
            let rule = place.rule();
            rule::translate(rule, path, base, Limits { height: place.file.height(), double_stars })
        }
        Err(_) => Vec::new(),
    };
    match place.position {
        Position::InOrder | Position::Last => {
            RulePatterns { is_unsayable: lines.is_empty(), lines, ..RulePatterns::nothing(place) }
        }
        Position::MatchesNothing => RulePatterns { inactive: lines, ..RulePatterns::nothing(place) },
        Position::Never(_) | Position::BringsNothingBack => RulePatterns::nothing(place),
    }
}
