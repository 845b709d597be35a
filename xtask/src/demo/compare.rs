//! What is in the restored snapshot, judged against what each file's owner wants and against the files themselves.
//!
//! In come both trees and the services' files, out go one row a service and the list of everything that is not as it
//! should be. The listener's own folders go on changing while it runs, so they are not compared.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::Path;

use anyhow::Result;
use common::text::escape_path;

use super::services::{DUMP, Fate, Service};
use crate::trees::{files, same};

/// Files and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// One service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) backed_up: Amount,
    pub(super) left_out: Amount,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    /// By name of the service.
    pub(super) rows: BTreeMap<String, Row>,
    /// Everything that is wrong, a line each.
    pub(super) wrong: Vec<String>,
}

impl Comparison {
    /// The sums over all services.
    pub(super) fn total(&self) -> Row {
        let mut total = Row::default();
        for row in self.rows.values() {
            total.backed_up += row.backed_up;
            total.left_out += row.left_out;
        }
        total
    }
}

/// Compares the tree at `home` with the one at `restored`.
pub(super) fn compare(home: &Path, restored: &Path, services: &[Service]) -> Result<Comparison> {
    let originals = files(home)?;
    let copies = files(restored)?;
    let mut comparison = Comparison::default();
    for (path, bytes) in &originals {
        let service = path.components().nth(1).map(|part| part.as_os_str().to_string_lossy().into_owned());
        let row = comparison.rows.entry(service.unwrap_or_default()).or_default();
        let amount = Amount { files: 1, bytes: *bytes };
        if copies.contains_key(path) {
            row.backed_up += amount;
            if !same(&home.join(path), &restored.join(path))? {
                comparison.wrong.push(format!("{}: not restored as it was", escape_path(path)));
            }
        } else {
            row.left_out += amount;
        }
    }
    for path in copies.keys().filter(|path| !originals.contains_key(*path)) {
        comparison.wrong.push(format!("{}: restored from nowhere", escape_path(path)));
    }
    for planted in services.iter().flat_map(|service| &service.files) {
        match (planted.fate, copies.contains_key(Path::new(&planted.path))) {
            (Fate::BackedUp, false) => comparison.wrong.push(format!("{}: lost", planted.path)),
            (Fate::LeftOut, true) => comparison.wrong.push(format!("{}: should be left out", planted.path)),
            _ => {}
        }
    }
    if !copies.contains_key(Path::new(DUMP)) {
        comparison.wrong.push(format!("{DUMP}: the dump is not in the snapshot"));
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::services::{Content, Planted};
    use super::*;

    fn write(home: &Path, path: &str, text: &str) {
        let path = home.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn every_kind_of_difference_is_reported() {
        let (home, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (home, restored) = (home.path(), restored.path());
        for path in ["same", "other", "lost", "cache"] {
            write(home, &format!("data/s/{path}"), "text");
            write(restored, &format!("data/s/{path}"), "text");
        }
        fs::remove_file(restored.join("data/s/lost")).unwrap();
        write(restored, "data/s/other", "tex7");
        write(restored, "data/s/extra", "text");
        for folder in [home, restored] {
            write(folder, "containers/backrest/.env", "");
        }
        write(home, "containers/backrest/logs/listener.log", "still growing");
        let planted =
            |path: &str, fate| Planted { path: format!("data/s/{path}"), content: Content::Text(""), fate };
        let files = vec![
            planted("same", Fate::BackedUp),
            planted("lost", Fate::BackedUp),
            planted("cache", Fate::LeftOut),
        ];
        let services = [Service { name: "s", files }];
        let comparison = compare(home, restored, &services).unwrap();
        assert_eq!(
            comparison.wrong,
            [
                "data/s/other: not restored as it was",
                "data/s/extra: restored from nowhere",
                "data/s/lost: lost",
                "data/s/cache: should be left out",
                "data/vaultwarden/dump.sqlite3: the dump is not in the snapshot",
            ]
        );
        let row = &comparison.rows["s"];
        assert_eq!((row.backed_up.files, row.left_out), (3, Amount { files: 1, bytes: 4 }));
    }
}
