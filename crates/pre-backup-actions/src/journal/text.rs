//! The journal's lines: from an entry to text and back. No I/O.
//!
//! A line that can't be read is a problem and not an end: the entries around it still count.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::name;

/// One line with its newline.
pub(super) type Line = String;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Journal(u32),
    Begin(Begin),
    Clear(String),
}

#[derive(Serialize, Deserialize)]
struct Begin {
    service: String,
    folder: String,
    run: String,
    boot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<i32>,
    begun: i64,
    due: i64,
    /// There was an after script when it began.
    #[serde(default, skip_serializing_if = "is_false")]
    after: bool,
    /// Written for all steps of a run before the first one starts.
    #[serde(default, skip_serializing_if = "is_false")]
    planned: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a journal's text says.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// What is open, in the order of its beginning.
    pub(super) entries: Vec<Entry>,
    /// What was planned and not begun.
    planned: Vec<Entry>,
    /// Lines, counted from 1, that can't be read.
    pub(super) unreadable: Vec<usize>,
    /// Where the last line begins, if it was not finished.
    pub(super) torn: Option<u64>,
    /// Something is in it that nobody needs any more.
    pub(super) stale: bool,
    /// A newer version's format.
    pub(super) newer: Option<u32>,
}

pub(super) fn header() -> Line {
    line(&Record::Journal(VERSION))
}

pub(super) fn begin(entry: &Entry) -> Line {
    line(&Record::Begin(record(entry, false)))
}

pub(super) fn plan(entry: &Entry) -> Line {
    line(&Record::Begin(record(entry, true)))
}

fn record(entry: &Entry, planned: bool) -> Begin {
    Begin {
        service: name::encode(&entry.service),
        folder: name::encode(entry.folder.as_os_str()),
        run: entry.run.clone(),
        boot: entry.boot.clone(),
        session: entry.session,
        begun: entry.begun,
        due: entry.due,
        after: entry.has_after,
        planned,
        failures: entry.failures,
        why: entry.why.clone(),
    }
}

pub(super) fn clear(service: &OsStr) -> Line {
    line(&Record::Clear(name::encode(service)))
}

fn line(record: &Record) -> Line {
    // Text and numbers only: this can't fail.
    serde_json::to_string(record).unwrap_or_default() + "\n"
}

/// Reads a journal. In the boot `boot` everything that was written is there, so a step that was only planned never
/// started; in another one nobody knows what was lost with the power, so it counts as begun.
pub(super) fn parse(text: &[u8], boot: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let Some(end) = text.iter().rposition(|&byte| byte == b'\n') else {
        parsed.unreadable.push(1);
        return parsed;
    };
    let whole = &text[..end];
    parsed.torn = (end + 1 < text.len()).then_some(end as u64 + 1);
    for (index, line) in whole.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let record = serde_json::from_slice(line).ok();
        let understood = record.and_then(|record| parsed.add(index, record));
        if understood.is_none() {
            parsed.unreadable.push(index + 1);
        }
    }
    let planned = std::mem::take(&mut parsed.planned);
    let never_started = |entry: &Entry| entry.boot == boot && !boot.is_empty();
    parsed.stale = planned.iter().any(never_started) || (parsed.entries.is_empty() && planned.is_empty());
    parsed.entries.extend(planned.into_iter().filter(|entry| !never_started(entry)));
    parsed
}

impl Parsed {
    /// Takes a record over. `None` where it can't be used; also where the first line is no header, because then the
    /// beginning is missing.
    fn add(&mut self, index: usize, record: Record) -> Option<()> {
        let in_place = matches!(record, Record::Journal(_)) == (index == 0);
        match record {
            Record::Journal(version) if version > VERSION => self.newer = Some(version),
            Record::Journal(_) => {}
            Record::Begin(begin) if begin.planned => {
                let entry = entry(begin)?;
                if self.entries.iter().all(|other| other.service != entry.service) {
                    self.planned.push(entry);
                }
            }
            Record::Begin(begin) => {
                let entry = entry(begin)?;
                self.planned.retain(|other| other.service != entry.service);
                let place = self.entries.iter().position(|other| other.service == entry.service);
                match place {
                    // A failed after step is written down by beginning it again; its place stays.
                    Some(place) if entry.failures > 0 => self.entries[place] = entry,
                    place => {
                        place.map(|place| self.entries.remove(place));
                        self.entries.push(entry);
                    }
                }
            }
            Record::Clear(service) => {
                let service = name::decode(&service)?;
                self.planned.retain(|entry| entry.service != service);
                self.entries.retain(|entry| entry.service != service);
            }
        }
        in_place.then_some(())
    }
}

fn entry(begin: Begin) -> Option<Entry> {
    let service = name::decode(&begin.service)?;
    let folder = PathBuf::from(name::decode(&begin.folder)?);
    let is_name =
        !service.is_empty() && !service.as_bytes().contains(&b'/') && service != ".." && service != ".";
    let is_whole = is_name && folder.is_absolute();
    is_whole.then_some(Entry {
        service,
        folder,
        run: begin.run,
        boot: begin.boot,
        session: begin.session,
        begun: begin.begun,
        due: begin.due,
        has_after: begin.after,
        failures: begin.failures,
        why: begin.why,
    })
}
