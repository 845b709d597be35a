//! Files that look like scripts and have another name: they are never run, so a person should know of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::discover::{AFTER, PREPARE};

/// Entries of a folder that are looked at.
const MOST: usize = 2000;

/// The files in `folder` that are named almost like a script, each with the name that it should have.
pub(crate) fn in_folder(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MOST);
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some((entry.path(), meant(&entry.file_name().to_string_lossy())?)))
        .filter(|(path, _)| path.is_file())
        .collect();
    found.sort();
    found
}

/// The script that a file called `name` is meant to be, unless it has that name.
fn meant(name: &str) -> Option<&'static str> {
    let plain = name.to_ascii_lowercase().replace(['_', ' '], "-");
    let endings = [".txt", ".sh", ".bash"];
    let plain = endings.iter().fold(plain.as_str(), |name, end| name.strip_suffix(end).unwrap_or(name));
    let script = match plain {
        "prepare-backup" | "prepare-backups" | "preparebackup" | "pre-backup" | "prebackup"
        | "before-backup" => PREPARE,
        "after-backup" | "after-backups" | "afterbackup" | "post-backup" | "postbackup" => AFTER,
        _ => return None,
    };
    (name != script).then_some(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_likely_wrong_name_is_known() {
        for name in [
            "prepare_backup.sh",
            "prepare-backup",
            "pre-backup.sh",
            "Prepare-Backup.sh",
            "prepare-backup.sh.txt",
        ] {
            assert_eq!(meant(name), Some(PREPARE), "{name}");
        }
        for name in ["post-backup.sh", "After_Backup"] {
            assert_eq!(meant(name), Some(AFTER), "{name}");
        }
        for name in [PREPARE, AFTER, "backup.sh", "prepare-backup.log", "prepare-backup.sh.bak"] {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
