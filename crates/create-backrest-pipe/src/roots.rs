//! How the container sees the two roots. Roots that are the same folder, or one in the other, are one tree and one
//! mount: the outer one.

use std::path::{Path, PathBuf};

use common::settings::Settings;

/// The folders to mount, each with its place in the container.
pub(crate) fn mounts(settings: &Settings) -> Vec<(PathBuf, PathBuf)> {
    let (data, containers) = (&settings.data_root, &settings.container_root);
    let mount = |root: &Path, name: &str| (root.to_path_buf(), settings.mount.join(name));
    if real(containers).starts_with(real(data)) {
        vec![mount(data, "data")]
    } else if real(data).starts_with(real(containers)) {
        vec![mount(containers, "containers")]
    } else {
        vec![mount(data, "data"), mount(containers, "containers")]
    }
}

/// Where the container sees `path`, if it lies in one of the roots.
pub(crate) fn seen_at(settings: &Settings, path: &Path) -> Option<PathBuf> {
    mounts(settings).into_iter().find_map(|(root, place)| {
        let inside = path.strip_prefix(&root).map(Path::to_path_buf);
        let inside = inside.or_else(|_| real(path).strip_prefix(real(&root)).map(Path::to_path_buf));
        inside.ok().map(|rest| place.join(rest))
    })
}

/// Without symlinks, as far as the path exists.
pub(crate) fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(above), Some(name)) => real(above).join(name),
        (Err(_), ..) => path.to_path_buf(),
    }
}
