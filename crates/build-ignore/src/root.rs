//! The roots as they are built: where each lies, how restic sees it, and what became of it.
//!
//! A root that can't be read does not keep the other one from being built.

use std::path::PathBuf;

use anyhow::{Context, Result};
use common::roots::{RootTree, trees};
use common::settings::Settings;
use rayon::prelude::*;

use crate::build::{Built, Options, build};
use crate::progress;
use crate::translate::line::SeenAt;
use crate::tree::{Detail, Entry, Kind};

/// A root that was built.
#[derive(Debug)]
pub(crate) struct Root {
    /// Its folder, and the root in it.
    pub(crate) place: RootTree,
    /// The same without symlinks.
    pub(crate) real_path: PathBuf,
    /// How restic sees it.
    pub(crate) seen_at: SeenAt,
    /// What became of it.
    pub(crate) built: Built,
}

impl Root {
    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.built.tree.depths.is_empty()
    }

    /// The folders of its services that rules can apply to, with the names that lead there. A root in the root has
    /// services, too.
    pub(crate) fn services(&self) -> impl Iterator<Item = (Vec<Vec<u8>>, Entry<'_>)> {
        let (top, inner) = (&self.built.tree.top, &self.place.inner);
        let inner_root = top.at(inner).filter(|_| !inner.is_empty()).map(|folder| (inner.as_slice(), folder));
        let both = std::iter::once((&[][..], top)).chain(inner_root);
        both.flat_map(|(above, folder)| {
            let folders = folder.entries().filter(|entry| entry.kind == Kind::Folder);
            folders.map(move |entry| ([above, &[entry.name.to_vec()]].concat(), entry))
        })
    }
}

/// How restic sees the root.
pub(crate) fn seen_at(settings: &Settings, tree: &RootTree) -> SeenAt {
    let mount = settings.mount.iter().filter(|part| *part != "/");
    let names = mount.map(|part| part.as_encoded_bytes().to_vec());
    let names = names.chain([tree.name.as_bytes().to_vec()]).collect();
    SeenAt { names, inner: tree.inner.clone() }
}

/// Builds the roots side by side. Returns those that could be read, and the errors of the others; fails if none could be.
pub(crate) fn build_roots(
    settings: &Settings,
    detail: Detail,
    options: &Options,
) -> Result<(Vec<Root>, Vec<anyhow::Error>)> {
    let one = |place: RootTree| -> Result<Root> {
        let seen_at = seen_at(settings, &place);
        let built = build(&place.path, &seen_at, detail, options)?;
        let real_path = place.path.canonicalize().unwrap_or_else(|_| place.path.clone());
        Ok(Root { place, real_path, seen_at, built })
    };
    let built: Vec<Result<Root>> = progress::during(|| trees(settings).into_par_iter().map(one).collect());
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
