//! The roots as they are built: where each lies, how restic sees it, and what became of it.
//!
//! A root that can't be read does not keep the other one from being built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::settings::Settings;

use crate::build::{Built, SeenAt, build};
use crate::tree::Wanted;

/// A root that was built.
#[derive(Debug)]
pub(crate) struct Root {
    /// Its name below the mount.
    pub(crate) name: &'static str,
    /// Its folder on the host.
    pub(crate) path: PathBuf,
    /// What became of it.
    pub(crate) built: Built,
}

/// The name and the folder of each root.
pub(crate) fn places(settings: &Settings) -> [(&'static str, &Path); 2] {
    [("data", &settings.data_root), ("containers", &settings.container_root)]
}

/// How restic sees the root `name`.
pub(crate) fn seen_at(settings: &Settings, name: &str) -> SeenAt {
    let mount = settings.mount.iter().filter(|part| *part != "/");
    let names = mount.map(|part| part.as_encoded_bytes().to_vec());
    SeenAt { names: names.chain([name.as_bytes().to_vec()]).collect() }
}

/// Builds both roots side by side. Returns those that could be read, and the errors of the others; fails if neither
/// could be.
pub(crate) fn build_roots(
    settings: &Settings,
    wanted: Wanted,
    lean: bool,
) -> Result<(Vec<Root>, Vec<anyhow::Error>)> {
    let one = |(name, path): (&'static str, &Path)| -> Result<Root> {
        let built = build(path, &seen_at(settings, name), wanted, lean)?;
        Ok(Root { name, path: path.to_path_buf(), built })
    };
    let [data, containers] = places(settings);
    let (data, containers) = rayon::join(|| one(data), || one(containers));
    let mut roots = Vec::new();
    let mut errors = Vec::new();
    for result in [data, containers] {
        match result {
            Ok(root) => roots.push(root),
            Err(error) => errors.push(error),
        }
    }
    if roots.is_empty() {
        let second = errors.pop();
        let first = errors.pop().or(second).context("no root")?;
        return Err(first.context("neither root can be read"));
    }
    Ok((roots, errors))
}
