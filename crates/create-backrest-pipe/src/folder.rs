//! Folders with their final mode, also in the place of an empty one that Docker made as root; and the removal of both
//! files and folders.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use common::private;
use common::text::escape_path;

use crate::inspect::entry::Entry;
use crate::work::{Verb, Work};

pub(crate) fn make(folder: &Entry, user: u32, mode: u32, work: &mut Work) -> Result<()> {
    let path = &folder.path;
    if folder.is_dockers() && user != 0 {
        let what = format!("{}/, an empty folder of root's", escape_path(path));
        work.step(Verb::REMOVE, what, || remove_empty(path))?;
    } else if !folder.is_missing() {
        return Ok(());
    }
    work.step(Verb::MAKE, format!("{}/", escape_path(path)), || {
        // Another of the tools may have been quicker.
        let made = private::new_folder(path, mode).map(drop);
        made.with_context(|| format!("make a folder: {}", escape_path(path)))
    })
}

pub(crate) fn remove_empty(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("remove an empty folder: {}", escape_path(path))),
    }
}

/// Removes a file, or a folder with all that is in it. std does this without following a symlink that is put in the
/// place of a folder meanwhile.
pub(crate) fn remove_all(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    match removed {
        // The listener removes its socket itself when it stops, and systemctl the link of a unit.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("remove: {}", escape_path(path))),
    }
}
