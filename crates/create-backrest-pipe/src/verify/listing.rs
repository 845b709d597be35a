//! The snapshot's listing, path by path in restic's order, with as few operations as Backrest's limit allows.
//!
//! An operation's output is cut at 2,000,000 bytes. How much a folder takes is known from the host before it is asked
//! for, so that folders are put together until one listing is nearly full. A folder that is too large for one is listed
//! without what is deeper, and the folders in it are put together. What the host does not know (it was removed since,
//! or was never meant to be there) is found out: a listing that is cut is asked for again in parts. At most one listing
//! is in memory; the content of large folders waits on disk.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::exit::HintExt;
use common::text::escape_path;
use serde_json::StreamDeserializer;
use serde_json::de::IoRead;

use super::entry::{self, EntryKind, SnapshotEntry};
use super::expected::{Weights, is_below};
use super::local;
use super::remote::{Remote, Snapshot};

/// What a listing may take by our reckoning; Backrest cuts it at 2,000,000 bytes.
pub(super) const FITTING: u64 = 1_850_000;
/// What a folder that the host does not have may take.
const UNKNOWN: u64 = FITTING / 50;
/// The command line is part of the output, and Linux bounds it.
const MOST_WORDS: usize = 100_000;
/// At most this many paths wait in memory for the next listing.
const MOST_WAITING: usize = 20_000;

pub(super) struct Lister<'a> {
    remote: &'a mut Remote,
    snapshot: &'a Snapshot,
    weights: &'a Weights,
    /// The large folders below what is listed, in restic's order, with the bytes of what is directly in them.
    large: Vec<&'a (String, u64)>,
    scratch: &'a Path,
    /// Files in `scratch` with what is directly in large folders, until they are opened.
    direct: HashMap<String, PathBuf>,
    files: usize,
    /// What comes next; the last of these first.
    sources: Vec<Source>,
    /// Folders that can't be asked for, because their names are not UTF-8.
    pub(super) not_listed: Vec<String>,
}

enum Source {
    Nodes(VecDeque<Node>),
    Folder(String, Box<Entries>),
}

enum Node {
    Entry(SnapshotEntry),
    Folder(String),
}

/// What is directly in a folder, read from its file one by one: that may be a million names.
type Entries = StreamDeserializer<'static, IoRead<BufReader<File>>, SnapshotEntry>;

type Sink<'s> = dyn FnMut(SnapshotEntry) -> Result<()> + 's;

