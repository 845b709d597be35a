//! Live database files that are in the backup, found by their names in the tree.
//!
//! Only where the walk kept all names: with `--report` and `--coverage`. A folder that the tool may not enter is not
//! seen here; the images in the compose files are.

use common::contract::coverage::{Gap, GapKind};
use common::roots::service_depth;
use common::services::{AFTER, PREPARE};
use common::settings::Settings;

use super::{adopt, gap};
use crate::decide::host_path;
use crate::dumps::Declared;
use crate::root::Root;
use crate::tree::{Folder, Kind};

/// The live files of a root that no prepare step dumps.
pub(super) fn live_files(root: &Root, settings: &Settings, declared: &Declared) -> Vec<Gap> {
    let mut gaps = Vec::new();
    look_into(root, &root.built.tree.top, &mut Vec::new(), (settings, declared), &mut gaps);
    gaps
}

fn look_into(
    root: &Root,
    folder: &Folder,
    names: &mut Vec<Vec<u8>>,
    (settings, declared): (&Settings, &Declared),
    gaps: &mut Vec<Gap>,
) {
    let kept = |name: &[u8]| {
        folder.entries().any(|entry| entry.name == name && entry.kind == Kind::File && !entry.is_ignored)
    };
    // Most folders are passed by with a look at the names alone.
    let is_mark = |name: &[u8]| matches!(name, b"PG_VERSION" | b"ibdata1") || name.ends_with(b"-wal");
    let has_mark = !names.is_empty() && folder.names().any(is_mark);
    for entry in folder.entries().filter(|entry| has_mark && !entry.is_ignored) {
        let what = match entry.name {
            b"PG_VERSION" if kept(b"postmaster.opts") || kept(b"postgresql.conf") => {
                "a live PostgreSQL database"
            }
            b"ibdata1" => "a live MariaDB or MySQL database",
            name if name.ends_with(b"-wal") && kept(&name[..name.len() - 4]) => "a live SQLite database",
            _ => continue,
        };
        let depth = service_depth(&root.place.inner, names);
        let service = String::from_utf8_lossy(&names[depth - 1]).into_owned();
        let folders = [&settings.data_root, &settings.container_root].map(|root| root.join(&service));
        let has = |script: &str| folders.iter().any(|folder| folder.join(script).is_file());
        if has(AFTER) {
            continue;
        }
        let (tail, hint) = match has(PREPARE) {
            true if declared.of_databases(&service) == 0 => (
                "without a declared dump: a copy of its live files may not be restored",
                "declare what the prepare step writes, in a line of it: # dump: FILE".to_string(),
            ),
            true => (
                "is in the backup beside its dump",
                "leave its files out in the service's .resticignore".to_string(),
            ),
            false => ("without a dump: a copy of its live files may not be restored", adopt(&service)),
        };
        let mut path = host_path(&root.place.path, names);
        if let Some(file) = entry.name.strip_suffix(b"-wal") {
            path.push(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(file));
        }
        let service = Some(root.place.service(names));
        gaps.push(gap(GapKind::LiveDatabase, service, &path, format!("{what} {tail}"), Some(hint)));
    }
    for (entry, inner) in folder.entered().filter(|(entry, _)| !entry.is_ignored) {
        names.push(entry.name.to_vec());
        look_into(root, inner, names, (settings, declared), gaps);
        names.pop();
    }
}
