//! Files chosen at random over services and sizes, read back and compared with the host's.
//!
//! Candidates are kept by service and size, a few of each, while the listing goes by; at the end one of each group is
//! taken in turn. A service of a few small files is so looked at as surely as one of a million.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;
use common::cancel::Cancel;
use common::contract::verification::FaultKind;
use common::regular_file;
use common::settings::Settings;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::entry::SnapshotEntry;
use super::findings::Findings;
use super::host::Host;
use super::remote::{Remote, Snapshot};

/// That many candidates of each service and size are remembered.
const EACH: usize = 8;

#[derive(Debug)]
pub(crate) struct Sample {
    random: StdRng,
    /// With it the same files are chosen again.
    pub(super) seed: u64,
    count: usize,
    largest: u64,
    groups: BTreeMap<(String, u32), Group>,
}

#[derive(Debug, Default)]
struct Group {
    seen: usize,
    chosen: Vec<SnapshotEntry>,
}

impl Sample {
    /// A sample of `count` files of at most `largest` bytes.
    pub(crate) fn new(count: usize, largest: u64, seed: u64) -> Sample {
        Sample { random: StdRng::seed_from_u64(seed), seed, count, largest, groups: BTreeMap::new() }
    }

    /// A file that is in the snapshot as it is on the host.
    pub(super) fn offer(&mut self, service: &str, entry: &SnapshotEntry) {
        // A name that is not UTF-8 can't be asked for.
        let has_name = !entry.path.contains('\u{fffd}');
        if entry.size == 0 || entry.size > self.largest || self.count == 0 || !has_name {
            return;
        }
        // A group for each power of 64: a few KiB, hundreds of KiB, …
        let group = self.groups.entry((service.to_string(), entry.size.ilog2() / 6)).or_default();
        group.seen += 1;
        if group.chosen.len() < EACH.min(self.count) {
            group.chosen.push(entry.clone());
        } else {
            // Each file of the group stays with the same probability.
            let place = self.random.random_range(0..group.seen);
            if let Some(chosen) = group.chosen.get_mut(place) {
                *chosen = entry.clone();
            }
        }
    }

    fn choose(mut self) -> Vec<(String, SnapshotEntry)> {
        let mut groups: Vec<(String, Vec<SnapshotEntry>)> =
            self.groups.into_iter().map(|((service, _), group)| (service, group.chosen)).collect();
        groups.iter_mut().for_each(|(_, entries)| entries.shuffle(&mut self.random));
        groups.shuffle(&mut self.random);
        let mut chosen = Vec::new();
        for round in 0..EACH {
            let of_round = groups
                .iter()
                .filter_map(|(service, entries)| Some((service.clone(), entries.get(round)?.clone())));
            chosen.extend(of_round);
        }
        chosen.truncate(self.count);
        chosen
    }

    pub(super) fn prove(self, restore: &mut Restore<'_>) -> Result<()> {
        for (service, entry) in self.choose() {
            restore.findings.service(&service).sample += 1;
            match restore.read_back(&entry, &mut |_, _| Ok(()))? {
                None => restore.findings.service(&service).sample_same += 1,
                Some((kind, what)) => restore.findings.add(&service, kind, entry.path.as_bytes(), what),
            }
        }
        Ok(())
    }
}

/// What is wrong with what was read back.
pub(super) type Wrong = (FaultKind, String);

type Piece<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// The file of the host, if it may be read and has the size and the time of `entry`; with its time of change.
fn on_host(path: &Path, entry: &SnapshotEntry) -> Option<(File, (i64, i64, u64))> {
    let there = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
    let file = there.and_then(|_| regular_file::open(path).ok())?;
    let metadata = file.metadata().ok()?;
    let is_alike = metadata.len() == entry.size && metadata.mtime() == entry.modified;
    is_alike.then_some((file, stamp(&metadata)))
}

/// Reads the next `count` bytes of a file; at `offset` 0 the first.
fn next_of(file: &mut File, offset: u64, count: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    if offset == 0 {
        file.rewind()?;
    }
    buffer.clear();
    file.take(count as u64).read_to_end(buffer).map(drop)
}

fn stamp(metadata: &fs::Metadata) -> (i64, i64, u64) {
    (metadata.ctime(), metadata.ctime_nsec(), metadata.len())
}

pub(super) struct Restore<'a> {
    pub(super) remote: &'a mut Remote,
    pub(super) snapshot: &'a Snapshot,
    pub(super) host: &'a Host<'a>,
    pub(super) findings: &'a mut Findings,
    pub(super) scratch: &'a Path,
    pub(super) settings: &'a Settings,
    pub(super) cancel: &'a Cancel,
}

impl Restore<'_> {
    /// Reads a file of the snapshot, hands it on, and compares it with the host's if that is there and does not change
    /// meanwhile. Returns what is wrong, if anything is.
    pub(super) fn read_back(&mut self, entry: &SnapshotEntry, each: &mut Piece<'_>) -> Result<Option<Wrong>> {
        let mut here = self.host.path(entry.path.as_bytes()).and_then(|path| on_host(&path, entry));
        let (mut is_same, mut unreadable) = (true, None);
        let mut buffer = Vec::new();
        let read = self.remote.read(self.snapshot, &entry.path, entry.size, &mut |offset, bytes| {
            if let Some((here, _)) = here.as_mut().filter(|_| unreadable.is_none()) {
                is_same |= offset == 0;
                match next_of(here, offset, bytes.len(), &mut buffer) {
                    Ok(()) => is_same &= buffer == bytes,
                    Err(error) => unreadable = Some(error),
                }
            }
            each(offset, bytes)
        })?;
        let is_unchanged = here
            .is_some_and(|(file, before)| file.metadata().is_ok_and(|metadata| stamp(&metadata) == before));
        Ok(if read != entry.size {
            let what = format!("reading it back broke off after {read} of {} bytes", entry.size);
            Some((FaultKind::NotRestored, what))
        } else if let Some(error) = unreadable {
            Some((FaultKind::NotCompared, format!("the file here can't be read: {error}")))
        } else if is_unchanged && !is_same {
            let what = "what was read back differs from the file here, which did not change";
            Some((FaultKind::Altered, what.into()))
        } else {
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::entry::EntryKind;

    fn entry(path: &str, size: u64) -> SnapshotEntry {
        SnapshotEntry { path: path.into(), kind: EntryKind::File, size, modified: 0 }
    }

    fn chosen(seed: u64) -> Vec<(String, SnapshotEntry)> {
        let mut sample = Sample::new(12, 1 << 30, seed);
        for number in 0..5000 {
            sample.offer("data/large", &entry(&format!("/l/{number}"), 100));
        }
        sample.offer("data/large", &entry("/l/film", 1 << 29));
        sample.offer("data/large", &entry("/l/disk", 1 << 31));
        sample.offer("data/small", &entry("/s/a", 5));
        sample.offer("data/small", &entry("/s/empty", 0));
        sample.choose()
    }

    #[test]
    fn each_service_and_size_is_looked_at() {
        let chosen = chosen(1);
        assert_eq!(chosen.len(), 10);
        let has = |path: &str| chosen.iter().any(|(_, entry)| entry.path == path);
        assert!(has("/l/film") && has("/s/a"));
        assert!(!has("/l/disk") && !has("/s/empty"));
    }

    #[test]
    fn the_same_seed_chooses_the_same_files() {
        assert_eq!(chosen(7), chosen(7));
        assert_ne!(chosen(7), chosen(8));
    }
}
