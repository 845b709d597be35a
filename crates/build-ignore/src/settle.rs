//! Compares what git and restic do with every path of a root, and names the paths on which they differ.
//!
//! git's answer stands in the tree; restic's is worked out here from the very lines that will be written. A path that
//! git ignores and restic would back up gets a line of its own: a folder `path/*`, a file `path`. The other way round
//! can't happen by construction; should it, `!path` brings the path back.
//!
//! What a reader gets wrong: a folder whose every child is certainly left out counts as left out, so that nobody has to
//! look into it. restic keeps it as an empty folder.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::index::{Form, Id, Index, NamePattern, State};
use crate::narrow::Names;
use crate::restic::glob::Glob;
use crate::restic::pattern::{self, Line, Part, Pattern};
use crate::section::{NamedPath, Sections};
use crate::translate::component;
use crate::translate::line::{Base, Out};
use crate::tree::{Folder, Kind, Tree};

/// A path on which git and restic differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The names that lead to it from the root.
    pub names: Vec<Vec<u8>>,
    /// What differs.
    pub kind: DifferenceKind,
    /// The line, counted over all lines of the root, that decides for restic; none matches where this is none.
    pub decided_by: Option<Id>,
}

/// How they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// git keeps it, restic would leave it out.
    Lost,
    /// git ignores this folder, restic would back up something in it.
    ExtraFolder,
    /// git ignores this file, restic would back it up.
    ExtraFile,
}

/// restic's side: the lines of a root as restic reads them.
#[derive(Debug)]
pub struct Model {
    index: Index<Glob>,
    negated: Vec<bool>,
    matched: Vec<AtomicBool>,
    /// For each line, the names that it has matched; nothing unless they were asked for.
    names: Vec<Option<Names>>,
    /// Patterns with several `**`, for which restic's own rule about these is followed to the letter.
    by_hand: Vec<(Id, Pattern)>,
    /// The names above the root, which those patterns are matched with as well.
    above: Vec<Vec<u8>>,
    /// Lines that restic would refuse; none, unless a translation is wrong.
    pub refused: Vec<Vec<u8>>,
}

