//! What the compose files of the services mount: folders outside the roots, named volumes, databases.
//!
//! In come the built roots and the declared dumps, out go gaps. A database counts as dumped only by a declaration.

use std::path::Path;

use common::compose::{ComposeService, Source};
use common::contract::coverage::{Gap, GapKind};
use common::databases::{self, Kind};
use common::roots::service_depth;
use common::services::{AFTER, PREPARE};
use common::settings::Settings;
use common::text::escape_path;
use rayon::prelude::*;

use super::{ReadProject, adopt, gap, is_of_system, mount_line};
use crate::dumps::Declared;
use crate::root::Root;

/// The gaps of every service with a compose file.
pub(super) fn gaps(roots: &[Root], settings: &Settings, declared: &Declared, read: ReadProject) -> Vec<Gap> {
    let Some(root) = roots.iter().find(|root| root.holds(&settings.container_root)) else {
        return Vec::new();
    };
    // The container root may lie in the data root.
    let above = root.names_of(&settings.container_root).unwrap_or_default();
    let of_services = |names: &&Vec<Vec<u8>>| names.len() == above.len() + 1 && names.starts_with(&above);
    let names = root.built.tree.compose.par_iter().filter(of_services);
    names.flat_map_iter(|names| of_project(names, root, roots, settings, declared, read)).collect()
}

fn of_project(
    names: &[Vec<u8>],
    root: &Root,
    roots: &[Root],
    settings: &Settings,
    declared: &Declared,
    read: ReadProject,
) -> Vec<Gap> {
    let folder = crate::decide::host_path(&root.place.path, names);
    let project = read(&folder);
    let own = Owner {
        title: root.place.service(names),
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        folder: &folder,
    };
    let mut gaps: Vec<Gap> = project
        .problems
        .iter()
        .take(1)
        .map(|problem| own.gap(GapKind::UnreadableCompose, &problem.path, &problem.what, None))
        .collect();
    // Backrest's own mounts are what it backs up and the repositories that it writes to.
    let is_backrest = same_folder(&folder, &settings.container_dir);
    let is_database = |service: &&ComposeService| databases::of_service(service).is_some();
    let databases = project.services.values().filter(is_database).count();
    let all_dumped = || declared.of_databases(&own.name) >= databases;
    for service in project.services.values() {
        for mount in &service.mounts {
            match &mount.source {
                Source::Host(_) if is_backrest => {}
                Source::Host(path) if !is_of_system(path) && !roots.iter().any(|root| root.holds(path)) => {
                    let what = format!(
                        "mounted into the container at {}, and in no backup",
                        escape_path(&mount.target)
                    );
                    gaps.push(own.gap(GapKind::BindMount, path, what, Some(mount_line(path, settings))));
                }
                Source::Volume(volume) => {
                    let what =
                        format!("a named volume at {}: it is in no backup", escape_path(&mount.target));
                    let hint = format!(
                        "mount a folder instead, and copy the volume's files there: {}/{volume}:{}",
                        escape_path(settings.data_root.join(&own.name)),
                        escape_path(&mount.target)
                    );
                    gaps.push(own.gap(GapKind::NamedVolume, Path::new(volume), what, Some(hint)));
                }
                _ => {}
            }
        }
        gaps.extend(database(service, &own, roots, settings, &all_dumped));
    }
    gaps
}

fn same_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    one == other || real(one) == real(other)
}

/// The folder whose compose file is read.
struct Owner<'a> {
    title: String,
    name: String,
    folder: &'a Path,
}

impl Owner<'_> {
    fn gap(&self, kind: GapKind, path: &Path, what: impl Into<String>, hint: Option<String>) -> Gap {
        gap(kind, Some(self.title.clone()), path, what, hint)
    }
}

/// A database without a dump, or whose live files are in the backup beside its dump.
///
/// A prepare step may do anything: only declared dumps count, one for each database of the project at least.
fn database(
    service: &ComposeService,
    own: &Owner,
    roots: &[Root],
    settings: &Settings,
    all_dumped: &dyn Fn() -> bool,
) -> Option<Gap> {
    let database = databases::of_service(service)?;
    let live = database.mounts_of(service).find_map(|mount| match &mount.source {
        Source::Host(path) => Some(path.as_path()),
        _ => None,
    });
    let data_folder = settings.data_root.join(&own.name);
    let has =
        |script: &str| [data_folder.as_path(), own.folder].iter().any(|folder| folder.join(script).is_file());
    let path = live.unwrap_or(own.folder);
    if database.kind == Kind::Redis && database.mounts_of(service).next().is_none() {
        // It keeps nothing beyond its container.
        return None;
    }
    if !has(PREPARE) {
        let what = format!("{} without a dump: a copy of its live files may not be restored", database.name);
        let hint = adopt(&own.name);
        return Some(own.gap(GapKind::LiveDatabase, path, what, Some(hint)));
    }
    // A service that is stopped for the backup has an after step that starts it again.
    if has(AFTER) {
        return None;
    }
    if !all_dumped() {
        let what = format!(
            "{} without a declared dump: the prepare step may not dump it, and a copy of its live files may not be restored",
            database.name
        );
        let hint = "declare what the prepare step writes, in a line of it: # dump: FILE".to_string();
        return Some(own.gap(GapKind::LiveDatabase, path, what, Some(hint)));
    }
    let live = live?;
    let root = roots.iter().find(|root| root.holds(live) && !root.leaves_out_folder(live))?;
    let names = root.names_of(live)?;
    let (service, below) = names.split_at(service_depth(&root.place.inner, &names));
    let below: Vec<_> = below.iter().map(|name| String::from_utf8_lossy(name)).collect();
    if below.is_empty() {
        return None;
    }
    let what = format!("the live files of {} are in the backup beside its dump", database.name);
    let rules = crate::decide::host_path(&root.place.path, service).join(crate::rules_file::FILE_NAME);
    let hint = format!("echo '/{}/' >> {}", below.join("/"), escape_path(rules));
    Some(own.gap(GapKind::LiveDatabase, live, what, Some(hint)))
}
