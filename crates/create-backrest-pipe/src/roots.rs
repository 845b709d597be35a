//! How the container sees the two roots: each tree of [`common::roots`] is a mount.

use std::path::{Path, PathBuf};

use common::compose::{Project, Source};
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

/// Whether one of `mounts`, each a folder of the host with its place in a container, shows `folder` at `place`.
pub(crate) fn shows<'m>(
    mut mounts: impl Iterator<Item = (&'m Path, &'m Path)>,
    folder: &Path,
    place: &Path,
) -> bool {
    let folder = real(folder);
    mounts.any(|(source, target)| {
        folder.strip_prefix(real(source)).is_ok_and(|rest| target.join(rest) == place)
    })
}

/// The mounts of the compose project in a folder that show a folder of the host.
pub(crate) fn mounted(project: &Project) -> impl Iterator<Item = (&Path, &Path)> {
    project.services.values().flat_map(|service| &service.mounts).filter_map(|mount| match &mount.source {
        Source::Host(source) => Some((source.as_path(), mount.target.as_path())),
        _ => None,
    })
}
