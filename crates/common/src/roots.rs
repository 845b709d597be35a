//! The roots as trees: which folders are walked and mounted, and which service a folder in them belongs to.
//!
//! Roots that are the same folder, or one in the other, are one tree: the outer one. Each folder of the inner root is a
//! service of its own there, as if that root were a tree. The inner root itself, and what leads to it, is part of the
//! outer root's service.

use std::path::{Path, PathBuf};

use crate::settings::Settings;
use crate::text::escaped;

/// A root that lies in no other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootTree {
    /// Its name below the mount.
    pub name: &'static str,
    /// Its folder on the host.
    pub path: PathBuf,
    /// The names that lead from it to the root in it; none if no root is in it.
    pub inner: Vec<Vec<u8>>,
}

impl RootTree {
    /// The name of the service that a folder of the tree belongs to, such as `data/immich`; the root's for the root itself.
    pub fn service<N: AsRef<[u8]>>(&self, folder: &[N]) -> String {
        let other = if self.name == DATA { CONTAINERS } else { DATA };
        match service_depth(&self.inner, folder) {
            0 => self.name.to_string(),
            depth => {
                let root = if depth == 1 { self.name } else { other };
                [root, "/", &escaped(folder[depth - 1].as_ref())].concat()
            }
        }
    }
}

/// The data root's name: in reports, in the state, and in a home that has no other.
pub const DATA: &str = "data";
/// The container root's name, likewise.
pub const CONTAINERS: &str = "containers";

/// How many of the names that lead to `folder` lead to its service. `inner` leads to the root in the tree, if there is one.
pub fn service_depth<N: AsRef<[u8]>>(inner: &[Vec<u8>], folder: &[N]) -> usize {
    let is_in_inner = !inner.is_empty()
        && folder.len() > inner.len()
        && inner.iter().zip(folder).all(|(one, other)| one == other.as_ref());
    if is_in_inner { inner.len() + 1 } else { folder.len().min(1) }
}

/// The trees of the two roots, that of the data root first.
pub fn trees(settings: &Settings) -> Vec<RootTree> {
    let (data, containers) = (&settings.data_root, &settings.container_root);
    let tree = |name, path: &Path| RootTree { name, path: path.to_path_buf(), inner: Vec::new() };
    let (real_data, real_containers) = (real(data), real(containers));
    let inner = |below: &Path| below.iter().map(|name| name.as_encoded_bytes().to_vec()).collect();
    if let Ok(below) = real_containers.strip_prefix(&real_data) {
        vec![RootTree { inner: inner(below), ..tree(DATA, data) }]
    } else if let Ok(below) = real_data.strip_prefix(&real_containers) {
        vec![RootTree { inner: inner(below), ..tree(CONTAINERS, containers) }]
    } else {
        vec![tree(DATA, data), tree(CONTAINERS, containers)]
    }
}

/// The path without symlinks, as far as it exists.
pub fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(above), Some(name)) => real(above).join(name),
        (Err(_), ..) => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<Vec<u8>> {
        path.split('/').filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn folders_of_an_inner_root_are_services() {
        let tree = |inner| RootTree { name: "containers", path: "/srv/docker".into(), inner: names(inner) };
        for (inner, folder, service) in [
            ("", "", "containers"),
            ("", "wiki/data", "containers/wiki"),
            ("data", "data", "containers/data"),
            ("data", "data/wiki/cache", "data/wiki"),
            ("data", "wiki/data/x", "containers/wiki"),
            ("x/y/data", "x/y", "containers/x"),
            ("x/y/data", "x/y/data", "containers/x"),
            ("x/y/data", "x/y/data2/wiki", "containers/x"),
            ("x/y/data", "x/y/data/wiki", "data/wiki"),
            ("x/y/data", "x/y/data/a\nb/c", "data/a\\nb"),
        ] {
            assert_eq!(tree(inner).service(&names(folder)), service, "{inner}: {folder}");
        }
    }
}
