//! How each service's runs went: when, how long, how large its dumps were. The gate compares with the last good one.
//!
//! One file per service, one JSON object a line, appended to; an old half goes where it grows long. A line that can't
//! be read is passed over: the worst that comes of it is that a dump is not compared.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::atomic;
use common::text::escape_path;
use serde::{Deserialize, Serialize};

use crate::name;

/// One run of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When the script started, in seconds since 1970.
    pub(crate) at: i64,
    pub(crate) seconds: f64,
    /// Nothing failed, and every dump passed the gate.
    pub(crate) good: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Bytes of each declared dump.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) dumps: BTreeMap<String, u64>,
}

/// A file longer than this is halved: some hundred runs stay.
const BOUND: u64 = 64 << 10;

/// The histories in one folder.
#[derive(Clone, Debug)]
pub(crate) struct History {
    folder: PathBuf,
}

impl History {
    pub(crate) fn new(folder: PathBuf) -> History {
        History { folder }
    }

    /// The runs of `service`, the oldest first.
    pub(crate) fn of(&self, service: &OsStr) -> Result<Vec<Record>> {
        let path = self.path(service);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => {
                return Err(error).with_context(|| format!("read the history: {}", escape_path(&path)));
            }
        };
        let lines = text.split(|&byte| byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// The sizes of the dumps of `service` when each was last good.
    pub(crate) fn last_good(&self, service: &OsStr) -> Result<BTreeMap<String, u64>> {
        let mut sizes = BTreeMap::new();
        for record in self.of(service)?.into_iter().filter(|record| record.good) {
            sizes.extend(record.dumps);
        }
        Ok(sizes)
    }

    /// All services that have a history, sorted.
    pub(crate) fn services(&self) -> Result<Vec<OsString>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("read the histories: {}", escape_path(&self.folder)));
            }
        };
        let names = entries
            .flatten()
            .filter_map(|entry| name::decode(entry.file_name().to_str()?.strip_suffix(".jsonl")?));
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Adds a run.
    pub(crate) fn add(&self, service: &OsStr, record: &Record) -> Result<()> {
        let path = self.path(service);
        let naming = || format!("write the history: {}", escape_path(&path));
        let line = serde_json::to_string(record).with_context(naming)? + "\n";
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let opened = match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).with_context(naming)?;
                options.open(&path)
            }
            opened => opened,
        };
        let mut file = opened.with_context(naming)?;
        let length = file.metadata().with_context(naming)?.len();
        // A line that was never finished must not take this one with it.
        let line = if ends_a_line(&file, length).with_context(naming)? { line } else { format!("\n{line}") };
        file.write_all(line.as_bytes()).with_context(naming)?;
        if length > BOUND {
            halve(&path).with_context(naming)?;
        }
        Ok(())
    }

    fn path(&self, service: &OsStr) -> PathBuf {
        self.folder.join(name::encode(service) + ".jsonl")
    }
}

fn ends_a_line(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

/// Keeps the newer half of the lines.
fn halve(path: &Path) -> Result<()> {
    let text = fs::read(path)?;
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    atomic::write(path, &lines[lines.len() / 2..].concat(), 0o600)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(good: bool, dumps: &[(&str, u64)]) -> Record {
        let dumps = dumps.iter().map(|(name, bytes)| ((*name).to_string(), *bytes)).collect();
        Record { at: 1_800_000_000, seconds: 1.5, good, why: (!good).then(|| "exit code 1".into()), dumps }
    }

    #[test]
    fn only_good_runs_are_compared_with() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history"));
        let service = OsStr::new("a\nb");
        assert_eq!(history.services().unwrap(), Vec::<OsString>::new());
        for record in [
            record(true, &[("a.sql", 10), ("b.sql", 20)]),
            record(true, &[("a.sql", 11)]),
            record(false, &[("a.sql", 1)]),
        ] {
            history.add(service, &record).unwrap();
        }
        let text = fs::read(history.path(service)).unwrap();
        fs::write(history.path(service), [&text, &b"damaged \xff\n{\"at\":18"[..]].concat()).unwrap();
        assert_eq!(history.of(service).unwrap().len(), 3);
        history.add(service, &record(false, &[])).unwrap();
        assert_eq!(history.of(service).unwrap().len(), 4, "after a line that was never finished");
        let sizes = history.last_good(service).unwrap();
        assert_eq!(sizes, BTreeMap::from([("a.sql".into(), 11), ("b.sql".into(), 20)]));
        assert_eq!(history.services().unwrap(), [service]);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().to_path_buf());
        for number in 0..3000 {
            history.add(OsStr::new("a"), &record(true, &[("a.sql", number)])).unwrap();
        }
        assert!(fs::metadata(history.path(OsStr::new("a"))).unwrap().len() <= BOUND + 200);
        assert_eq!(history.last_good(OsStr::new("a")).unwrap()["a.sql"], 2999);
    }
}
