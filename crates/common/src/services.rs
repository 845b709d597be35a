//! The services below a root: its direct sub-folders, by name.
//!
//! A name is any bytes but `/` and NUL: blanks, newlines, a leading dash and bytes that are no UTF-8 all occur.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::exit::HintExt;
use crate::leftover;
use crate::problem::Problem;
use crate::text::escape_path;

/// A service's rules: what is left out of the backup. Any folder may have one.
pub const RULES: &str = ".resticignore";
/// A service's script that runs before a backup.
pub const PREPARE: &str = "prepare-backup.sh";
/// A service's script that runs when a backup is over.
pub const AFTER: &str = "after-backup.sh";

/// One sub-folder of a root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// Its name, as the file system has it.
    pub name: OsString,
    /// Where it lies: the root and the name.
    pub folder: PathBuf,
}

/// The services below `root`, sorted by the bytes of their names, and what could not be looked at.
///
/// Fails if `root` itself is missing, is not a folder or can't be read. Files beside the services are passed over, and
/// so are folders that are not services: a file system's `lost+found`, and what a killed run left behind.
pub fn below(root: &Path) -> Result<(Vec<Service>, Vec<Problem>)> {
    let entries =
        fs::read_dir(root).with_context(|| format!("look for services: {}", escape_path(root))).hint(
            "make the folder, or name the right one with --data-root, --container-root or in Backrest's .env",
        )?;
    let mut services = Vec::new();
    let mut problems = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(Problem::new(root, format!("not all services could be listed: {error}")));
                break;
            }
        };
        let (name, folder) = (entry.file_name(), entry.path());
        if is_not_a_service(&name) {
            continue;
        }
        // A script behind a symlink can be run, although restic stores the link alone.
        let is_folder = entry.file_type().map(|kind| match kind.is_symlink() {
            true => fs::metadata(&folder).map(|target| target.is_dir()),
            false => Ok(kind.is_dir()),
        });
        match is_folder {
            Ok(Ok(true)) => services.push(Service { name, folder }),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                problems.push(Problem::new(folder, format!("symlink that can't be followed: {error}")));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problems.push(Problem::new(folder, format!("can't be looked at: {error}"))),
        }
    }
    services.sort();
    Ok((services, problems))
}

/// `lost+found`, a temporary folder of ours, or `.NAME.new-XXXX`, as older versions of `new-container` named theirs.
fn is_not_a_service(name: &OsStr) -> bool {
    let is_old_part = || {
        let (made, random) = name.to_str()?.strip_prefix('.')?.rsplit_once(".new-")?;
        Some(!made.is_empty() && random.len() >= 4 && random.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    name == "lost+found" || leftover::is_part(name) || is_old_part() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_not_services() {
        let root = tempfile::tempdir().unwrap();
        for name in
            [".wiki.new-aB3x", ".wiki.new-aB3xYz", "lost+found", ".wiki.backrest-part", ".x.2.backrest-part"]
        {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        for name in [".hidden", "wiki.new-aB3x", ".wiki.new-a-b", ".wiki"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let names: Vec<_> = below(root.path()).unwrap().0.into_iter().map(|service| service.name).collect();
        assert_eq!(names, [".hidden", ".wiki", ".wiki.new-a-b", "wiki.new-aB3x"]);
    }

    #[test]
    fn names_of_any_kind_come_sorted_and_files_are_passed_over() {
        let root = tempfile::tempdir().unwrap();
        for name in ["-dash", "with blank", "line\nbreak", "*", "a"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("a", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("broken")).unwrap();
        let (services, problems) = below(root.path()).unwrap();
        let names: Vec<_> = services.iter().map(|s| s.name.to_str().unwrap()).collect();
        let expected = ["*", "-dash", "a", "line\nbreak", "link", "with blank"];
        assert_eq!(names, expected);
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0]
                .to_string()
                .ends_with("broken: symlink that can't be followed: No such file or directory (os error 2)")
        );
    }
}
