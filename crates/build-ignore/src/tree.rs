//! Reads a root: finds every `.resticignore` that git would read, and keeps the names that rules can apply to.
//!
//! The walk is parallel, follows no symlink and does not enter what is ignored (unless sizes are wanted). A folder
//! that can't be read is a problem, and the walk goes on. What comes out is the tree as it was seen once, so that
//! rules and patterns are compared on the same names.
//!
//! What a reader gets wrong: folders to which no rule applies, and in which none lies deeper, are not kept.

mod read;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use common::exit::HintExt;
use common::problem::Problem;
use common::text::escape_path;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{FileType, Mode, OFlags};

use crate::git::rule::Rule;
use crate::rules_file::{Chain, FILE_NAME, Rules, RulesFile};
use crate::translate::order::SectionName;
pub use read::Kind;

/// With more lines than this in its rules files a service is backed up in full.
pub const MOST_RULES: usize = 200_000;
/// With more bytes than this in its rules files a service is backed up in full.
pub const MOST_BYTES: usize = 16 << 20;

/// What was seen of a root.
#[derive(Debug)]
pub struct Tree {
    /// The root's own folder.
    pub top: Folder,
    /// Every `.resticignore`, those above before those below, and else by path.
    pub files: Vec<Arc<RulesFile>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Services with more rules than [`MOST_RULES`] or [`MOST_BYTES`] allow.
    pub over: FxHashSet<SectionName>,
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
    /// A file's size in bytes, where sizes were wanted.
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

    /// How many names deep it goes, apart from what is left out.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The sub-folder that the names lead to, if it was entered.
    pub fn at(&self, names: &[Vec<u8>]) -> Option<&Folder> {
        let Some((first, rest)) = names.split_first() else { return Some(self) };
        self.entries().find(|entry| entry.name == first.as_slice())?.folder?.at(rest)
    }
}

/// What to walk for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Rules, and the names that they can apply to.
    Rules,
    /// Every name but what lies below what is ignored.
    Names,
    /// Every name with its size, also below what is ignored.
    Sizes,
}

/// Walks `root`. Fails only if the root itself can't be read. The rules of the `blocked` services are not read, and
/// nothing in them is left out.
pub fn walk(root: &Path, wanted: Wanted, blocked: &FxHashSet<SectionName>) -> Result<Tree> {
    let walk = Walk { root, wanted, blocked, found: Mutex::default(), known: Mutex::default() };
    let open = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let folder = open
        .map_err(io::Error::from)
        .with_context(|| format!("read the root: {}", escape_path(root)))
        .hint("name the right folder with --data-root, --container-root or in Backrest's .env")?;
    let trail = Trail { above: None, name: b"" };
    let top = walk.folder(&folder, &trail, Chain::default(), false).unwrap_or_default();
    let mut found = walk.found.into_inner().unwrap_or_default();
    found.files.sort_by(|a, b| (a.folder.len(), &a.folder).cmp(&(b.folder.len(), &b.folder)));
    found.problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    let over = found.read.into_iter().filter(|(_, read)| read.is_over()).map(|(name, _)| name).collect();
    Ok(Tree { top, files: found.files, problems: found.problems, over })
}

#[derive(Default)]
struct Found {
    files: Vec<Arc<RulesFile>>,
    problems: Vec<Problem>,
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
    wanted: Wanted,
    blocked: &'a FxHashSet<SectionName>,
    found: Mutex<Found>,
    /// What was read so far, by the bytes of the file.
    known: Mutex<FxHashMap<Vec<u8>, Arc<Rules>>>,
}

/// How a folder was reached; its path is put together only when it is needed.
struct Trail<'a> {
    above: Option<&'a Trail<'a>>,
    name: &'a [u8],
}

impl Trail<'_> {
    fn names(&self) -> Vec<Vec<u8>> {
        let Some(above) = self.above else { return Vec::new() };
        let mut names = above.names();
        names.push(self.name.to_vec());
        names
    }

    /// The service that the folder lies in, or is.
    fn service(&self) -> Option<&[u8]> {
        let above = self.above?;
        if above.above.is_none() { Some(self.name) } else { above.service() }
    }

    fn is_service(&self) -> bool {
        self.above.is_some_and(|above| above.above.is_none())
    }
}