impl<'a> Lister<'a> {
    /// A lister of each path in `tops`, these included. It writes into `scratch`.
    pub(super) fn new(
        remote: &'a mut Remote,
        snapshot: &'a Snapshot,
        weights: &'a Weights,
        tops: &[String],
        scratch: &'a Path,
    ) -> Result<Lister<'a>> {
        let is_wanted = |folder: &str| {
            tops.iter().any(|top| folder == top || is_below(folder.as_bytes(), top.as_bytes()))
        };
        Ok(Lister {
            remote,
            snapshot,
            weights,
            large: weights.large.iter().filter(|(folder, _)| is_wanted(folder)).collect(),
            scratch,
            direct: HashMap::new(),
            files: 0,
            sources: vec![Source::Nodes(tops.iter().cloned().map(Node::Folder).collect())],
            not_listed: Vec::new(),
        })
    }

    pub(super) fn list(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        loop {
            let mut items = self.next_items()?;
            if items.is_empty() {
                return Ok(());
            }
            let folders = items.iter().filter_map(|item| match item {
                Node::Folder(folder) => Some(folder.clone()),
                Node::Entry(_) => None,
            });
            let mut asked: Vec<String> = folders.collect();
            let listed = self.ask_first(&mut asked, true)?;
            let is_cut = listed.is_none();
            let mut asked = if is_cut { 0 } else { asked.len() };
            let mut entries = listed.unwrap_or_default().into_iter().peekable();
            while let Some(item) = items.pop_front() {
                match item {
                    Node::Entry(entry) => sink(entry)?,
                    Node::Folder(folder) if asked > 0 => {
                        asked -= 1;
                        let is_in_it = |entry: &SnapshotEntry| {
                            entry.path == folder || is_below(entry.path.as_bytes(), folder.as_bytes())
                        };
                        while let Some(entry) = entries.next_if(is_in_it) {
                            sink(entry)?;
                        }
                    }
                    Node::Folder(folder) => {
                        if is_cut {
                            self.fetch(vec![folder.clone()])?;
                        }
                        items.push_front(Node::Folder(folder));
                        self.sources.push(Source::Nodes(std::mem::take(&mut items)));
                    }
                }
            }
        }
    }

    /// As many folders as fit into one listing, and what is between them.
    fn next_items(&mut self) -> Result<VecDeque<Node>> {
        let (mut items, mut fit) = (VecDeque::new(), Fit::default());
        while items.len() < MOST_WAITING {
            let Some(item) = self.next_item()? else { break };
            if let Node::Folder(folder) = &item {
                if !fit.takes(folder, self.weights.of(folder).unwrap_or(UNKNOWN)) {
                    self.sources.push(Source::Nodes([item].into()));
                    break;
                }
            }
            items.push_back(item);
        }
        Ok(items)
    }

    fn next_item(&mut self) -> Result<Option<Node>> {
        while let Some(source) = self.sources.last_mut() {
            let item = match source {
                Source::Nodes(items) => items.pop_front(),
                Source::Folder(folder, entries) => match entries.next().transpose()? {
                    Some(entry) if entry.path == *folder || entry.kind != EntryKind::Folder => {
                        Some(Node::Entry(entry))
                    }
                    Some(entry) if entry.path.contains('\u{fffd}') => {
                        self.not_listed.push(entry.path);
                        continue;
                    }
                    Some(entry) => Some(Node::Folder(entry.path)),
                    None => None,
                },
            };
            match item {
                None => drop(self.sources.pop()),
                Some(Node::Folder(folder)) if self.is_large(&folder)? => {
                    let kept = self.direct.remove(&folder).context("a folder was not listed")?;
                    let file = File::open(&kept).context("read the listing")?;
                    fs::remove_file(kept).context("remove what was listed")?;
                    let entries = serde_json::Deserializer::from_reader(BufReader::new(file)).into_iter();
                    self.sources.push(Source::Folder(folder, Box::new(entries)));
                }
                item => return Ok(item),
            }
        }
        Ok(None)
    }

    /// Whether a folder is large; if so its content is in `direct` now, and that of large folders after it, as far as
    /// one listing holds them.
    fn is_large(&mut self, folder: &String) -> Result<bool> {
        if self.direct.contains_key(folder) {
            return Ok(true);
        }
        let known = |large: &&(String, u64)| entry::order(large.0.as_bytes(), folder.as_bytes());
        let Ok(at) = self.large.binary_search_by(known) else { return Ok(false) };
        let mut fit = Fit::default();
        let rest = self.large[at..].iter().take_while(|(folder, bytes)| fit.takes(folder, *bytes));
        let folders = rest.map(|(folder, _)| folder.clone()).collect();
        self.fetch(folders)?;
        Ok(true)
    }

    /// Lists what is directly in these folders, or in the first half of them if that is all that fits.
    fn fetch(&mut self, mut folders: Vec<String>) -> Result<()> {
        let Some(entries) = self.ask_first(&mut folders, false)? else { return self.fetch_one(&folders[0]) };
        let mut direct: HashMap<&str, Vec<&SnapshotEntry>> =
            folders.iter().map(|folder| (folder.as_str(), Vec::new())).collect();
        for entry in &entries {
            let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            // A folder that was asked for as well as the one it is in comes once; the one itself comes first of all.
            if let Some(own) = direct.get_mut(entry.path.as_str()) {
                own.insert(0, entry);
            }
            if let Some(list) = direct.get_mut(parent) {
                list.push(entry);
            }
        }
        for (folder, entries) in direct {
            let mut file = self.file_for(folder)?;
            entries.into_iter().try_for_each(|entry| keep(&mut file, entry))?;
            flush(&mut file)?;
        }
        Ok(())
    }

    /// Lists the first of these folders, as many as one listing holds; `None` if even one alone is cut.
    fn ask_first(
        &mut self,
        folders: &mut Vec<String>,
        with_all_below: bool,
    ) -> Result<Option<Vec<SnapshotEntry>>> {
        while !folders.is_empty() {
            match self.ask(folders, with_all_below)? {
                None if folders.len() > 1 => folders.truncate(folders.len() / 2),
                listed => return Ok(listed),
            }
        }
        Ok(Some(Vec::new()))
    }

    /// Lists what is directly in a folder with more names than an operation's output holds.
    fn fetch_one(&mut self, folder: &str) -> Result<()> {
        let mut file = self.file_for(folder)?;
        self.remote.folder(self.snapshot, folder, &mut |entry| match entry {
            Some(entry) => keep(&mut file, &entry),
            None => file.rewind().and_then(|()| file.get_ref().set_len(0)).map_err(local),
        })?;
        flush(&mut file)
    }

    fn file_for(&mut self, folder: &str) -> Result<BufWriter<File>> {
        let path = self.scratch.join(format!("listing-{}", self.files));
        let naming = || format!("make a temporary file: {}", escape_path(&path));
        let file = File::create_new(&path).with_context(naming)?;
        self.files += 1;
        self.direct.insert(folder.into(), path);
        Ok(BufWriter::new(file))
    }

    /// A listing of these folders; `None` if it is cut.
    fn ask(&mut self, folders: &[String], with_all_below: bool) -> Result<Option<Vec<SnapshotEntry>>> {
        let mut words = vec!["ls", "--no-lock", "--ncdu"];
        words.extend(with_all_below.then_some("--recursive"));
        words.push(&self.snapshot.id);
        words.extend(folders.iter().map(String::as_str));
        let mut parsed = None;
        // A line of standard error in the middle of another one spoils the listing; it won't be there twice.
        for _ in 0..2 {
            let Some(output) = self.remote.run(&words)? else { return Ok(None) };
            let entries = entry::parse(&output).context("list the snapshot");
            let is_good = entries.is_ok();
            parsed = Some(entries);
            if is_good {
                break;
            }
        }
        let mut entries = parsed.context("list the snapshot")??;
        // Without the folders above.
        let folders: HashSet<&str> = folders.iter().map(String::as_str).collect();
        let above = |path: &str| path.rfind('/').unwrap_or(0);
        entries.retain(|entry| {
            let path = entry.path.as_str();
            std::iter::successors(Some(path), |path| {
                Some(&path[..above(path)]).filter(|above| !above.is_empty())
            })
            .any(|path| folders.contains(path))
        });
        Ok(Some(entries))
    }
}

