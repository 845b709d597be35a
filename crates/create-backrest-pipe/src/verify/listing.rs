//! The snapshot's listing, path by path in restic's order, with as few operations as Backrest's limit allows.
//!
//! An operation's output is cut at 2,000,000 bytes. How much a folder takes is known from the host before it is asked
//! for, so that folders are put together until one listing is nearly full. A folder that is too large for one is listed
//! without what lies deeper, and those in it are put together. What the host does not know (it was removed since, or
//! was never meant to be there) is found out: a listing that is cut is asked for again in parts.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, Result};

use super::entry::{self, Entry, Kind};
use super::expected::{Weights, is_below};
use super::remote::{Output, Remote, Snapshot};

/// What a listing may take by our reckoning; Backrest cuts it at 2,000,000 bytes.
pub(super) const FITTING: u64 = 1_850_000;
/// What a folder that the host does not have may take.
const UNKNOWN: u64 = FITTING / 50;
/// The command line is part of the output, and Linux bounds it.
const MOST_WORDS: usize = 100_000;

/// Lists a snapshot.
pub(super) struct Lister<'a, 'b> {
    pub(super) remote: &'a mut Remote<'b>,
    pub(super) snapshot: &'a Snapshot,
    weights: &'a Weights,
    /// What lies directly in the large folders.
    direct: HashMap<String, Vec<Entry>>,
    /// Folders that can't be asked for, because their names are not UTF-8.
    pub(super) not_listed: Vec<String>,
}

enum Item {
    Entry(Entry),
    /// A folder with all that is in it.
    Folder(String),
}

type Sink<'s> = dyn FnMut(Entry) -> Result<()> + 's;

impl<'a, 'b> Lister<'a, 'b> {
    pub(super) fn new(
        remote: &'a mut Remote<'b>,
        snapshot: &'a Snapshot,
        weights: &'a Weights,
    ) -> Lister<'a, 'b> {
        Lister { remote, snapshot, weights, direct: HashMap::new(), not_listed: Vec::new() }
    }

    /// Hands each path in `tops` to `sink`, these included.
    pub(super) fn list(&mut self, tops: &[String], sink: &mut Sink<'_>) -> Result<()> {
        let is_wanted = |folder: &String| {
            tops.iter().any(|top| folder == top || is_below(folder.as_bytes(), top.as_bytes()))
        };
        let large: Vec<_> = self.weights.large.iter().filter(|(folder, _)| is_wanted(folder)).collect();
        let mut rest = large.as_slice();
        while !rest.is_empty() {
            let sizes = rest.iter().map(|(folder, bytes)| (folder.len(), *bytes));
            let mut count = how_many(sizes);
            loop {
                let folders: Vec<String> = rest[..count].iter().map(|(folder, _)| folder.clone()).collect();
                match self.ask(&folders, false)? {
                    Some(entries) => self.keep_direct(&folders, entries),
                    None if count > 1 => {
                        count /= 2;
                        continue;
                    }
                    None => {
                        let entries = self.remote.folder(self.snapshot, &folders[0])?;
                        self.direct.insert(folders[0].clone(), entries);
                    }
                }
                break;
            }
            rest = &rest[count..];
        }
        let mut items: VecDeque<Item> = tops.iter().map(|top| Item::Folder(top.clone())).collect();
        let mut flat = VecDeque::new();
        while let Some(item) = items.pop_front() {
            match item {
                Item::Folder(folder) if self.direct.contains_key(&folder) => {
                    let direct = self.direct.remove(&folder).unwrap_or_default();
                    self.open(&folder, direct, &mut items);
                }
                item => flat.push_back(item),
            }
        }
        self.hand_out(flat, sink)
    }

    fn keep_direct(&mut self, folders: &[String], entries: Vec<Entry>) {
        for folder in folders {
            self.direct.entry(folder.clone()).or_default();
        }
        for entry in entries {
            let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            // A folder that was asked for as well as the one it is in comes once; the one itself comes first of all.
            if let Some(own) = self.direct.get_mut(&entry.path) {
                own.insert(0, entry.clone());
            }
            if let Some(list) = self.direct.get_mut(parent) {
                list.push(entry);
            }
        }
    }

