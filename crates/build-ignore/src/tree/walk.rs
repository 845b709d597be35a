//! The walk itself: parallel, following no symlink, with the rules that apply handed down.
//!
//! What a reader gets wrong: where rules can't be seen, a rule by which everything is kept takes their place. Whatever
//! they say, all they could do against the rules above them is to keep something.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use common::exit::{self, HintExt};
use common::problem::Problem;
use common::text::escape_path;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use rustix::fs::{FileType, Mode, OFlags};

use super::links;
use super::read::{self, Kind};
use super::rules::{Unusable, read_rules, wrong_encoding};
use super::{Closed, Detail, Exceptions, Folder, MOST_BYTES, MOST_RULES, Raw, Trail, Tree};
use crate::decide::host_path;
use crate::git::rule::Rule;
use crate::progress;
use crate::rules_file::{Chain, FILE_NAME, Rules, RulesFile};
use crate::translate::order::{SectionName, section_of};

/// Deeper paths than this are counted as if they were this deep.
const DEEPEST: usize = 64;

/// Walks `root`, which has the other one at `inner`. Fails only if the root itself can't be read.
pub fn walk(root: &Path, inner: &[Vec<u8>], detail: Detail, exceptions: &Exceptions) -> Result<Tree> {
    let depths = std::array::from_fn(|_| AtomicU64::new(0));
    let (found, known) = (Mutex::default(), Mutex::default());
    let walk = Walk { root, inner, detail, exceptions, found, known, depths };
    let open = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let hint = match open {
        Err(rustix::io::Errno::ACCESS) => exit::own(root),
        _ => "name the right folder with --data-root, --container-root or in Backrest's .env".into(),
    };
    let folder = open
        .map_err(io::Error::from)
        .with_context(|| format!("read the root: {}", escape_path(root)))
        .hint(hint)?;
    let top = walk.folder(&folder, &Trail::default(), Chain::default(), false).unwrap_or_default();
    let Found { mut tree, read } = walk.found.into_inner().unwrap_or_default();
    tree.top = top;
    tree.files.sort_by(|a, b| (a.folder.len(), &a.folder).cmp(&(b.folder.len(), &b.folder)));
    tree.problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    tree.closed.sort_by(|a, b| a.path.cmp(&b.path));
    tree.links.sort();
    tree.compose.sort();
    tree.over = read.into_iter().filter(|(_, read)| read.is_over()).map(|(name, _)| name).collect();
    tree.depths = walk.depths.into_iter().map(AtomicU64::into_inner).collect();
    tree.depths.truncate(tree.depths.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1));
    Ok(tree)
}

#[derive(Default)]
struct Found {
    /// Not in order yet.
    tree: Tree,
    /// How much was read of each service.
    read: FxHashMap<SectionName, Amount>,
}

#[derive(Clone, Copy, Default)]
struct Amount {
    lines: usize,
    bytes: usize,
}

impl Amount {
    fn is_over(self) -> bool {
        self.lines > MOST_RULES || self.bytes > MOST_BYTES
    }
}

struct Walk<'a> {
    root: &'a Path,
    inner: &'a [Vec<u8>],
    detail: Detail,
    exceptions: &'a Exceptions,
    found: Mutex<Found>,
    /// What was read so far, by the bytes of the file.
    known: Mutex<FxHashMap<Vec<u8>, Arc<Rules>>>,
    depths: [AtomicU64; DEEPEST],
}

