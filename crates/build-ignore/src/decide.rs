//! What git decides about one path, and by which rule: the answer of `git check-ignore -v`.
//!
//! The rules come from files that were read already. The uppermost folder on the way that a rule ignores decides about
//! everything below it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::git::rule::Rule;
use crate::rules_file::{Chain, RulesFile};

/// The rule that decides about a path.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Its file.
    pub file: Arc<RulesFile>,
    /// Its number in the file.
    pub number: usize,
    /// How many of the path's names make up what the rule matches: all of them, or those of a folder above.
    pub depth: usize,
}

impl Decision {
    /// The rule itself.
    pub fn rule(&self) -> &Rule {
        &self.file.rules.list[self.number]
    }
}

/// The rule of `files`, which are sorted as in [`crate::tree::Tree`], that decides about the path to which `names` lead
/// from the root; none if no rule matches it. `is_folder` is about the path itself: all above it are folders.
pub fn decide(files: &[Arc<RulesFile>], names: &[Vec<u8>], is_folder: bool) -> Option<Decision> {
    let mut chain = Chain::default();
    let mut last = None;
    for (depth, name) in names.iter().enumerate() {
        let by_folder =
            |file: &Arc<RulesFile>| (file.folder.len(), &file.folder[..]).cmp(&(depth, &names[..depth]));
        if let Ok(position) = files.binary_search_by(by_folder) {
            chain.push(Arc::clone(&files[position]));
        }
        let depth = depth + 1;
        let decision = chain
            .deciding(name, is_folder || depth < names.len())
            .map(|(file, number)| Decision { file: Arc::clone(file), number, depth });
        if decision.as_ref().is_some_and(|decision| !decision.rule().negated) {
            return decision;
        }
        last = decision;
        if depth < names.len() {
            chain = chain.enter(name);
        }
    }
    last
}

/// The path on the host.
pub fn host_path(root: &Path, names: &[Vec<u8>]) -> PathBuf {
    let mut path = root.to_path_buf();
    path.extend(names.iter().map(|name| OsStr::from_bytes(name)));
    path
}
