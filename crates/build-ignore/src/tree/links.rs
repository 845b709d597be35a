//! Symlinks that lead out of a root: restic stores such a link, and nothing of what it leads to.
//!
//! Only the text of the link is looked at. Where it really leads, and whether anything is there, is asked later, by
//! whom it interests: that may wake a disk.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use common::paths;

use crate::decide::host_path;

/// A symlink.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The names that lead to it from the root.
    pub names: Vec<Vec<u8>>,
    /// Where it leads, as an absolute path.
    pub target: PathBuf,
}

/// The symlink `name` in `folder`, to which `names` lead from `root`, if it leads out of the root.
pub(super) fn out_of(
    root: &Path,
    folder: &OwnedFd,
    names: impl FnOnce() -> Vec<Vec<u8>>,
    name: &[u8],
) -> Option<Link> {
    let text = rustix::fs::readlinkat(folder, name, Vec::new()).ok()?;
    let target = Path::new(OsStr::from_bytes(text.as_bytes()));
    // A relative link without `..` stays below its folder.
    if target.is_relative() && !target.iter().any(|part| part == "..") {
        return None;
    }
    let names = names();
    let folder = host_path(root, &names[..names.len() - 1]);
    let target = paths::normal(&folder.join(target));
    (!target.starts_with(root)).then_some(Link { names, target })
}
