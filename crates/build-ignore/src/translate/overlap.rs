//! Whether a rule and a negation can match the same path. `true` where that isn't clear.

use crate::git::glob::Glob;
use crate::git::rule::Segment;
use crate::index::Step;

/// A rule's path from the root: the names of its file's folder, then its own.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The folder of its file.
    pub folder: &'a [Vec<u8>],
    /// What it matches below.
    pub path: &'a [Segment],
}

impl Scope<'_> {
    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.folder.len() + self.path.len()
    }

    fn is_any_folders(&self, position: usize) -> bool {
        position >= self.folder.len() && self.path[position - self.folder.len()] == Step::AnyFolders
    }

    fn name_may_be(&self, position: usize, other: &Scope, other_position: usize) -> bool {
        match (self.name(position), other.name(other_position)) {
            (Name::Is(a), Name::Is(b)) => a == b,
            (Name::Is(name), Name::Like(glob)) | (Name::Like(glob), Name::Is(name)) => glob.matches(name),
            (Name::Like(a), Name::Like(b)) => a.may_share_a_name(b),
            (Name::Anything, _) | (_, Name::Anything) => true,
        }
    }

    fn name(&self, position: usize) -> Name<'_> {
        match self.folder.get(position) {
            Some(name) => Name::Is(name),
            None => match &self.path[position - self.folder.len()] {
                Step::Name(glob) => Name::Like(glob),
                Step::AnyFolders => Name::Anything,
            },
        }
    }
}

enum Name<'a> {
    Is(&'a [u8]),
    Like(&'a Glob),
    Anything,
}

/// No path that a program can open has this many names; rules that do are not compared step by step.
const MOST_STEPS: usize = 1_000_000;

/// Whether some path may be matched by both.
pub fn may_overlap(a: &Scope, b: &Scope) -> bool {
    // Both end with a name: where these can't be the same, nothing else matters.
    if !a.name_may_be(a.steps() - 1, b, b.steps() - 1) {
        return false;
    }
    if a.steps() * b.steps() > MOST_STEPS {
        return true;
    }
    // reached[j]: the first i steps of a and the first j of b may stand for the same path.
    let mut reached = vec![false; b.steps() + 1];
    reached[0] = true;
    for j in 0..b.steps() {
        reached[j + 1] = reached[j] && b.is_any_folders(j);
    }
    for i in 0..a.steps() {
        let mut diagonal = reached[0];
        reached[0] = reached[0] && a.is_any_folders(i);
        for j in 0..b.steps() {
            let above = reached[j + 1];
            reached[j + 1] = match (a.is_any_folders(i), b.is_any_folders(j)) {
                (true, true) => above || reached[j] || diagonal,
                // One side's `**` stands for none, or for one more name of the other side.
                (true, false) => above || reached[j],
                (false, true) => reached[j] || above,
                (false, false) => diagonal && a.name_may_be(i, b, j),
            };
            diagonal = above;
        }
    }
    reached[b.steps()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::rule;

    #[track_caller]
    fn overlap(a: &str, b: &str) -> bool {
        let path = |text: &str| rule::parse(text.as_bytes())[0].path.clone().unwrap();
        may_overlap(
            &Scope { folder: &[], path: &path(a) },
            &Scope { folder: &[b"s".to_vec()], path: &path(b) },
        )
    }

    #[test]
    fn only_rules_that_can_not_share_a_path_are_disjoint() {
        for (a, b, expected) in [
            ("*.log", "keep.log", true),
            ("*.log", "*.txt", false),
            ("/s/a/b", "/a/b", true),
            ("/s/a/b", "/b/b", false),
            ("/t/a", "a", false),
            ("a/**/b", "b", false),
            ("s/**/b", "b", true),
            ("**/x/b", "x/*", true),
            ("*", "/a/b/c", true),
            ("/s/*", "/a/b", false),
        ] {
            assert_eq!(overlap(a, b), expected, "{a} {b}");
        }
    }
}
