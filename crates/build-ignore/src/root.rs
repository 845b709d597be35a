//! The roots as they are built: where each lies, how restic sees it, and what became of it.
//!
//! A root that can't be read does not keep the other one from being built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::settings::Settings;
use rayon::prelude::*;

use crate::build::{Built, Options, SeenAt, build};
use crate::progress;
use crate::tree::Wanted;

/// A root that was built.
#[derive(Debug)]
pub(crate) struct Root {
    /// Its name below the mount.
    pub(crate) name: &'static str,
    /// Its folder on the host.
    pub(crate) path: PathBuf,
    /// The same without symlinks.
    pub(crate) real_path: PathBuf,
    /// Whether nothing is in it.
    pub(crate) is_empty: bool,
    /// How restic sees it.
    pub(crate) seen_at: SeenAt,
    /// What became of it.
    pub(crate) built: Built,
}

/// The name and the folder of each root. Roots that are the same folder, or of which one is inside the other, are one
/// tree, and the outer one is it.
pub(crate) fn places(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let (data, containers) = (&settings.data_root, &settings.container_root);
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let (real_data, real_containers) = (real(data), real(containers));
    let data = ("data", data.clone());
    let containers = ("containers", containers.clone());
    if real_containers.starts_with(&real_data) {
        vec![data]
    } else if real_data.starts_with(&real_containers) {
        vec![containers]
    } else {
        vec![data, containers]
    }
}

/// How restic sees the root `name`.
pub(crate) fn seen_at(settings: &Settings, name: &str) -> SeenAt {
    let mount = settings.mount.iter().filter(|part| *part != "/");
    let names = mount.map(|part| part.as_encoded_bytes().to_vec());
    SeenAt { names: names.chain([name.as_bytes().to_vec()]).collect() }
}

/// Builds the roots side by side. Returns those that could be read, and the errors of the others; fails if none could be.
pub(crate) fn build_roots(
    settings: &Settings,
    wanted: Wanted,
    options: &Options,
) -> Result<(Vec<Root>, Vec<anyhow::Error>)> {
    let one = |(name, path): (&'static str, PathBuf)| -> Result<Root> {
        let seen_at = seen_at(settings, name);
        let built = build(&path, &seen_at, wanted, options)?;
        let real_path = path.canonicalize().unwrap_or_else(|_| path.clone());
        let is_empty = built.tree.is_empty;
        Ok(Root { name, path, real_path, is_empty, seen_at, built })
    };
    let built: Vec<Result<Root>> = progress::during(|| places(settings).into_par_iter().map(one).collect());
    let mut roots = Vec::new();
    let mut errors = Vec::new();
    for result in built {
        match result {
            Ok(root) => roots.push(root),
            Err(error) => errors.push(error),
        }
    }
    if roots.is_empty() {
        let first = errors.into_iter().next().context("no root")?;
        return Err(first.context("no root can be read"));
    }
    Ok((roots, errors))
}
