//! restic's side: which of a root's lines decides about a path.
//!
//! In come the sections that are to be written; their lines are read back as restic reads them, so that a mistake in
//! writing shows. A section's lines begin with its folder and are looked up only there: each section has an index of its
//! own, and sections with the same lines, of which templates make many, share it.
//!
//! What a reader gets wrong: a folder whose every child is certainly left out counts as left out, so that the walk need not
//! look into it. restic keeps it as an empty folder.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::index::{Form, Id, Index, NamePattern, State};
use crate::lean::{Beginnings, EndingNames};
use crate::restic::glob::GoGlob;
use crate::restic::pattern::{self, Line, Pattern};
use crate::section::{Section, Sections};
use crate::translate::line::{Base, SeenAt};
use crate::translate::order::SectionName;
use crate::tree::Folder;

/// The lines of a root as restic reads them. Their [`Id`]s count them over all sections, in the order of the file.
#[derive(Debug)]
pub struct Matcher {
    sections: FxHashMap<SectionName, Lines>,
    /// The names that lead to a root in the root.
    inner: Vec<Vec<u8>>,
    negated: Vec<bool>,
    matched: Vec<AtomicBool>,
    /// For each line, the names that it has matched; nothing unless they were asked for.
    names: Vec<OnceLock<EndingNames>>,
    beginnings: Option<Beginnings>,
    /// The names above the root, which those lines are matched with as well.
    above: Vec<Vec<u8>>,
    /// Lines that restic would refuse; none, unless a translation is wrong.
    pub refused: Vec<Vec<u8>>,
}

/// A line that is not looked up: one with several `**`, mostly.
type ByHand = (Id, Pattern);

/// The lines of one section.
#[derive(Debug)]
struct Lines {
    patterns: Arc<ServicePatterns>,
    /// The [`Id`] of the first one.
    first: Id,
    /// Those that are not looked up, and match in the folder of the section only.
    by_hand: Vec<ByHand>,
}

/// What lines say behind the folder that they begin with. Counted from 0.
#[derive(Debug)]
struct ServicePatterns {
    index: Index<GoGlob>,
    negated: Vec<bool>,
    /// Those that can only be understood as a whole.
    set_aside: Vec<Id>,
}

/// By the text behind the folder, each line of it behind a `!` or a `/`.
type Known = Mutex<FxHashMap<Vec<u8>, Arc<ServicePatterns>>>;

/// A folder of the root, and what is known there.
#[derive(Debug)]
pub struct Cursor<'m> {
    matcher: &'m Matcher,
    states: Vec<(&'m Lines, State)>,
    /// The sections that it lies in and that have lines which are not looked up.
    by_hand: Vec<&'m Lines>,
    /// How many names of the way to the root in the root lead here; none off that way.
    to_inner: Option<usize>,
}

impl Matcher {
    /// Reads the lines of `sections` of the root at `seen_at`, whose base is `base`.
    pub fn new(sections: &Sections, base: &Base, seen_at: &SeenAt) -> Matcher {
        let known = Known::default();
        let sections: Vec<_> = sections.iter().collect();
        let read = |(name, section): &(&SectionName, &Section)| {
            ServicePatterns::by(section, &base.below(name), &known)
        };
        let patterns: Vec<Arc<ServicePatterns>> = sections.par_iter().map(read).collect();
        let mut matcher = Matcher {
            sections: FxHashMap::default(),
            inner: seen_at.inner.clone(),
            negated: Vec::new(),
            matched: Vec::new(),
            names: Vec::new(),
            beginnings: None,
            above: seen_at.names.clone(),
            refused: Vec::new(),
        };
        for ((name, section), patterns) in sections.into_iter().zip(patterns) {
            matcher.add(name, section, patterns);
        }
        matcher.matched.resize_with(matcher.negated.len(), AtomicBool::default);
        matcher
    }

    fn add(&mut self, name: &SectionName, section: &Section, patterns: Arc<ServicePatterns>) {
        let first = self.negated.len() as Id;
        self.negated.extend_from_slice(&patterns.negated);
        let whole: Vec<&[u8]> = match patterns.set_aside.as_slice() {
            [] => Vec::new(),
            _ => section.lines().collect(),
        };
        let mut by_hand = Vec::new();
        for id in &patterns.set_aside {
            let line = whole[*id as usize];
            let Line::Pattern(pattern) = pattern::parse_line(line) else {
                self.refused.push(line.to_vec());
                continue;
            };
            let id = first + id;
            self.negated[id as usize] = pattern.negated;
            by_hand.push((id, pattern));
        }
        self.sections.insert(name.clone(), Lines { patterns, first, by_hand });
    }

    /// Lets it remember the names that a line matches, for those lines that can be replaced by names. The lines are
    /// for the tree of `top`.
    pub fn remember_names(&mut self, top: &Folder) {
        self.names.resize_with(self.negated.len(), OnceLock::new);
        self.beginnings = Some(Beginnings::of(top));
    }