impl Walk<'_> {
    fn folder(&self, folder: &OwnedFd, trail: &Trail, mut chain: Chain, is_ignored: bool) -> Option<Folder> {
        let listing = match read::list(folder) {
            Ok(listing) => listing,
            Err(error) => {
                return self.unreadable(trail, &error, &chain);
            }
        };
        progress::add(listing.entries.len());
        for name in &listing.lookalikes {
            let what = format!("not read: the name is {FILE_NAME}");
            let path = host_path(self.root, &trail.to_names()).join(OsStr::from_bytes(name));
            self.note(|tree| tree.problems.push(Problem::new(path, what)));
        }
        let blocked = &self.exceptions.blocked;
        let is_blocked = !blocked.is_empty() && blocked.contains(self.section_of(&trail.to_names()));
        let own = match listing.rules_file {
            _ if is_ignored => None,
            _ if is_blocked => {
                self.is_service(trail).then(|| self.keep_everything(trail, &chain, Vec::new())).flatten()
            }
            Some(kind) => self.rules_file(folder, kind, trail, &chain),
            None => None,
        };
        if let Some(file) = &own {
            chain.push(Arc::clone(file));
        }
        if listing.has_prepare_step && self.is_service(trail) {
            self.note(|tree| tree.prepared.push(trail.to_names()));
        }
        if listing.has_compose && !is_ignored && self.is_service(trail) {
            self.note(|tree| tree.compose.push(trail.to_names()));
        }
        if !is_ignored {
            self.depths[trail.depth.min(DEEPEST - 1)]
                .fetch_add(listing.entries.len() as u64, Ordering::Relaxed);
        }
        let read::Listing { names, entries, .. } = listing;
        let keep_all = self.detail != Detail::Rules || !chain.is_empty();
        let mut raw = Vec::with_capacity(entries.len());
        let mut to_enter = Vec::new();
        let mut start = 0;
        for (position, entry) in (0..).zip(&entries) {
            let name = &names[start..entry.name_end as usize];
            start = entry.name_end as usize;
            let kind = read::kind(entry, folder, name);
            let is_folder = kind == Kind::Folder;
            let is_ignored = is_ignored || (!chain.is_empty() && chain.ignores(name, is_folder));
            let size = match self.detail {
                Detail::Sizes if kind == Kind::File => read::size(folder, name),
                _ => 0,
            };
            if kind == Kind::Other && !is_ignored && entry.is_symlink() {
                let link = links::out_of(self.root, folder, || trail.below(name).to_names(), name);
                link.into_iter().for_each(|link| self.note(|tree| tree.links.push(link)));
            }
            if is_folder && (!is_ignored || self.detail == Detail::Sizes) {
                to_enter.push((position, name));
            }
            raw.push(Raw { name_end: entry.name_end, kind, is_ignored, size });
        }
        let enter = |&(position, name): &(u32, &[u8])| -> Option<(u32, Folder)> {
            let trail = trail.below(name);
            let ignored = raw[position as usize].is_ignored;
            let inner = match read::open_below(folder, name) {
                Ok(inner) => inner,
                Err(error) if ignored => {
                    return Some((position, self.unreadable(&trail, &error, &Chain::default())?));
                }
                Err(error) => {
                    return Some((position, self.unreadable(&trail, &error, &chain.enter(name))?));
                }
            };
            let chain = if ignored { Chain::default() } else { chain.enter(name) };
            Some((position, self.folder(&inner, &trail, chain, ignored)?))
        };
        let folders: Vec<(u32, Folder)> = match to_enter.as_slice() {
            [] | [_] => to_enter.iter().filter_map(enter).collect(),
            _ => to_enter.par_iter().filter_map(enter).collect(),
        };
        let below = folders.iter().map(|(_, folder)| folder.height).max().unwrap_or(0);
        let height = if raw.is_empty() { 0 } else { below + 1 };
        if let Some(own) = own {
            own.set_height(height);
        }
        let whole = Folder { names, entries: raw, folders, height, is_whole: true };
        if keep_all { Some(whole) } else { only_entered(whole) }
    }

    /// The `.resticignore` of the folder, in which the rules of `chain` apply.
    fn rules_file(
        &self,
        folder: &OwnedFd,
        kind: FileType,
        trail: &Trail,
        chain: &Chain,
    ) -> Option<Arc<RulesFile>> {
        let names = trail.to_names();
        let path = host_path(self.root, &names).join(FILE_NAME);
        match read_rules(folder, kind) {
            Ok(content) => {
                if let Some(why) = wrong_encoding(&content) {
                    self.note(|tree| tree.problems.push(Problem::new(&path, why)));
                } else if content.contains(&0) {
                    self.note_nul_bytes(&path, &content);
                }
                if self.is_over_with(&content, trail) {
                    return None;
                }
                let rules = match self.exceptions.held.rules(&path, &content) {
                    Some(rules) => Arc::new(rules),
                    None => self.rules_in(content),
                };
                let file = Arc::new(RulesFile::new(path, names, rules));
                self.note(|tree| tree.files.push(Arc::clone(&file)));
                Some(file)
            }
            Err(unusable) => {
                let (why, kept) = match unusable {
                    Unusable::NoRules(why) => (why, None),
                    Unusable::Unseen(why) => (why, self.keep_everything(trail, chain, Vec::new())),
                };
                let more = if kept.is_some() { ", and nothing in its folder is left out" } else { "" };
                let what = format!("{why}; its rules are not used{more}");
                self.note(|tree| tree.problems.push(Problem::new(path, what)));
                kept
            }
        }
    }

    /// A file in place of the rules of the folder that can't be seen: a rule by which all of it is kept, if the rules of
    /// `chain` could leave something out, and then the rules of `more`.
    fn keep_everything(&self, trail: &Trail, chain: &Chain, more: Vec<Rule>) -> Option<Arc<RulesFile>> {
        if chain.is_empty() {
            return None;
        }
        let names = trail.to_names();
        let path = host_path(self.root, &names).join(FILE_NAME);
        let rules = Rules::of(std::iter::once(Rule::keep_everything()).chain(more).collect());
        let file = Arc::new(RulesFile::new(path, names, Arc::new(rules)));
        self.note(|tree| tree.files.push(Arc::clone(&file)));
        Some(file)
    }

    /// Whether the service has too many rules with this file of it. Then the walk is repeated without them.
    fn is_over_with(&self, content: &[u8], trail: &Trail) -> bool {
        let section = self.section_of(&trail.to_names()).to_vec();
        let mut found = locked(&self.found);
        let read = found.read.entry(section).or_default();
        read.bytes += content.len();
        read.lines += content.iter().filter(|byte| **byte == b'\n').count();
        read.is_over()
    }

    fn rules_in(&self, content: Vec<u8>) -> Arc<Rules> {
        if let Some(rules) = locked(&self.known).get(&content) {
            return Arc::clone(rules);
        }
        let rules = Arc::new(Rules::read(&content));
        locked(&self.known).insert(content, Arc::clone(&rules));
        rules
    }

    fn note_nul_bytes(&self, path: &Path, content: &[u8]) {
        let lines = content.split(|&byte| byte == b'\n').zip(1..);
        for (_, line) in lines.filter(|(line, _)| line.contains(&0) && !line.starts_with(b"#")) {
            let problem = Problem::at_line(
                path,
                line,
                "a NUL byte: what follows it in the line is not read, as in git",
            );
            self.note(|tree| tree.problems.push(problem));
        }
    }

    /// Notes it, and returns an empty folder, in which the rules of `chain` apply. A `.resticignore`
    /// in it may keep what a rule by name leaves out. A rule whose path leads into it is meant for it, and holds.
    fn unreadable(&self, trail: &Trail, error: &io::Error, chain: &Chain) -> Option<Folder> {
        let names = trail.to_names();
        let path = host_path(self.root, &names);
        if error.kind() == io::ErrorKind::NotFound {
            self.note(|tree| tree.problems.push(Problem::new(path, "vanished while it was looked at")));
            return None;
        }
        let (by_name, by_path) = chain.leading_into(&names);
        let rule = by_name.first().map(|first| (first.clone(), by_name.len() - 1));
        if rule.is_some() {
            let file = self.keep_everything(trail, chain, by_path);
            // How deep it goes is not known.
            file.iter().for_each(|file| file.set_height(usize::MAX / 2));
        }
        self.note(|tree| tree.closed.push(Closed { path, error: error.to_string(), rule }));
        Some(Folder::default())
    }

    fn section_of<'n>(&self, names: &'n [Vec<u8>]) -> &'n [Vec<u8>] {
        section_of(self.inner, names)
    }

    fn is_service(&self, trail: &Trail) -> bool {
        let can_be = trail.depth == 1 || trail.depth == self.inner.len() + 1;
        can_be && self.section_of(&trail.to_names()).len() == trail.depth
    }

    fn note(&self, change: impl FnOnce(&mut Tree)) {
        change(&mut locked(&self.found).tree);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder to which no rule applies, reduced to the way to those below it; none if there are none.
fn only_entered(whole: Folder) -> Option<Folder> {
    let mut small = Folder { height: whole.height, ..Folder::default() };
    for (entry, _) in whole.entered() {
        small.names.extend_from_slice(entry.name);
        let name_end = small.names.len() as u32;
        let (kind, is_ignored, size) = (entry.kind, entry.is_ignored, entry.size);
        small.entries.push(Raw { name_end, kind, is_ignored, size });
    }
    small.folders = (0..).zip(whole.folders.into_iter().map(|(_, folder)| folder)).collect();
    (!small.folders.is_empty()).then_some(small)
}
