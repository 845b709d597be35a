//! A `.resticignore` that was found: its rules, where it lies, and what the files on the way down to a folder say of
//! a name in it.
//!
//! A deeper file wins over one above it; within a file the last rule that matches wins. Whether a folder above is
//! already ignored is the walk's business: git never looks below such a folder.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use common::text::escape_path;
use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};

use crate::git::glob::Glob;
use crate::git::rule::{self, Rule};
use crate::index::{Index, State, Step};
use crate::mistakes::{self, Suspects};

/// What the file is called.
pub use common::services::RULES as FILE_NAME;

/// What is in a `.resticignore`. Files with the same content share it: templates make many of those.
#[derive(Debug)]
pub struct Rules {
    /// The rules in order.
    pub list: Vec<Rule>,
    /// A hash of their texts, as they are written.
    pub(crate) fingerprint: u64,
    index: Index<Glob>,
    /// For each pattern of the index, its rule.
    rule_of: Vec<usize>,
    /// Rules that are not read as they are written, by their number.
    holds: Vec<(usize, Hold)>,
    suspects: OnceLock<Suspects>,
}

/// How a rule is read that waits for the person's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// As if a `/` stood before it.
    Anchored,
    /// Not at all.
    Off,
}

impl Rules {
    /// From the file's content.
    pub fn read(content: &[u8]) -> Rules {
        Rules::of(rule::parse(content))
    }

    /// From rules in order.
    pub fn of(list: Vec<Rule>) -> Rules {
        let usable =
            list.iter().enumerate().filter_map(|(number, rule)| Some((number, rule.path.as_ref().ok()?)));
        let rule_of = usable.clone().map(|(number, _)| number).collect();
        let index = usable.map(|(_, path)| path.clone()).collect();
        let mut hasher = FxHasher::default();
        list.iter().for_each(|rule| rule.text.hash(&mut hasher));
        Rules {
            fingerprint: hasher.finish(),
            index,
            rule_of,
            list,
            holds: Vec::new(),
            suspects: OnceLock::new(),
        }
    }

    /// The same with these rules held, whose paths say so already.
    #[must_use]
    pub fn held(self, holds: Vec<(usize, Hold)>) -> Rules {
        Rules { holds, ..self }
    }

    /// The rules whose text looks like a mistake.
    pub(crate) fn suspects(&self) -> &Suspects {
        self.suspects.get_or_init(|| mistakes::suspects(&self.list))
    }

    /// How the rule of this number is held, if it is.
    pub fn hold_of(&self, number: usize) -> Option<Hold> {
        let position = self.holds.binary_search_by_key(&number, |(held, _)| *held).ok()?;
        Some(self.holds[position].1)
    }
}

/// One `.resticignore`.
#[derive(Debug)]
pub struct RulesFile {
    /// Where it lies on the host.
    pub path: PathBuf,
    /// The names that lead from the root to its folder.
    pub folder: Vec<Vec<u8>>,
    /// What is in it.
    pub rules: Arc<Rules>,
    matched: Vec<AtomicBool>,
    /// Rules for folders that match the name of a file.
    matched_file: Vec<AtomicBool>,
    height: AtomicUsize,
}

impl RulesFile {
    /// The file at `path`, in the folder to which the names of `folder` lead from the root.
    pub fn new(path: PathBuf, folder: Vec<Vec<u8>>, rules: Arc<Rules>) -> RulesFile {
        let [matched, matched_file] =
            [(); 2].map(|()| rules.list.iter().map(|_| AtomicBool::new(false)).collect());
        RulesFile { path, folder, rules, matched, matched_file, height: AtomicUsize::new(0) }
    }

    /// How many names deep its folder goes, apart from what is left out and what could not be looked into; 0 before
    /// the walk has come back.
    pub fn height(&self) -> usize {
        self.height.load(Ordering::Relaxed)
    }

    /// Sets what [`RulesFile::height`] returns.
    pub fn set_height(&self, height: usize) {
        self.height.store(height, Ordering::Relaxed);
    }

    /// Whether the rule of this number has matched anything that was asked about.
    pub fn has_matched(&self, rule: usize) -> bool {
        self.matched[rule].load(Ordering::Relaxed)
    }

    /// Whether the rule of this number, which is for folders, would have matched a file that was asked about.
    pub(crate) fn would_match_file(&self, rule: usize) -> bool {
        self.matched_file[rule].load(Ordering::Relaxed)
    }

    fn last_match(&self, state: &State, name: &[u8], is_folder: bool) -> Option<usize> {
        let mut last = None;
        self.rules.index.matches(state, name, |id| {
            let number = self.rules.rule_of[id as usize];
            if is_folder || !self.rules.list[number].folders_only {
                if !self.has_matched(number) {
                    self.matched[number].store(true, Ordering::Relaxed);
                }
                last = last.max(Some(number));
            } else {
                self.matched_file[number].store(true, Ordering::Relaxed);
            }
        });
        last
    }
}

/// The files that apply in a folder, the deepest first.
#[derive(Clone, Debug, Default)]
pub struct Chain(Vec<(Arc<RulesFile>, State)>);

impl Chain {
    /// Whether no rule applies.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With the file that lies in the folder itself.
    pub fn push(&mut self, file: Arc<RulesFile>) {
        if !file.rules.rule_of.is_empty() {
            let state = file.rules.index.start();
            self.0.insert(0, (file, state));
        }
    }

    /// The chain in the sub-folder `name`.
    pub fn enter(&self, name: &[u8]) -> Chain {
        let inner =
            self.0.iter().map(|(file, state)| (Arc::clone(file), file.rules.index.enter(state, name)));
        Chain(inner.filter(|(file, state)| !file.rules.index.is_over(state)).collect())
    }

    /// The file and the number of the rule that decides about `name` in this folder; none: it is kept, as the folder is.
    pub fn deciding(&self, name: &[u8], is_folder: bool) -> Option<(&Arc<RulesFile>, usize)> {
        self.0.iter().find_map(|(file, state)| Some((file, file.last_match(state, name, is_folder)?)))
    }

    /// The rules that apply below the folder to which `names` lead from the root, seen from there: those by name alone
    /// that leave something out, as `file:line: rule`, and those whose path leads there name by name, in order.
    pub fn leading_into(&self, names: &[Vec<u8>]) -> (Vec<String>, Vec<Rule>) {
        let (mut by_name, mut by_path) = (Vec::new(), Vec::new());
        for (file, _) in self.0.iter().rev() {
            let below = &names[file.folder.len().min(names.len())..];
            for rule in &file.rules.list {
                let Ok(path) = &rule.path else { continue };
                let is_on_the_way = path.iter().zip(below).all(|(step, name)| match step {
                    Step::Name(glob) => glob.matches(name),
                    Step::AnyFolders => true,
                });
                let leads = path.iter().take(below.len()).all(|step| *step != Step::AnyFolders);
                if !is_on_the_way || (leads && path.len() <= below.len()) {
                    continue;
                }
                if leads && path[0] != Step::AnyFolders {
                    by_path.push(Rule { path: Ok(path[below.len()..].into()), ..rule.clone() });
                } else if !rule.negated {
                    by_name.push(format!(
                        "{}{}: {}",
                        escape_path(&file.path),
                        rule.after_path(),
                        rule.excerpt()
                    ));
                }
            }
        }
        (by_name, by_path)
    }

    /// Whether git ignores `name`, which lies in a folder that it does not ignore.
    pub fn ignores(&self, name: &[u8], is_folder: bool) -> bool {
        self.deciding(name, is_folder).is_some_and(|(file, number)| !file.rules.list[number].negated)
    }
}
