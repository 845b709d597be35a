//! Whether the user, and nobody else but root, chooses what an action file runs.
//!
//! In comes the file's path, out goes why it must not be run. The way to it is gone step by step as the kernel goes it:
//! whoever could write the file, a folder above it, or a folder on the way of a symlink could put something else there.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use common::text::escape_path;

/// A way of more symlinks than this leads nowhere, as for the kernel.
const MOST_LINKS: usize = 40;

/// Fails with the reason why `file`, an absolute path, must not be run.
pub(super) fn check(file: &Path) -> Result<(), String> {
    let (mut at, mut ahead, mut links) = (PathBuf::from("/"), steps(file), 0);
    let mut found = look_at(&at)?;
    while let Some(step) = ahead.pop() {
        if step == ".." {
            at.pop();
        } else {
            at.push(step);
        }
        found = look_at(&at)?;
        if found.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err(format!("{}: too many symlinks", escape_path(file)));
            }
            let target = fs::read_link(&at).map_err(|error| format!("{}: {error}", escape_path(&at)))?;
            at.pop();
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            ahead.extend(steps(&target));
        }
    }
    if !found.is_file() {
        return Err(format!("{} is not a file", escape_path(&at)));
    }
    if found.mode() & 0o111 == 0 {
        return Err(format!("{} is not executable; chmod u+x makes it so", escape_path(&at)));
    }
    Ok(())
}

/// The steps of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().rev().filter_map(|component| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_os_string()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    steps.collect()
}

/// What stands there. Fails where somebody else could put something else into it or into its place.
fn look_at(path: &Path) -> Result<Metadata, String> {
    let metadata = fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", escape_path(path)))?;
    let owner = metadata.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(format!("{} belongs to user {owner}", escape_path(path)));
    }
    // In a sticky folder (/tmp) nobody can replace what belongs to somebody else; a link itself can't be written.
    let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    if metadata.mode() & 0o022 != 0 && !is_sticky && !metadata.is_symlink() {
        let path = escape_path(path);
        return Err(format!("others than its owner can write {path}; chmod go-w takes that away"));
    }
    Ok(metadata)
}
