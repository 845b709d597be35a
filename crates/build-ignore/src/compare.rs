//! The rules against any exclude file of restic: which existing files only one of the two leaves out, and why.
//!
//! The exclude file is read as restic reads it (`restic::exclude_file`), the rules as the trees have them. Both roots
//! have to be walked for sizes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::out;
use common::text::{DIM, count, escape_path};
use common::units;
use serde::Serialize;

use crate::decide::{self, Decision, host_path};
use crate::restic::exclude_file::{ExcludeFile, LineCursor};
use crate::root::Root;
use crate::rules_file::Hold;
use crate::tree::{Entry, Folder, Kind};

/// This many paths of each group are shown.
const MOST_SHOWN: usize = 10;
/// A name that only a pattern for all names matches.
const ANY: &[u8] = b"\x01";

/// What differs, by service.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Comparison {
    /// Files that the exclude file keeps and a rule leaves out.
    pub(crate) left_out: Vec<LeftOut>,
    /// Files that the exclude file leaves out and the rules keep, by service.
    pub(crate) kept: BTreeMap<String, Files>,
}

/// What one rule leaves out that the exclude file keeps.
#[derive(Debug, Serialize)]
pub(crate) struct LeftOut {
    /// The service, such as `data/immich`.
    pub(crate) service: String,
    /// The rules file and the line in it, counted from 1.
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    /// The rule, for a person.
    pub(crate) rule: String,
    /// The rule that leaves out only what the Bash script's line did, if there is one.
    pub(crate) instead: Option<String>,
    #[serde(flatten)]
    pub(crate) files: Files,
    /// The rule as it is in the file, and how it has to be held back so that it leaves out none of these.
    #[serde(skip)]
    pub(crate) text: Vec<u8>,
    #[serde(skip)]
    pub(crate) hold: Hold,
}

/// Some files: how many, how large, and the first of them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Files {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Folders that can't be entered; each may hold files.
    pub(crate) closed: u64,
    pub(crate) first: Vec<PathBuf>,
}

impl Files {
    fn add(&mut self, path: impl FnOnce() -> PathBuf, entry: &Entry) {
        *(if entry.kind == Kind::Folder { &mut self.closed } else { &mut self.files }) += 1;
        self.bytes += entry.size;
        if self.first.len() < MOST_SHOWN {
            self.first.push(path());
        }
    }

    /// `3 files (1.2 MiB)`.
    fn amount(&self) -> String {
        let files = format!("{} ({})", count(self.files as usize, "file"), units::bytes(self.bytes));
        let closed = format!("{} that can't be entered", count(self.closed as usize, "folder"));
        match (self.files, self.closed) {
            (_, 0) => files,
            (0, _) => closed,
            _ => format!("{files} and {closed}"),
        }
    }
}

/// Compares the rules of `roots` with the exclude file.
pub(crate) fn compare(roots: &[Root], file: &ExcludeFile) -> Comparison {
    let mut comparison = Comparison::default();
    for root in roots {
        let mut walk = CompareWalk { root, comparison: &mut comparison, groups: BTreeMap::new() };
        walk.folder(&root.built.tree.top, &file.at(&root.seen_at.names), &mut Vec::new(), None);
        let groups = walk.groups;
        comparison.left_out.extend(groups.into_values());
    }
    comparison
}

struct CompareWalk<'a> {
    root: &'a Root,
    comparison: &'a mut Comparison,
    /// By service, file and number of the rule.
    groups: BTreeMap<(String, PathBuf, usize), LeftOut>,
}

impl CompareWalk<'_> {
    fn folder(
        &mut self,
        folder: &Folder,
        cursor: &LineCursor,
        names: &mut Vec<Vec<u8>>,
        decided: Option<&Decision>,
    ) {
        for entry in folder.entries() {
            names.push(entry.name.to_vec());
            let own = (entry.is_ignored && decided.is_none())
                .then(|| {
                    let is_folder = entry.kind == Kind::Folder;
                    decide::decide(&self.root.built.tree.files, names, is_folder)
                })
                .flatten();
            let decided = decided.or(own.as_ref());
            if let Some(inner) = entry.folder.filter(|inner| inner.is_whole()) {
                self.folder(inner, &cursor.enter(entry.name), names, decided);
            } else if entry.kind != Kind::Folder || entry.folder.is_some() {
                // A folder that was not entered may hold a file of any name.
                let is_all_left_out = || entry.folder.is_some() && cursor.enter(entry.name).leaves_out(ANY);
                match (entry.is_ignored, cursor.leaves_out(entry.name) || is_all_left_out()) {
                    (true, false) => self.add_left_out(names, &entry, decided),
                    (false, true) => {
                        let path = || host_path(&self.root.place.path, names);
                        let files = self.comparison.kept.entry(self.root.service_of(names));
                        files.or_default().add(path, &entry);
                    }
                    _ => {}
                }
            }
            names.pop();
        }
    }

    fn add_left_out(&mut self, names: &[Vec<u8>], entry: &Entry, decided: Option<&Decision>) {
        let Some(decision) = decided else { return };
        let service = self.root.service_of(names);
        let path = host_path(&self.root.place.path, names);
        let key = (service.clone(), decision.file.path.clone(), decision.number);
        let group = self.groups.entry(key).or_insert_with(|| {
            let rule = decision.rule();
            // The script read the file at the top of a service alone, and wrote each of its lines anchored there.
            let is_of_service = self.root.is_service(&decision.file.folder);
            let is_anchored = rule.text[..rule.text.len() - 1].contains(&b'/');
            let is_held = decision.file.rules.hold_of(decision.number).is_some();
            let hold = if is_of_service && !is_anchored && !is_held { Hold::Anchored } else { Hold::Off };
            LeftOut {
                service,
                file: decision.file.path.clone(),
                line: rule.line,
                rule: rule.excerpt().into_owned(),
                instead: (hold == Hold::Anchored).then(|| format!("/{}", rule.excerpt())),
                files: Files::default(),
                text: rule.text.clone(),
                hold,
            }
        });
        group.files.add(|| path, entry);
    }
}

impl Comparison {
    /// Whether both leave out the same files.
    pub(crate) fn is_empty(&self) -> bool {
        self.left_out.is_empty() && self.kept.is_empty()
    }

    /// Prints the rules that newly leave something out, and what becomes of it.
    pub(crate) fn print_left_out(&self) {
        for group in &self.left_out {
            let place = format!("{}:{}", escape_path(&group.file), group.line);
            out!(
                "{}: {} backed up so far, by the rule {} ({place})",
                group.service,
                group.files.amount(),
                group.rule
            );
            group.files.print_first();
            match &group.instead {
                Some(instead) => {
                    out!("    to leave out only what is at the top of the service, write: {instead}");
                }
                None => out!("    to keep them, remove the rule"),
            }
        }
    }

    /// Prints what is newly backed up.
    pub(crate) fn print_kept(&self) {
        for (service, files) in &self.kept {
            out!("{service}: {} left out so far, backed up now", files.amount());
            files.print_first();
        }
    }
}

impl Files {
    fn print_first(&self) {
        for path in &self.first {
            out!("    {DIM}{}{DIM:#}", escape_path(path));
        }
        let more = self.files + self.closed - self.first.len() as u64;
        if more > 0 {
            out!("    {DIM}and {more} more{DIM:#}");
        }
    }
}

impl Root {
    /// The service that a path in this root belongs to, such as `data/immich`.
    pub(crate) fn service_of(&self, names: &[Vec<u8>]) -> String {
        self.place.service(&names[..names.len().saturating_sub(1)])
    }
}
