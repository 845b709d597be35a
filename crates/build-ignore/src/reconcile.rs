//! Compares what git and restic do with every path of a root, and names the paths on which they differ.
//!
//! git's answer is in the tree; restic's is worked out here from the very lines that will be written. A path that
//! git ignores and restic would back up gets a line of its own: a folder `path/*`, a file `path`. The other way round
//! can't happen by construction; should it, `!path` brings the path back.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::index::Id;
use crate::restic::matcher::{Cursor, Matcher};
use crate::section::{NamedPath, Sections};
use crate::translate::component;
use crate::translate::line::{Base, Out};
use crate::translate::order::section_of;
use crate::tree::{Folder, Kind, Trail, Tree};

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

impl Difference {
    /// The section whose lines settle it, in a root with the other one at `inner`.
    pub fn section(&self, inner: &[Vec<u8>]) -> &[Vec<u8>] {
        section_of(inner, self.names.split_last().map_or(&[], |(_, folder)| folder))
    }
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

/// Every difference in the tree, sorted by path.
pub fn compare(tree: &Tree, matcher: &Matcher) -> Vec<Difference> {
    let mut differences = folder(&tree.top, matcher, &matcher.top(), None, &Trail::default());
    differences.sort();
    differences
}

fn folder(
    folder: &Folder,
    matcher: &Matcher,
    cursor: &Cursor,
    inherited: Option<Id>,
    trail: &Trail,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut below = Vec::new();
    for entry in folder.entries() {
        let here = trail.below(entry.name);
        let decided_by = cursor.deciding(inherited, entry.name, || here.names());
        let is_excluded = decided_by.is_some_and(|id| !matcher.is_negated(id));
        let is_folder = entry.kind == Kind::Folder;
        let kind = match (entry.is_ignored, is_excluded) {
            (true, true) => continue,
            (false, true) => DifferenceKind::Lost,
            (true, false) if !is_folder => DifferenceKind::ExtraFile,
            (true, false) => {
                if cursor.enter(entry.name).leaves_out_all(decided_by) {
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
        let names = here.to_names();
        differences.push(Difference { names, kind, decided_by });
    }
    let enter = |&(inner, name, decided_by): &(&Folder, &[u8], Option<Id>)| {
        self::folder(inner, matcher, &cursor.enter(name), decided_by, &trail.below(name))
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

/// Adds a line for each difference to its section, up to [`MOST_PATHS`] each. `why` returns the reason of one.
pub fn name_paths(
    sections: &mut Sections,
    differences: &[Difference],
    base: &Base,
    inner: &[Vec<u8>],
    why: impl Fn(&Difference) -> String,
) {
    let mut by_section: BTreeMap<_, Vec<&Difference>> = BTreeMap::new();
    for difference in differences {
        by_section.entry(difference.section(inner)).or_default().push(difference);
    }
    for (name, differences) in by_section {
        let section = sections.entry(name.to_vec()).or_default();
        for difference in differences {
            if section.paths.len() >= MOST_PATHS && difference.kind != DifferenceKind::Lost {
                section.unnamed += 1;
                continue;
            }
            let mut parts: Vec<Out> =
                difference.names.iter().map(|name| Out::Name(component::literal(name))).collect();
            if difference.kind == DifferenceKind::ExtraFolder {
                parts.push(Out::Name(b"*".into()));
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