    /// The lines to write in place of this one, such that they match the names that it has matched; none where it stays as
    /// it is.
    pub fn lean_lines(&self, id: Id, line: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.names.get(id as usize)?.get()?.lean_lines(line, self.beginnings.as_ref()?)
    }

    /// The root's own folder.
    pub fn top(&self) -> Cursor<'_> {
        let mut top = Cursor { matcher: self, states: Vec::new(), by_hand: Vec::new(), to_inner: Some(0) };
        top.add_section(&[]);
        top
    }

    /// The last line that matches the path `names` below the root or a folder above it, as restic decides.
    pub fn deciding(&self, names: &[Vec<u8>]) -> Option<Id> {
        let mut place = self.top();
        let mut best = None;
        for (depth, name) in names.iter().enumerate() {
            best = place.deciding(best, name, || names[..=depth].iter().map(Vec::as_slice).collect());
            place = place.enter(name);
        }
        best
    }

    /// Whether restic leaves out the path, or a folder above it.
    pub fn excludes(&self, names: &[Vec<u8>]) -> bool {
        (1..=names.len())
            .any(|length| self.deciding(&names[..length]).is_some_and(|id| !self.negated[id as usize]))
    }

    /// The same, or all that is in the path where that is a folder: such a folder is in the backup, and empty.
    pub fn leaves_out(&self, names: &[Vec<u8>], is_folder: bool) -> bool {
        let place = || names.iter().fold(self.top(), |place, name| place.enter(name));
        self.excludes(names) || (is_folder && place().leaves_out_all(self.deciding(names)))
    }

    /// Whether this line takes something back in.
    pub fn is_negated(&self, id: Id) -> bool {
        self.negated[id as usize]
    }

    /// Whether this line has matched anything that was asked about.
    pub fn has_matched(&self, id: Id) -> bool {
        self.matched[id as usize].load(Ordering::Relaxed)
    }

    fn mark(&self, id: Id) {
        if !self.has_matched(id) {
            self.matched[id as usize].store(true, Ordering::Relaxed);
        }
    }
}

impl<'m> Cursor<'m> {
    /// The sub-folder `name`.
    pub fn enter(&self, name: &[u8]) -> Cursor<'m> {
        let inner =
            self.states.iter().map(|(lines, state)| (*lines, lines.patterns.index.enter(state, name)));
        let states: Vec<_> = inner.filter(|(lines, state)| !lines.patterns.index.is_over(state)).collect();
        let to_inner =
            self.to_inner.filter(|&depth| self.matcher.inner.get(depth).is_some_and(|next| next == name));
        let mut below = Cursor {
            matcher: self.matcher,
            states,
            by_hand: self.by_hand.clone(),
            to_inner: to_inner.map(|depth| depth + 1),
        };
        // Folders of the root, and of the root in it, are sections.
        if let Some(depth) = self.to_inner.filter(|&depth| depth == 0 || depth == self.matcher.inner.len()) {
            below.add_section(&[&self.matcher.inner[..depth], &[name.to_vec()]].concat());
        }
        below
    }

    fn add_section(&mut self, name: &[Vec<u8>]) {
        let Some(lines) = self.matcher.sections.get(name) else { return };
        self.states.push((lines, lines.patterns.index.start()));
        if !lines.by_hand.is_empty() {
            self.by_hand.push(lines);
        }
    }

    /// The lines that are not looked up and may match here or below.
    fn by_hand(&self) -> impl Iterator<Item = &'m ByHand> {
        self.by_hand.iter().flat_map(|lines| &lines.by_hand)
    }

    /// The last line that matches `name`, a child of this folder, or what is above it; `inherited` is the one for the
    /// folder itself. `path` returns the names that lead to the child from the root.
    pub fn deciding<'n>(
        &self,
        inherited: Option<Id>,
        name: &[u8],
        path: impl Fn() -> Vec<&'n [u8]>,
    ) -> Option<Id> {
        let matcher = self.matcher;
        let mut best = inherited;
        for (lines, state) in &self.states {
            lines.patterns.index.matches(state, name, |id| {
                lines.mark(matcher, id, name);
                best = best.max(Some(lines.first + id));
            });
        }
        if self.by_hand().next().is_some() {
            let below = path();
            let names: Vec<&[u8]> = matcher.above.iter().map(Vec::as_slice).chain(below).collect();
            for (id, pattern) in self.by_hand() {
                if (Some(*id) > best || !matcher.has_matched(*id)) && pattern.matches(&names) {
                    matcher.mark(*id);
                    best = best.max(Some(*id));
                }
            }
        }
        best
    }

    /// Whether restic leaves out every child of this folder, which it enters, whatever the child's name.
    pub fn leaves_out_all(&self, decided_by: Option<Id>) -> bool {
        let matcher = self.matcher;
        let mut best = None;
        let mut taken_back = self.by_hand().filter(|(_, line)| line.negated).map(|(id, _)| *id).max();
        for (lines, state) in &self.states {
            let negated = |id: Id| matcher.negated[(lines.first + id) as usize];
            lines.patterns.index.matches_all_children(state, |id| {
                if !negated(id) {
                    best = best.max(Some(lines.first + id));
                }
            });
            let negation = lines.patterns.index.last_marked_for_children(state, negated);
            taken_back = taken_back.max(negation.map(|id| lines.first + id));
        }
        if best.is_none() || best < decided_by {
            return false;
        }
        let is_certain = taken_back < best;
        if let (true, Some(id)) = (is_certain, best) {
            matcher.mark(id);
        }
        is_certain
    }
}

