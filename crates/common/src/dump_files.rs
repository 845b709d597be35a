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
    let (mut files, folders) = entries(folder, Path::new(""));
    files.extend(folders.iter().flat_map(|below| entries(folder, below).0));
    files.retain(|path| is_dump_by_name(path));
    files
}

/// The files and the folders of `folder/below` that are not hidden.
fn entries(folder: &Path, below: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder.join(below)).into_iter().flatten().flatten().take(MOST) {
        let name = entry.file_name();
        match entry.file_type() {
            _ if name.as_encoded_bytes().starts_with(b".") => {}
            Ok(kind) if kind.is_dir() => folders.push(below.join(name)),
            Ok(kind) if kind.is_file() => files.push(below.join(name)),
            _ => {}
        }
    }
    (files, folders)
}

/// Whether the script may declare a dump, with a comment such as `# dump: db.sql`: false if it certainly does not.
pub fn may_declare(script: &[u8]) -> bool {
    script.split(|&byte| byte == b'\n').any(|line| {
        let comment = line.trim_ascii().strip_prefix(b"#").map(<[u8]>::trim_ascii_start);
        comment.and_then(|comment| comment.get(..4)).is_some_and(|word| word.eq_ignore_ascii_case(b"dump"))
    })
}

/// Whether the name is that of a dump.
pub fn is_dump_by_name(path: &Path) -> bool {
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

    #[test]
    fn a_script_declares_a_dump_in_a_comment_alone() {
        for script in ["#!/bin/sh\n# dump: a.sql", "\t#Dump : a\n", "#dump:a"] {
            assert!(may_declare(script.as_bytes()), "{script}");
        }
        for script in ["#!/bin/sh\npg_dump x > a.sql\n", "echo '# dump: a'", "# weight: heavy\n#", ""] {
            assert!(!may_declare(script.as_bytes()), "{script}");
        }
    }
}
