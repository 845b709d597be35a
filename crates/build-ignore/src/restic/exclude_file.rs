//! Any exclude file as restic reads it, for a walk over a tree: which paths it leaves out.
//!
//! What a reader gets wrong: a line without a `/` at its start matches at any depth, also above the roots. Variables are
//! taken to be unset, because those of the container are not known.

use crate::index::{Id, Index, State, Step};
use crate::restic::glob::GoGlob;
use crate::restic::pattern::{Line, Pattern, parse_line};

/// The lines of an exclude file.
#[derive(Debug)]
pub struct ExcludeFile {
    index: Index<GoGlob>,
    negated: Vec<bool>,
    /// Patterns that are matched as a whole: those with several `**`, or one at the end.
    by_hand: Vec<(Id, Pattern)>,
    /// The lines, counted from 1, for which restic refuses the file.
    pub refused: Vec<usize>,
}

/// A folder, and what is known there.
#[derive(Clone, Debug)]
pub struct LineCursor<'e> {
    file: &'e ExcludeFile,
    state: State,
    /// The last line that matches the folder or one above it.
    inherited: Option<Id>,
    names: Vec<Vec<u8>>,
    is_excluded: bool,
}

impl ExcludeFile {
    /// Reads a file's content.
    pub fn parse(text: &[u8]) -> ExcludeFile {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let (mut index, mut negated) = (Index::default(), Vec::new());
        let (mut by_hand, mut refused) = (Vec::new(), Vec::new());
        for (line, number) in text.split(|&byte| byte == b'\n').zip(1..) {
            let pattern = match parse_line(line) {
                Line::Nothing => continue,
                Line::Refused => {
                    refused.push(number);
                    continue;
                }
                Line::Pattern(pattern) => pattern,
            };
            let id = negated.len() as Id;
            negated.push(pattern.negated);
            if pattern.double_stars() > 1 || matches!(pattern.parts.last(), Some(Step::AnyFolders)) {
                by_hand.push((id, pattern));
                index.push(Vec::new(), false);
                continue;
            }
            let floats = !pattern.anchored && pattern.parts.first() != Some(&Step::AnyFolders);
            let start = floats.then_some(Step::AnyFolders);
            if floats && pattern.double_stars() > 0 {
                by_hand.push((id, pattern));
                index.push(Vec::new(), false);
                continue;
            }
            index.push(start.into_iter().chain(pattern.parts).collect::<Vec<_>>(), false);
        }
        ExcludeFile { index, negated, by_hand, refused }
    }

    /// How many patterns are tried on every path one by one.
    pub fn one_by_one(&self) -> usize {
        self.by_hand.len()
    }

    /// The folder to which `names` lead from `/`.
    pub fn at(&self, names: &[Vec<u8>]) -> LineCursor<'_> {
        let top = LineCursor {
            file: self,
            state: self.index.start(),
            inherited: None,
            names: Vec::new(),
            is_excluded: false,
        };
        names.iter().fold(top, |cursor, name| cursor.enter(name))
    }
}

impl LineCursor<'_> {
    fn deciding(&self, name: &[u8]) -> Option<Id> {
        let mut best = self.inherited;
        self.file.index.matches(&self.state, name, |id| best = best.max(Some(id)));
        if !self.file.by_hand.is_empty() {
            let names: Vec<&[u8]> = self.names.iter().map(Vec::as_slice).chain([name]).collect();
            for (id, pattern) in &self.file.by_hand {
                if Some(*id) > best && pattern.matches(&names) {
                    best = Some(*id);
                }
            }
        }
        best
    }

    /// Whether restic leaves out `name` in this folder.
    pub fn leaves_out(&self, name: &[u8]) -> bool {
        self.is_excluded || self.deciding(name).is_some_and(|id| !self.file.negated[id as usize])
    }

    /// The sub-folder `name`.
    #[must_use]
    pub fn enter(&self, name: &[u8]) -> Self {
        let inherited = self.deciding(name);
        let mut names = self.names.clone();
        names.push(name.to_vec());
        LineCursor {
            file: self.file,
            state: self.file.index.enter(&self.state, name),
            inherited,
            names,
            is_excluded: self.is_excluded || inherited.is_some_and(|id| !self.file.negated[id as usize]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_old_script_mean_what_they_mean_to_restic() {
        let file =
            ExcludeFile::parse(b"# x\ndata/s/data\ndata/s/*.log\n!data/s/keep.log\nt//tmp\ndata/s/[a\n");
        assert_eq!(file.refused, [6]);
        let leaves_out = |path: &str| {
            let names: Vec<Vec<u8>> = path.split('/').map(|name| name.as_bytes().to_vec()).collect();
            let (name, folder) = names.split_last().unwrap();
            file.at(folder).leaves_out(name)
        };
        for (path, expected) in [
            ("userdata/data/s/data/x", true),
            ("userdata/data/s/users/data/x", false),
            ("userdata/data/s/a.log", true),
            ("userdata/data/s/keep.log", false),
            ("userdata/data/s/d/a.log", false),
            ("userdata/containers/x/data/s/data", true),
            ("userdata/containers/t/tmp/x", true),
        ] {
            assert_eq!(leaves_out(path), expected, "{path}");
        }
    }
}