impl Lines {
    /// Notes that its line `id` has matched `name`.
    fn mark(&self, matcher: &Matcher, id: Id, name: &[u8]) {
        let root_id = self.first + id;
        matcher.mark(root_id);
        let Some(names) = matcher.names.get(root_id as usize).filter(|_| !matcher.is_negated(root_id)) else {
            return;
        };
        if let Some(Form::Suffix(ending)) = self.patterns.index.last_name_of(id).map(NamePattern::form) {
            names.get_or_init(|| EndingNames::new(ending.len())).add(name);
        }
    }
}

impl ServicePatterns {
    /// What the lines of a section say, which all begin with `base`.
    fn by(section: &Section, base: &Base, known: &Known) -> Arc<ServicePatterns> {
        let mut text = Vec::new();
        for line in section.lines() {
            if let Some((negated, below)) = pattern::below(base.text(), line) {
                text.push(if negated { b'!' } else { b'/' });
                text.extend_from_slice(below);
            }
            text.push(b'\n');
        }
        if let Some(patterns) = locked(known).get(&text) {
            return Arc::clone(patterns);
        }
        let patterns = Arc::new(ServicePatterns::read(&text));
        locked(known).insert(text, Arc::clone(&patterns));
        patterns
    }

    fn read(text: &[u8]) -> ServicePatterns {
        let mut negated = Vec::new();
        let mut set_aside = Vec::new();
        let mut index = Index::default();
        for (line, id) in text.split_inclusive(|&byte| byte == b'\n').zip(0..) {
            let steps = match &line[..line.len() - 1] {
                [_, below @ ..] => pattern::parse_below(below),
                [] => None,
            };
            let is_negated = line.starts_with(b"!");
            negated.push(is_negated);
            // A line that is not looked up has no steps: that matches the folder itself, which is never looked up.
            let steps = steps.unwrap_or_else(|| {
                set_aside.push(id);
                Vec::new()
            });
            index.push(steps, is_negated);
        }
        ServicePatterns { index, negated, set_aside }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules_file::{Rules, RulesFile};
    use crate::section;

    fn matcher(files: &[(&str, &str)]) -> Matcher {
        let seen_at = SeenAt { names: vec![b"data".to_vec()], inner: Vec::new() };
        let file = |(service, rules): &(&str, &str)| {
            let folder = vec![service.as_bytes().to_vec()];
            Arc::new(RulesFile::new("f".into(), folder, Rules::read(rules.as_bytes()).into()))
        };
        let files: Vec<_> = files.iter().map(file).collect();
        let base = seen_at.base();
        Matcher::new(&section::compile(&files, &base, &[], false, 8), &base, &seen_at)
    }

    fn excludes(matcher: &Matcher, path: &str) -> bool {
        let names: Vec<Vec<u8>> = path.split('/').map(|name| name.as_bytes().to_vec()).collect();
        matcher.excludes(&names)
    }

    #[test]
    fn services_of_the_same_rules_share_an_index_and_nothing_else() {
        let matcher = matcher(&[("a", "*.log\n/x/\n"), ("b", "*.log\n/x/\n"), ("c", "*.tmp\n")]);
        let patterns = |service: &[u8]| &matcher.sections[&vec![service.to_vec()]].patterns;
        assert!(Arc::ptr_eq(patterns(b"a"), patterns(b"b")));
        assert!(
            excludes(&matcher, "b/1.log") && !excludes(&matcher, "c/1.log") && !excludes(&matcher, "d/1.log")
        );
        assert_eq!(
            (0..5).map(|id| matcher.has_matched(id)).collect::<Vec<_>>(),
            [false, false, true, false, false]
        );
    }

    #[test]
    fn a_name_that_begins_with_an_exclamation_mark_is_no_negation() {
        let matcher = matcher(&[("a", "*\n!/keep\n"), ("b", "\\!keep\n/!keep/x\n")]);
        assert!(excludes(&matcher, "a/other") && !excludes(&matcher, "a/keep"));
        assert!(excludes(&matcher, "b/!keep") && !excludes(&matcher, "b/keep"));
    }

    #[test]
    fn lines_that_can_only_be_read_as_a_whole_keep_their_place() {
        let matcher = matcher(&[("a", "/b/**/c/**/d*\n!/b/**/c/**/dx\n*.log\n"), ("b", "x\n")]);
        assert_eq!(matcher.sections[&vec![b"a".to_vec()]].by_hand.len(), 2);
        assert!(excludes(&matcher, "a/b/1/c/2/d1") && excludes(&matcher, "a/1.log"));
        assert!(!excludes(&matcher, "a/b/1/c/2/dx") && !excludes(&matcher, "b/b/1/c/2/d1"));
    }
}