impl Walk<'_> {
    fn folder(&self, folder: &OwnedFd, trail: &Trail, mut chain: Chain, is_ignored: bool) -> Option<Folder> {
        let listing = match read::list(folder) {
            Ok(listing) => listing,
            Err(error) => {
                return self.unreadable(trail, &error, &chain);
            }
        };
        let is_blocked =
            !self.blocked.is_empty() && self.blocked.contains(&trail.service().map(<[u8]>::to_vec));
        let own = match listing.rules_file {
            _ if is_ignored => None,
            _ if is_blocked => trail.is_service().then(|| self.keep_everything(trail, &chain)).flatten(),
            Some(kind) => self.rules_file(folder, kind, trail, &chain),
            None => None,
        };
        if let Some(file) = &own {
            chain.push(Arc::clone(file));
        }
        let read::Listing { names, entries, .. } = listing;
        let keep_all = self.wanted != Wanted::Rules || !chain.is_empty();
        let mut raw = Vec::with_capacity(entries.len());
        let mut to_enter = Vec::new();
        let mut start = 0;
        for (position, entry) in (0..).zip(&entries) {
            let name = &names[start..entry.name_end as usize];
            start = entry.name_end as usize;
            let kind = read::kind(entry, folder, name);
            let is_folder = kind == Kind::Folder;
            let is_ignored = is_ignored || (!chain.is_empty() && chain.ignores(name, is_folder));
            let size = match self.wanted {
                Wanted::Sizes if kind == Kind::File => read::size(folder, name),
                _ => 0,
            };
            if is_folder && (!is_ignored || self.wanted == Wanted::Sizes) {
                to_enter.push((position, name));
            }
            raw.push(Raw { name_end: entry.name_end, kind, is_ignored, size });
        }
        let enter = |&(position, name): &(u32, &[u8])| -> Option<(u32, Folder)> {
            let trail = Trail { above: Some(trail), name };
            let ignored = raw[position as usize].is_ignored;
            let inner = match read::open_below(folder, name) {
                Ok(inner) => inner,
                Err(error) => {
                    let chain = if ignored { Chain::default() } else { chain.enter(name) };
                    return Some((position, self.unreadable(&trail, &error, &chain)?));
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
        if keep_all {
            return Some(Folder { names, entries: raw, folders, height });
        }
        (!folders.is_empty()).then(|| Folder { height, ..only_entered(&names, &raw, folders) })
    }

    /// The `.resticignore` of the folder, in which the rules of `chain` apply.
    fn rules_file(
        &self,
        folder: &OwnedFd,
        kind: FileType,
        trail: &Trail,
        chain: &Chain,
    ) -> Option<Arc<RulesFile>> {
        let names = trail.names();
        let path = self.path_of(&names).join(FILE_NAME);
        match read_rules(folder, kind) {
            Ok(content) => {
                if content.contains(&0) {
                    self.note_nul_bytes(&path, &content);
                }
                if self.is_over_with(&content, trail) {
                    return None;
                }
                let file = Arc::new(RulesFile::new(path, names, self.rules_in(content)));
                self.note(|found| found.files.push(Arc::clone(&file)));
                Some(file)
            }
            Err(unusable) => {
                let (why, kept) = match unusable {
                    Unusable::NoRules(why) => (why, None),
                    Unusable::Unseen(why) => (why, self.keep_everything(trail, chain)),
                };
                let more = if kept.is_some() { ", and nothing in its folder is left out" } else { "" };
                let what = format!("{why}; its rules are not used{more}");
                self.note(|found| found.problems.push(Problem::new(path, what)));
                kept
            }
        }
    }

    /// What stands in for the rules of the folder that can't be seen: a rule by which all of it is kept, if the rules of
    /// `chain` could leave something out.
    fn keep_everything(&self, trail: &Trail, chain: &Chain) -> Option<Arc<RulesFile>> {
        if chain.is_empty() {
            return None;
        }
        let names = trail.names();
        let path = self.path_of(&names).join(FILE_NAME);
        let rules = Rules::of(vec![Rule::keep_everything()]);
        let file = Arc::new(RulesFile::new(path, names, Arc::new(rules)));
        self.note(|found| found.files.push(Arc::clone(&file)));
        Some(file)
    }

    /// Whether the service has too many rules with this file of it. Then the walk is repeated without them.
    fn is_over_with(&self, content: &[u8], trail: &Trail) -> bool {
        let mut found = locked(&self.found);
        let read = found.read.entry(trail.service().map(<[u8]>::to_vec)).or_default();
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
            self.note(|found| found.problems.push(problem));
        }
    }

    /// Notes it, and returns what can be said of such a folder, in which the rules of `chain` apply. A `.resticignore`
    /// in it may keep anything.
    fn unreadable(&self, trail: &Trail, error: &io::Error, chain: &Chain) -> Option<Folder> {
        let path = self.path_of(&trail.names());
        if error.kind() == io::ErrorKind::NotFound {
            self.note(|found| found.problems.push(Problem::new(path, "vanished while it was looked at")));
            return None;
        }
        let what = match self.keep_everything(trail, chain) {
            Some(_) => format!("not looked into: {error}; nothing in it is left out"),
            None => format!("not looked into: {error}; a {FILE_NAME} in it is not seen"),
        };
        self.note(|found| found.problems.push(Problem::new(path, what)));
        Some(Folder::default())
    }

    fn path_of(&self, names: &[Vec<u8>]) -> PathBuf {
        let mut path = self.root.to_path_buf();
        path.extend(names.iter().map(|name| std::ffi::OsStr::from_bytes(name)));
        path
    }

    fn note(&self, change: impl FnOnce(&mut Found)) {
        change(&mut locked(&self.found));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder to which no rule applies, reduced to the way to those below it.
fn only_entered(names: &[u8], raw: &[Raw], folders: Vec<(u32, Folder)>) -> Folder {
    let mut small = Folder::default();
    for (position, folder) in folders {
        let start = position.checked_sub(1).map_or(0, |before| raw[before as usize].name_end as usize);
        let entry = raw[position as usize];
        small.names.extend_from_slice(&names[start..entry.name_end as usize]);
        small.folders.push((small.entries.len() as u32, folder));
        small.entries.push(Raw { name_end: small.names.len() as u32, ..entry });
    }
    small
}

/// Why a `.resticignore` is not used.
enum Unusable {
    /// git reads no rules from it either.
    NoRules(String),
    /// It may hold rules.
    Unseen(String),
}

/// The content of the `.resticignore` in `folder`. git follows no symlink here. `kind` is what the listing called it.
fn read_rules(folder: &OwnedFd, kind: FileType) -> Result<Vec<u8>, Unusable> {
    let unseen = |error: io::Error| Unusable::Unseen(error.to_string());
    // A FIFO, a device or a socket may block, or act on being opened.
    if !matches!(kind, FileType::RegularFile | FileType::Unknown) {
        return Err(Unusable::NoRules(not_regular(kind).to_string()));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, FILE_NAME, flags, Mode::empty()).map_err(|error| match error {
        rustix::io::Errno::LOOP => Unusable::NoRules(not_regular(FileType::Symlink).to_string()),
        error => unseen(error.into()),
    })?;
    if kind == FileType::Unknown {
        let stat = rustix::fs::fstat(&file).map_err(|error| unseen(error.into()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(Unusable::NoRules(not_regular(kind).to_string()));
        }
    }
    let mut content = Vec::with_capacity(4 << 10);
    File::from(file).take(MOST_BYTES as u64 + 1).read_to_end(&mut content).map_err(unseen)?;
    content.shrink_to_fit();
    Ok(content)
}

fn not_regular(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "a symlink, which git does not follow either",
        FileType::Directory => "a folder, not a file",
        _ => "not a regular file",
    }
}