impl Model {
    /// Reads `lines`, the lines of one root in the order of the file. All begin with `base`, to which the names `above`
    /// lead.
    pub fn new<'a>(lines: impl Iterator<Item = &'a [u8]>, base: &Base, above: &[Vec<u8>]) -> Model {
        let mut model = Model {
            index: Index::new(Vec::new(), |_| false),
            negated: Vec::new(),
            matched: Vec::new(),
            names: Vec::new(),
            by_hand: Vec::new(),
            above: above.to_vec(),
            refused: Vec::new(),
        };
        let lines: Vec<&[u8]> = lines.collect();
        let below = |line: &&[u8]| pattern::parse_line_below(base.text(), line);
        let below: Vec<Option<(bool, Vec<Part>)>> = lines.par_iter().map(below).collect();
        let mut patterns = Vec::with_capacity(lines.len());
        for ((line, below), id) in lines.into_iter().zip(below).zip(0..) {
            let (negated, steps) = below.unwrap_or_else(|| model.set_aside(id, line));
            model.negated.push(negated);
            patterns.push(steps);
        }
        model.matched = model.negated.iter().map(|_| AtomicBool::new(false)).collect();
        // A line that is not looked up has no steps: that matches the root itself, which nobody asks about.
        model.index = Index::new(patterns, |id| model.negated[id as usize]);
        model
    }

    /// Lets it remember the names that a line matches, for those lines that can be narrowed down to names.
    pub fn remember_names(&mut self) {
        let of_line = |id| match self.index.last_name_of(id).filter(|_| !self.is_negated(id))?.form() {
            Form::Suffix(ending) => Some(Names::new(ending.len())),
            _ => None,
        };
        self.names = (0..self.negated.len() as Id).map(of_line).collect();
    }

    /// The lines to write in place of this one, such that they match the names that it has matched; none where it stays as
    /// it is.
    pub fn narrowed(&self, id: Id, line: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.names.get(id as usize)?.as_ref()?.narrowed(line)
    }

    /// Keeps a line that is not looked up; gives whether it is negated, and no steps.
    fn set_aside(&mut self, id: Id, line: &[u8]) -> (bool, Vec<Part>) {
        let Line::Pattern(pattern) = pattern::parse_line(line) else {
            self.refused.push(line.to_vec());
            return (false, Vec::new());
        };
        let negated = pattern.negated;
        self.by_hand.push((id, pattern));
        (negated, Vec::new())
    }

    /// The last line that matches the path `names` below the root or a folder above it, as restic decides.
    pub fn deciding(&self, names: &[Vec<u8>]) -> Option<Id> {
        let mut state = self.index.start();
        let mut best = None;
        for (depth, name) in names.iter().enumerate() {
            best = self.best(&state, best, name, || names[..=depth].iter().map(Vec::as_slice).collect());
            state = self.index.enter(&state, name);
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
        let state = || names.iter().fold(self.index.start(), |state, name| self.index.enter(&state, name));
        self.excludes(names) || (is_folder && self.leaves_out_all_in(&state(), self.deciding(names)))
    }

    /// Whether this line takes something back in.
    pub fn is_negated(&self, id: Id) -> bool {
        self.negated[id as usize]
    }

    /// Whether this line has matched anything that was compared.
    pub fn has_matched(&self, id: Id) -> bool {
        self.matched[id as usize].load(Ordering::Relaxed)
    }

    fn mark(&self, id: Id) {
        if !self.has_matched(id) {
            self.matched[id as usize].store(true, Ordering::Relaxed);
        }
    }

    fn mark_with_name(&self, id: Id, name: &[u8]) {
        self.mark(id);
        if let Some(Some(names)) = self.names.get(id as usize) {
            names.add(name);
        }
    }

    fn best<'n>(
        &self,
        state: &State,
        inherited: Option<Id>,
        name: &[u8],
        path: impl Fn() -> Vec<&'n [u8]>,
    ) -> Option<Id> {
        let mut best = inherited;
        self.index.matches(state, name, |id| {
            self.mark_with_name(id, name);
            best = best.max(Some(id));
        });
        if !self.by_hand.is_empty() {
            let below = path();
            let names: Vec<&[u8]> = self.above.iter().map(Vec::as_slice).chain(below).collect();
            for (id, pattern) in &self.by_hand {
                if (Some(*id) > best || !self.has_matched(*id)) && pattern.matches(&names) {
                    self.mark(*id);
                    best = best.max(Some(*id));
                }
            }
        }
        best
    }

    /// Whether restic leaves out every child of a folder that it enters, whatever the child's name.
    fn leaves_out_all_in(&self, state: &State, decided_by: Option<Id>) -> bool {
        let mut best = None;
        self.index.matches_all_children(state, |id| {
            if !self.negated[id as usize] {
                best = best.max(Some(id));
            }
        });
        if best.is_none() || best < decided_by {
            return false;
        }
        let by_hand = self.by_hand.iter().filter(|(_, pattern)| pattern.negated).map(|(id, _)| *id).max();
        let taken_back = self.index.last_marked_for_children(state, |id| self.negated[id as usize]);
        let is_certain = by_hand.max(taken_back) < best;
        if let (true, Some(id)) = (is_certain, best) {
            self.mark(id);
        }
        is_certain
    }
}

/// Every difference in the tree, sorted by path.
pub fn compare(tree: &Tree, model: &Model) -> Vec<Difference> {
    compare_below(&tree.top, model)
}

/// The same where the lines are matched with paths from this folder on, as if it were the root.
pub fn compare_below(top: &Folder, model: &Model) -> Vec<Difference> {
    let mut differences = folder(top, model, &model.index.start(), None, &Way { above: None, name: b"" });
    differences.sort();
    differences
}

