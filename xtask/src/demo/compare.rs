//! What is in the restored snapshot, judged against what each file's owner wants and against the files themselves.
//!
//! In come both trees and the services' files, out go one row a service and the list of everything that is not as it
//! should be. The listener's own folders go on changing while it runs, so they are not compared.

use std::collections::BTreeMap;
use std::ops::Add;
use std::path::Path;

use anyhow::Result;
use common::text::{count, escape_path};
use common::units;

use super::services::{DUMP, DUMPED, Fate, NAMES, Planted, ROWS};
use crate::table::table;
use crate::trees::{files, same};

/// Files and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl Add for Amount {
    type Output = Amount;

    fn add(self, other: Amount) -> Amount {
        Amount { files: self.files + other.files, bytes: self.bytes + other.bytes }
    }
}

impl Amount {
    fn size(self) -> String {
        if self.files == 0 { String::new() } else { units::bytes(self.bytes) }
    }
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    /// What is backed up and what is left out, by name of the service.
    pub(super) rows: BTreeMap<String, [Amount; 2]>,
    /// Everything that is wrong, a line each.
    pub(super) wrong: Vec<String>,
}

impl Comparison {
    pub(super) fn total(&self) -> [Amount; 2] {
        self.rows.values().fold([Amount::default(); 2], |[backed_up, left_out], [more, less]| {
            [backed_up + *more, left_out + *less]
        })
    }

    /// The table: what of each service is in the snapshot, what is not, and the dump.
    pub(super) fn table(&self) -> String {
        let row = |name: &str, [kept, left]: [Amount; 2], dump: String| {
            [
                name.into(),
                count(kept.files, "file"),
                kept.size(),
                count(left.files, "file"),
                left.size(),
                dump,
            ]
        };
        let services = NAMES.into_iter().chain(["backrest"]).map(|name| {
            let dump = if name == DUMPED { format!("✓ {ROWS} rows") } else { String::new() };
            row(name, self.rows.get(name).copied().unwrap_or_default(), dump)
        });
        let total = row("all", self.total(), String::new());
        table(["service", "backed up", "", "left out", "", "dump"], services.chain([total]))
    }
}

/// Compares the tree at `home` with the one at `restored`.
pub(super) fn compare(home: &Path, restored: &Path, planted: &[Planted]) -> Result<Comparison> {
    let originals = files(home)?;
    let copies = files(restored)?;
    let mut comparison = Comparison::default();
    for (path, bytes) in &originals {
        let service = path.components().nth(1).map(|part| part.as_os_str().to_string_lossy().into_owned());
        let row = comparison.rows.entry(service.unwrap_or_default()).or_default();
        let amount = Amount { files: 1, bytes: *bytes };
        if copies.contains_key(path) {
            row[0] = row[0] + amount;
            if !same(&home.join(path), &restored.join(path))? {
                comparison.wrong.push(format!("{}: not restored as it was", escape_path(path)));
            }
        } else {
            row[1] = row[1] + amount;
        }
    }
    for path in copies.keys().filter(|path| !originals.contains_key(*path)) {
        comparison.wrong.push(format!("{}: restored from nowhere", escape_path(path)));
    }
    for planted in planted {
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

    use super::super::services::Content;
    use super::*;

    #[track_caller]
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
        let files = [("same", Fate::BackedUp), ("lost", Fate::BackedUp), ("cache", Fate::LeftOut)];
        let files = files.map(|(path, fate)| {
            let path = format!("data/s/{path}");
            Planted { path, content: Content::Text(""), fate }
        });
        let comparison = compare(home, restored, &files).unwrap();
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
        let row = comparison.rows["s"];
        assert_eq!((row[0].files, row[1]), (3, Amount { files: 1, bytes: 4 }));
    }
}