    fn hand_out(&mut self, items: VecDeque<Item>, sink: &mut Sink<'_>) -> Result<()> {
        let mut items = items;
        while let Some(item) = items.pop_front() {
            let folder = match item {
                Item::Entry(entry) => {
                    sink(entry)?;
                    continue;
                }
                Item::Folder(folder) => folder,
            };
            // As many of the folders that follow as fit.
            let following = items.iter().filter_map(|item| match item {
                Item::Folder(folder) => Some(folder),
                Item::Entry(_) => None,
            });
            let mut folders: Vec<String> =
                std::iter::once(&folder).chain(following).take(2000).cloned().collect();
            folders.truncate(how_many(folders.iter().map(|folder| (folder.len(), self.weight(folder)))));
            let entries = loop {
                match self.ask(&folders, true)? {
                    Some(entries) => break Some(entries),
                    None if folders.len() > 1 => folders.truncate(folders.len() / 2),
                    None => break None,
                }
            };
            let Some(entries) = entries else {
                let direct = match self.ask(&folders, false)? {
                    Some(entries) => entries,
                    None => self.remote.folder(self.snapshot, &folder)?,
                };
                self.open(&folder, direct, &mut items);
                continue;
            };
            self.hand_out_slice(&folders, entries, &mut items, sink)?;
        }
        Ok(())
    }

    /// Hands out `entries`, which are in `folders`, and what of `items` lies between these.
    fn hand_out_slice(
        &mut self,
        folders: &[String],
        entries: Vec<Entry>,
        items: &mut VecDeque<Item>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let mut entries = entries.into_iter().peekable();
        for (number, folder) in folders.iter().enumerate() {
            // The first was taken from the items already.
            let mut is_reached = number == 0;
            while !is_reached {
                match items.pop_front().context("a folder is gone from the plan")? {
                    Item::Entry(entry) => sink(entry)?,
                    Item::Folder(_) => is_reached = true,
                }
            }
            let is_in_it =
                |entry: &Entry| entry.path == *folder || is_below(entry.path.as_bytes(), folder.as_bytes());
            while let Some(entry) = entries.next_if(is_in_it) {
                sink(entry)?;
            }
        }
        Ok(())
    }

    /// Puts what lies directly in a folder in front of `items`.
    fn open(&mut self, folder: &str, direct: Vec<Entry>, items: &mut VecDeque<Item>) {
        let mut inner = VecDeque::new();
        for entry in direct {
            let is_itself = entry.path == folder;
            if !is_itself && !is_below(entry.path.as_bytes(), folder.as_bytes()) {
                continue;
            }
            match entry.kind {
                Kind::Folder if !is_itself && entry.path.contains('\u{fffd}') => {
                    self.not_listed.push(entry.path);
                }
                Kind::Folder if !is_itself => inner.push_back(Item::Folder(entry.path)),
                _ => inner.push_back(Item::Entry(entry)),
            }
        }
        inner.append(items);
        *items = inner;
    }

    fn weight(&self, folder: &str) -> u64 {
        self.weights.whole.get(folder).copied().unwrap_or(UNKNOWN)
    }

    /// A listing of these folders; `None` if it is cut.
    fn ask(&mut self, folders: &[String], with_all_below: bool) -> Result<Option<Vec<Entry>>> {
        let mut words = vec!["ls", "--no-lock", "--ncdu"];
        words.extend(with_all_below.then_some("--recursive"));
        words.push(&self.snapshot.id);
        words.extend(folders.iter().map(String::as_str));
        let mut parsed = None;
        // A line of standard error in the middle of another one spoils the listing; it won't be there twice.
        for _ in 0..2 {
            let Output::Whole(output) = self.remote.run(&words)? else { return Ok(None) };
            let entries = entry::parse(&output).context("list the snapshot");
            let is_good = entries.is_ok();
            parsed = Some(entries);
            if is_good {
                break;
            }
        }
        let mut entries = parsed.context("list the snapshot")??;
        // Without the folders above.
        entries.retain(|entry| {
            folders
                .iter()
                .any(|folder| entry.path == *folder || is_below(entry.path.as_bytes(), folder.as_bytes()))
        });
        Ok(Some(entries))
    }
}

/// How many of these, each with the length of its path and its bytes in a listing, fit into one; one at least.
fn how_many(sizes: impl Iterator<Item = (usize, u64)>) -> usize {
    let (mut bytes, mut words, mut count) = (0, 0, 0);
    for (length, size) in sizes {
        bytes += size + length as u64;
        words += length + 3;
        if count > 0 && (bytes > FITTING || words > MOST_WORDS) {
            break;
        }
        count += 1;
    }
    count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_fit_are_asked_for_at_once() {
        assert_eq!(how_many([(10, FITTING * 2), (10, 1)].into_iter()), 1);
        assert_eq!(how_many([(10, FITTING / 2), (10, FITTING / 3), (10, FITTING / 3)].into_iter()), 2);
        assert_eq!(how_many((0..5000).map(|_| (97, 1))), MOST_WORDS / 100);
        assert_eq!(how_many(std::iter::empty()), 1);
    }
}