struct Way<'a> {
    above: Option<&'a Way<'a>>,
    name: &'a [u8],
}

impl<'a> Way<'a> {
    fn names(&self) -> Vec<&'a [u8]> {
        let Some(above) = self.above else { return Vec::new() };
        let mut names = above.names();
        names.push(self.name);
        names
    }
}

fn folder(
    folder: &Folder,
    model: &Model,
    state: &State,
    inherited: Option<Id>,
    way: &Way,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut below = Vec::new();
    for entry in folder.entries() {
        let here = Way { above: Some(way), name: entry.name };
        let decided_by = model.best(state, inherited, entry.name, || here.names());
        let is_excluded = decided_by.is_some_and(|id| !model.negated[id as usize]);
        let is_folder = entry.kind == Kind::Folder;
        let kind = match (entry.is_ignored, is_excluded) {
            (true, true) => continue,
            (false, true) => DifferenceKind::Lost,
            (true, false) if !is_folder => DifferenceKind::ExtraFile,
            (true, false) => {
                if model.leaves_out_all_in(&model.index.enter(state, entry.name), decided_by) {
                    continue;
                }
                DifferenceKind::ExtraFolder
            }
            (false, false) => {
                if let Some(inner) = entry.folder {
                    below.push((inner, entry.name, decided_by));
                }
                continue;
            }
        };
        let names = here.names().into_iter().map(<[u8]>::to_vec).collect();
        differences.push(Difference { names, kind, decided_by });
    }
    let enter = |&(inner, name, decided_by): &(&Folder, &[u8], Option<Id>)| {
        self::folder(
            inner,
            model,
            &model.index.enter(state, name),
            decided_by,
            &Way { above: Some(way), name },
        )
    };
    let deeper: Vec<Vec<Difference>> = match below.as_slice() {
        [] | [_] => below.iter().map(enter).collect(),
        _ => below.par_iter().map(enter).collect(),
    };
    differences.extend(deeper.into_iter().flatten());
    differences
}

/// More paths than this are not named in one section; the rest is backed up.
pub const MOST_PATHS: usize = 5_000;

/// Adds a line for each difference to its section, up to [`MOST_PATHS`] each. `why` gives the words for one.
pub fn name_paths(
    sections: &mut Sections,
    differences: &[Difference],
    base: &Base,
    why: impl Fn(&Difference) -> String,
) {
    let mut by_section: BTreeMap<_, Vec<&Difference>> = BTreeMap::new();
    for difference in differences {
        // What lies in the root itself has no section of a service.
        let section = if difference.names.len() > 1 { difference.names.first().cloned() } else { None };
        by_section.entry(section).or_default().push(difference);
    }
    for (name, differences) in by_section {
        let section = sections.entry(name).or_default();
        for difference in differences {
            if section.paths.len() >= MOST_PATHS && difference.kind != DifferenceKind::Lost {
                section.unnamed += 1;
                continue;
            }
            let mut parts: Vec<Out> =
                difference.names.iter().map(|name| Out::Name(component::literal(name))).collect();
            if difference.kind == DifferenceKind::ExtraFolder {
                parts.push(Out::Name(b"*".to_vec()));
            }
            match base.line(difference.kind == DifferenceKind::Lost, &parts) {
                Some(line) => {
                    let names = difference.names.clone();
                    section.paths.push(NamedPath { line, names, why: why(difference) });
                }
                None => section.unnamed += 1,
            }
        }
        section.paths.sort_by(|a, b| {
            (!a.line.starts_with(b"!"), &a.names).cmp(&(!b.line.starts_with(b"!"), &b.names))
        });
    }
}

/// Every line of the root, in the order of the file.
pub fn lines(sections: &Sections) -> impl Iterator<Item = &[u8]> {
    sections.values().flat_map(|section| {
        let rules = section.rules.iter().flat_map(|rule| &rule.lines);
        rules.chain(section.paths.iter().map(|path| &path.line)).map(Vec::as_slice)
    })
}
