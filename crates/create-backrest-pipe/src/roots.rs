//! How the container sees the two roots: each tree of [`common::roots`] is a mount.

use std::path::{Path, PathBuf};

pub(crate) use common::roots::real;
use common::roots::trees;
use common::settings::Settings;

/// The folders to mount, each with its place in the container.
pub(crate) fn mounts(settings: &Settings) -> Vec<(PathBuf, PathBuf)> {
    trees(settings).into_iter().map(|tree| (tree.path, settings.mount.join(tree.name))).collect()
}

/// Where the container sees `path`, if it lies in one of the roots.
pub(crate) fn seen_at(settings: &Settings, path: &Path) -> Option<PathBuf> {
    mounts(settings).into_iter().find_map(|(root, place)| {
        let inside = path.strip_prefix(&root).map(Path::to_path_buf);
        let inside = inside.or_else(|_| real(path).strip_prefix(real(&root)).map(Path::to_path_buf));
        inside.ok().map(|rest| place.join(rest))
    })
}
