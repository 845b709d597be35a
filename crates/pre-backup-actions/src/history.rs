//! How each service's runs went: when, how long, how large its dumps were. The gate compares with the last good one.
//!
//! One record log per service. A line that can't be read is passed over: the worst that comes of it is that a dump is
//! not compared.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::record_log;
use common::text::escape_path;
use serde::{Deserialize, Serialize};

use crate::name;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
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
    /// Dumps that have shrunk and that no person has accepted: none to compare with.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) shrunk: BTreeSet<String>,
}

/// The runs that stay when a log has grown long.
const KEPT: usize = 400;

#[derive(Clone, Debug)]
pub(crate) struct History {
    folder: PathBuf,
}

impl History {
    pub(crate) fn new(folder: PathBuf) -> History {
        History { folder }
    }

    pub(crate) fn of(&self, service: &OsStr) -> Result<Vec<RunRecord>> {
        Ok(record_log::read(&self.path(service)).context("read the history")?.0)
    }

    /// The sizes of the dumps of `service` when each was last good.
    pub(crate) fn last_good(&self, service: &OsStr) -> Result<BTreeMap<String, u64>> {
        Ok(last_good(&self.of(service)?))
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

    pub(crate) fn knows(&self, service: &OsStr) -> bool {
        self.path(service).exists()
    }

    pub(crate) fn add(&self, service: &OsStr, record: &RunRecord) -> Result<()> {
        record_log::add(&self.path(service), record, newest).context("add to the history")
    }

    fn path(&self, service: &OsStr) -> PathBuf {
        self.folder.join(Path::new(&(name::encode(service) + ".jsonl")))
    }
}

fn last_good(records: &[RunRecord]) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for record in records.iter().filter(|record| record.good) {
        let dumps = record.dumps.iter().filter(|(name, _)| !record.shrunk.contains(*name));
        sizes.extend(dumps.map(|(name, bytes)| (name.clone(), *bytes)));
    }
    sizes
}

/// The newest runs, and before them what is still to be compared with of those that go.
fn newest(records: &[RunRecord]) -> Vec<RunRecord> {
    let (old, new) = records.split_at(records.len().saturating_sub(KEPT));
    let dumps = last_good(old);
    let base = old.last().filter(|_| !dumps.is_empty()).map(|last| RunRecord {
        good: true,
        why: None,
        shrunk: BTreeSet::new(),
        dumps,
        ..last.clone()
    });
    base.into_iter().chain(new.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(good: bool, dumps: &[(&str, u64)]) -> RunRecord {
        let dumps = dumps.iter().map(|(name, bytes)| ((*name).to_string(), *bytes)).collect();
        let why = (!good).then(|| "exit code 1".into());
        RunRecord { at: 1_800_000_000, seconds: 1.5, good, why, dumps, shrunk: BTreeSet::new() }
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
            RunRecord { shrunk: BTreeSet::from(["b.sql".into()]), ..record(true, &[("b.sql", 2)]) },
        ] {
            history.add(service, &record).unwrap();
        }
        let text = fs::read(history.path(service)).unwrap();
        fs::write(history.path(service), [&text, &b"damaged \xff\n{\"at\":18"[..]].concat()).unwrap();
        assert_eq!(history.of(service).unwrap().len(), 4);
        history.add(service, &record(false, &[])).unwrap();
        assert_eq!(history.of(service).unwrap().len(), 5, "after a line that was never finished");
        let sizes = history.last_good(service).unwrap();
        assert_eq!(sizes, BTreeMap::from([("a.sql".into(), 11), ("b.sql".into(), 20)]));
        assert_eq!(history.services().unwrap(), [service]);
        assert!(history.knows(service) && !history.knows(OsStr::new("a")));
    }

    #[test]
    fn it_does_not_grow_for_ever_and_forgets_no_good_size() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().to_path_buf());
        history.add(OsStr::new("a"), &record(true, &[("weekly.sql", 7)])).unwrap();
        for number in 0..6000 {
            history.add(OsStr::new("a"), &record(true, &[("a.sql", number)])).unwrap();
        }
        assert!(fs::metadata(history.path(OsStr::new("a"))).unwrap().len() <= (256 << 10) + 200);
        let sizes = history.last_good(OsStr::new("a")).unwrap();
        assert_eq!((sizes["a.sql"], sizes["weekly.sql"]), (5999, 7));
    }
}
