//! Compares the listing of the snapshot with the list of what the rules keep, both in restic's order, path by path.
//!
//! Nothing is remembered of a path once it was compared, so a million files take no more memory than a thousand. What
//! a reader gets wrong: restic writes a name that is not UTF-8 with U+FFFD in it, so such paths can't be compared in
//! order; they are put aside on both sides and compared at the end.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::iter::Peekable;

use anyhow::{Result, ensure};
use common::text::escape;

use super::dumps::Declared;
use super::entry::{EntryKind, SnapshotEntry, order};
use super::expected::{Kept, is_below};
use super::findings::Findings;
use super::host::{Host, Verdict};
use super::sample::Sample;

const MOST_ODD: usize = 100_000;

pub(super) struct Comparison<'a, I: Iterator<Item = Result<Kept>>> {
    host: &'a Host<'a>,
    /// What is looked at: the roots, or the parts of them that the plan backs up.
    tops: &'a [String],
    kept: Peekable<I>,
    odd_kept: BTreeMap<String, VecDeque<Kept>>,
    odd_entries: Vec<SnapshotEntry>,
    odd: usize,
    last: String,
    pub(super) findings: Findings,
    pub(super) sample: Sample,
    pub(super) dumps: Declared,
}

impl<'a, I: Iterator<Item = Result<Kept>>> Comparison<'a, I> {
    pub(super) fn new(
        host: &'a Host<'a>,
        tops: &'a [String],
        kept: I,
        sample: Sample,
        dumps: Declared,
    ) -> Self {
        Comparison {
            host,
            tops,
            kept: kept.peekable(),
            odd_kept: BTreeMap::new(),
            odd_entries: Vec::new(),
            odd: 0,
            last: String::new(),
            findings: Findings::default(),
            sample,
            dumps,
        }
    }

    pub(super) fn take(&mut self, entry: SnapshotEntry) -> Result<()> {
        let is_in_order = order(self.last.as_bytes(), entry.path.as_bytes()) != Ordering::Greater;
        if entry.path.contains('\u{fffd}') {
            self.put_aside()?;
            self.odd_entries.push(entry);
            return Ok(());
        }
        ensure!(
            is_in_order,
            "list the snapshot: the paths are not in order: {}",
            escape(entry.path.as_bytes())
        );
        self.last.clone_from(&entry.path);
        while let Some(kept) = self.next_kept(Some(&entry))? {
            match order(&kept.path, entry.path.as_bytes()) {
                Ordering::Less => self.only_kept(&kept),
                _ => {
                    self.both(&kept, &entry);
                    return Ok(());
                }
            }
        }
        self.only_listed(&entry);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(Findings, Sample, Declared)> {
        while let Some(kept) = self.next_kept(None)? {
            self.only_kept(&kept);
        }
        for entry in std::mem::take(&mut self.odd_entries) {
            let same_name = self.odd_kept.get_mut(&entry.path);
            // Of several names that became the same, one with that content.
            let kept = same_name.and_then(|kept| {
                let fits = |kept: &Kept| self.host.both(&kept.path, &entry) == Verdict::Same;
                let place = kept.iter().position(fits).unwrap_or(0);
                kept.remove(place)
            });
            match kept {
                Some(kept) => self.both(&kept, &entry),
                None => self.only_listed(&entry),
            }
        }
        for kept in std::mem::take(&mut self.odd_kept).into_values().flatten() {
            self.only_kept(&kept);
        }
        Ok((self.findings, self.sample, self.dumps))
    }

    /// The next path that is kept, unless it comes after `entry`.
    fn next_kept(&mut self, entry: Option<&SnapshotEntry>) -> Result<Option<Kept>> {
        let is_due = |kept: &Kept| match entry {
            Some(entry) => order(&kept.path, entry.path.as_bytes()) != Ordering::Greater,
            None => true,
        };
        while let Some(next) = self.kept.next_if(|next| next.as_ref().map_or(true, is_due)) {
            let kept = next?;
            let is_top = |top: &String| kept.path == top.as_bytes() || is_below(&kept.path, top.as_bytes());
            if !self.tops.iter().any(is_top) {
                continue;
            }
            let name = as_restic_writes(&kept.path);
            if name.contains('\u{fffd}') {
                self.put_aside()?;
                self.odd_kept.entry(name).or_default().push_back(kept);
                continue;
            }
            return Ok(Some(kept));
        }
        Ok(None)
    }

    fn put_aside(&mut self) -> Result<()> {
        self.odd += 1;
        ensure!(self.odd <= MOST_ODD, "compare: more than {MOST_ODD} paths are not UTF-8");
        Ok(())
    }

    fn both(&mut self, kept: &Kept, entry: &SnapshotEntry) {
        let service = self.host.service(&kept.path);
        self.dumps.look(self.host, &kept.path, entry);
        if kept.kind == EntryKind::Folder && entry.kind == EntryKind::Folder {
            return;
        }
        self.findings.service(&service).files += 1;
        let verdict = self.host.both(&kept.path, entry);
        if verdict == Verdict::Same && entry.kind == EntryKind::File {
            self.sample.offer(&service, entry);
        }
        self.findings.judge(&service, &kept.path, verdict);
    }

    fn only_kept(&mut self, kept: &Kept) {
        if kept.kind == EntryKind::Folder {
            return;
        }
        let service = self.host.service(&kept.path);
        self.findings.service(&service).files += 1;
        let verdict = self.host.missing(&kept.path);
        self.findings.judge(&service, &kept.path, verdict);
    }

    fn only_listed(&mut self, entry: &SnapshotEntry) {
        // A folder of which the rules leave out the content is in the backup, empty.
        let path = entry.path.as_bytes();
        if entry.kind == EntryKind::Folder || self.host.root_of(path).is_none() {
            return;
        }
        let service = self.host.service(path);
        self.dumps.look(self.host, path, entry);
        let verdict = self.host.extra(path);
        self.findings.judge(&service, path, verdict);
    }
}

/// A path as restic writes it into JSON: each byte that is not UTF-8 becomes U+FFFD.
fn as_restic_writes(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_that_is_not_utf8_is_one_character() {
        assert_eq!(as_restic_writes(b"/a\xff\xfe/\xe2\x82b"), "/a\u{fffd}\u{fffd}/\u{fffd}\u{fffd}b");
        assert_eq!(as_restic_writes("/grüße".as_bytes()), "/grüße");
    }
}
