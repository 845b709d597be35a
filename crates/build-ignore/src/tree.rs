//! Reads a root: finds every `.resticignore` that git would read, and keeps the names that rules can apply to.
//!
//! The walk is parallel, follows no symlink and does not enter what is ignored (unless sizes are asked for). A folder
//! that can't be read is a problem, and the walk goes on. What comes out is the tree as it was seen once, so that
//! rules and patterns are compared on the same names.
//!
//! What a reader gets wrong: folders to which no rule applies, and in which none lies deeper, are not kept.

mod links;
mod read;
mod rules;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;

use common::problem::Problem;
use rustc_hash::FxHashSet;

use crate::git::rule::{self, Rule, Segment};
use crate::held::Held;
use crate::rules_file::RulesFile;
use crate::translate::order::SectionName;
pub use links::Link;
pub use read::Kind;
pub use walk::walk;

/// With more lines than this in its rules files a service is backed up in full.
pub const MOST_RULES: usize = 200_000;
/// With more bytes than this in its rules files a service is backed up in full.
pub const MOST_BYTES: usize = 16 << 20;

/// What was seen of a root.
#[derive(Debug, Default)]
pub struct Tree {
    /// The root's own folder.
    pub top: Folder,
    /// Every `.resticignore`, those above before those below, and else by path.
    pub files: Vec<Arc<RulesFile>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Folders that could not be entered, by path.
    pub closed: Vec<Closed>,
    /// Services with more rules than [`MOST_RULES`] or [`MOST_BYTES`] allow.
    pub over: FxHashSet<SectionName>,
    /// Symlinks that lead out of the root, apart from those that are left out.
    pub links: Vec<Link>,
    /// Services with a compose file: the names that lead there.
    pub compose: Vec<Vec<Vec<u8>>>,
    /// Service folders with a prepare step that were entered: the names that lead there, in no particular order.
    pub prepared: Vec<Vec<Vec<u8>>>,
    /// How many paths restic looks at, by the number of their names below the root; the last number is for all deeper.
    pub depths: Vec<u64>,
}

/// How a folder or file was reached; its path is put together only when it is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trail<'a> {
    above: Option<&'a Trail<'a>>,
    name: &'a [u8],
    depth: usize,
}

impl<'a> Trail<'a> {
    /// What the folder holds under this name.
    pub fn below<'b>(&'b self, name: &'b [u8]) -> Trail<'b> {
        Trail { above: Some(self), name, depth: self.depth + 1 }
    }

    /// The names that lead here from the root.
    pub fn names(&self) -> Vec<&'a [u8]> {
        let Some(above) = self.above else { return Vec::new() };
        let mut names = above.names();
        names.push(self.name);
        names
    }

    /// The same names, to be kept.
    pub fn to_names(&self) -> Vec<Vec<u8>> {
        self.names().into_iter().map(<[u8]>::to_vec).collect()
    }
}

/// Rules that are not read as they are written.
#[derive(Clone, Debug, Default)]
pub struct Exceptions {
    /// Services whose rules are not read; nothing in them is left out.
    pub blocked: FxHashSet<SectionName>,
    /// Rules that wait for the person's consent.
    pub held: Held,
}

/// A folder that the tool may not enter.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub error: String,
    /// The first rule by name that is not applied in it, and how many more there are.
    pub rule: Option<(String, usize)>,
}

/// What was seen of a folder.
#[derive(Debug, Default)]
pub struct Folder {
    /// All names, one behind the other.
    names: Vec<u8>,
    entries: Vec<Raw>,
    /// The sub-folders that were entered, by the position of their entry.
    folders: Vec<(u32, Folder)>,
    /// How many names deep it goes.
    height: usize,
    /// All of its names are here, not only those that lead on to rules.
    is_whole: bool,
}

#[derive(Clone, Copy, Debug)]
struct Raw {
    name_end: u32,
    kind: Kind,
    is_ignored: bool,
    size: u64,
}

/// One name in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The name.
    pub name: &'a [u8],
    /// What it is.
    pub kind: Kind,
    /// Whether git ignores it, or a folder above it.
    pub is_ignored: bool,
    /// A file's size in bytes, where sizes were asked for.
    pub size: u64,
    /// What is in it, if it was entered.
    pub folder: Option<&'a Folder>,
}

impl Folder {
    /// The names in it, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut start = 0;
        let mut folders = self.folders.iter().peekable();
        self.entries.iter().zip(0..).map(move |(raw, position)| {
            let name = &self.names[start..raw.name_end as usize];
            start = raw.name_end as usize;
            let folder = folders.next_if(|(of, _)| *of == position).map(|(_, folder)| folder);
            Entry { name, kind: raw.kind, is_ignored: raw.is_ignored, size: raw.size, folder }
        })
    }

    /// The names in it, for what most of them can be skipped by.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.entries.iter().map(move |raw| {
            let name = &self.names[start..raw.name_end as usize];
            start = raw.name_end as usize;
            name
        })
    }

    /// The sub-folders that were entered.
    pub fn entered(&self) -> impl Iterator<Item = (Entry<'_>, &Folder)> {
        self.folders.iter().map(|(position, folder)| {
            let position = *position as usize;
            let start = position.checked_sub(1).map_or(0, |before| self.entries[before].name_end as usize);
            let raw = self.entries[position];
            let name = &self.names[start..raw.name_end as usize];
            let (kind, is_ignored, size) = (raw.kind, raw.is_ignored, raw.size);
            (Entry { name, kind, is_ignored, size, folder: Some(folder) }, folder)
        })
    }

    /// Whether all of its names are known, and not only those that lead on to rules.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether a name in it or below it has a capital letter of ASCII.
    pub fn has_upper(&self) -> bool {
        // Without an early end, which keeps the compiler from looking at many bytes at once.
        self.names.iter().fold(false, |found, byte| found | byte.is_ascii_uppercase())
            || self.entered().any(|(_, inner)| inner.has_upper())
    }

    /// How many names deep it goes, apart from what is left out.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Calls `each` with the names that lead from here to what `rule` of a file in this folder matches. It returns whether
    /// to go on in that folder.
    pub fn matches_of(&self, rule: &Rule, each: &mut impl FnMut(&[&[u8]]) -> bool) {
        if let Ok(path) = &rule.path {
            self.add_matches(path, rule.folders_only, &mut Vec::new(), each);
        }
    }

    fn add_matches<'t>(
        &'t self,
        path: &[Segment],
        folders_only: bool,
        names: &mut Vec<&'t [u8]>,
        each: &mut impl FnMut(&[&[u8]]) -> bool,
    ) {
        for entry in self.entries() {
            names.push(entry.name);
            let is_match = (!folders_only || entry.kind == Kind::Folder) && rule::matches(path, names);
            let goes_on = !is_match || each(names);
            if let (Some(inner), true) = (entry.folder, goes_on) {
                inner.add_matches(path, folders_only, names, each);
            }
            names.pop();
        }
    }

    /// The sub-folder that the names lead to, if it was entered.
    pub fn at(&self, names: &[Vec<u8>]) -> Option<&Folder> {
        let Some((first, rest)) = names.split_first() else { return Some(self) };
        self.entries().find(|entry| entry.name == first.as_slice())?.folder?.at(rest)
    }
}

/// How much a walk lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Rules, and the names that they can apply to.
    Rules,
    /// Every name that no rule leaves out.
    Names,
    /// Every name with its size, also below what is ignored.
    Sizes,
}
