//! Files whose names are those of dumps, for dumps that no script declares.
//!
//! Only a service's folder and the folders in it are looked at, by name, and no more than [`MOST`] entries of each.

use std::fs;
use std::path::{Path, PathBuf};

/// Entries of a folder that are looked at.
const MOST: usize = 2000;
/// What the name of a dump ends with, before that of its compression.
const DUMPS: [&str; 9] =
    [".sql", ".dump", ".pgdump", ".sqlite", ".sqlite3", ".rdb", ".archive", ".ldif", ".bak"];
const COMPRESSIONS: [&str; 7] = [".gz", ".zst", ".xz", ".bz2", ".lz4", ".age", ".gpg"];

/// Files below `folder` whose names are those of dumps, as paths below it.
pub fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for below in std::iter::once(PathBuf::new()).chain(entries(folder, Path::new(""), true)) {
        found.extend(entries(folder, &below, false).into_iter().filter(|path| is_dump_by_name(path)));
    }
    found
}

/// The folders, or the files, of `folder/below` that are not hidden.
fn entries(folder: &Path, below: &Path, folders: bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(below)).into_iter().flatten().flatten().take(MOST);
    let wanted = entries.filter(|entry| {
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_wanted =
            entry.file_type().is_ok_and(|kind| if folders { kind.is_dir() } else { kind.is_file() });
        is_wanted && !is_hidden
    });
    wanted.map(|entry| below.join(entry.file_name())).collect()
}

fn is_dump_by_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let inner = COMPRESSIONS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    DUMPS.iter().any(|ending| inner.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_known_by_their_names_near_the_script() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["db.sql", "backup/DB.SQL.GZ", "a/b/deep.sql", ".hidden.sql", "app.log.gz", "notes.txt"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let mut found = in_folder(folder.path());
        found.sort();
        assert_eq!(found, [Path::new("backup/DB.SQL.GZ"), Path::new("db.sql")]);
    }
}