fn keep(file: &mut BufWriter<File>, entry: &SnapshotEntry) -> Result<()> {
    kept(file.write_all(&serde_json::to_vec(entry)?))
}

fn flush(file: &mut BufWriter<File>) -> Result<()> {
    kept(file.flush())
}

fn kept(written: std::io::Result<()>) -> Result<()> {
    let written = written.map_err(local).context("keep the listing");
    written.hint("name a larger folder for temporary files in TMPDIR")
}

#[derive(Default)]
struct Fit {
    bytes: u64,
    words: usize,
}

impl Fit {
    /// Whether this folder, of this many bytes in a listing, fits in too. The first always does.
    fn takes(&mut self, folder: &str, bytes: u64) -> bool {
        let is_first = self.words == 0;
        self.bytes += bytes + folder.len() as u64;
        self.words += folder.len() + 3;
        is_first || self.bytes <= FITTING && self.words <= MOST_WORDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_fit_are_asked_for_at_once() {
        let how_many = |length: usize, bytes: &[u64]| {
            let mut fit = Fit::default();
            bytes.iter().take_while(|bytes| fit.takes(&"x".repeat(length), **bytes)).count()
        };
        assert_eq!(how_many(10, &[FITTING * 2, 1]), 1);
        assert_eq!(how_many(10, &[FITTING / 2, FITTING / 3, FITTING / 3]), 2);
        assert_eq!(how_many(97, &[1; 5000]), MOST_WORDS / 100);
        assert_eq!(how_many(1, &[]), 0);
    }
}
