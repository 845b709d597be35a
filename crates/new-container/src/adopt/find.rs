//! Finds a service's databases. In come its compose project and its folders; out goes a list of [`Found`]: the servers that
//! its images are, and the SQLite files in its folders that are in use.

use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::compose::{Project, Source};
use common::databases::{self, Kind};
use common::regular_file;
use common::text::{escape, escape_path};
use walkdir::WalkDir;

use crate::plan::Places;
use crate::templates::Root;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) engine: Engine,
    /// The live files in the service's folders, each with the root and the path below the service's folder there.
    pub(super) live: Vec<(Root, PathBuf)>,
    /// The named volumes that hold live files.
    pub(super) volumes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// A server in a container of its own.
    Server {
        kind: Kind,
        name: &'static str,
        compose_service: String,
    },
    Sqlite,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.engine {
            Engine::Server { name, compose_service, .. } => {
                write!(f, "{name} in the container {}", escape(compose_service.as_bytes()))?;
            }
            Engine::Sqlite => f.write_str("SQLite")?,
        }
        for (_, path) in &self.live {
            let separator = if let Engine::Sqlite = self.engine { " in" } else { ", its files in" };
            let place = if path == Path::new("") { "the whole folder".into() } else { escape_path(path) };
            write!(f, "{separator} {place}")?;
        }
        for volume in &self.volumes {
            write!(f, ", its files in the named volume {}", escape(volume.as_bytes()))?;
        }
        Ok(())
    }
}

/// The databases of `project`, whose service has its folders in `places`.
pub(super) fn databases(project: &Project, places: &Places) -> Vec<Found> {
    let mut found = Vec::new();
    for (compose_service, service) in &project.services {
        let Some(database) = databases::of_service(service) else { continue };
        let (mut live, mut volumes) = (Vec::new(), Vec::new());
        for mount in database.mounts_of(service) {
            match &mount.source {
                Source::Host(path) => live.extend(below(path, places)),
                Source::Volume(name) => volumes.push(name.clone()),
                Source::Anonymous => {}
            }
        }
        let (kind, name) = (database.kind, database.name);
        let engine = Engine::Server { kind, name, compose_service: compose_service.clone() };
        found.push(Found { engine, live, volumes });
    }
    found.extend(sqlite_files(places).into_iter().map(|live| Found {
        engine: Engine::Sqlite,
        live: vec![live],
        volumes: vec![],
    }));
    found
}

/// `path` as a path below one of the service's folders, also through a root that is a symlink.
fn below(path: &Path, places: &Places) -> Option<(Root, PathBuf)> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    for root in [Root::Data, Root::Container] {
        let place = places.of(root);
        if let Ok(rest) = path.strip_prefix(place).or(real(path).strip_prefix(real(place))) {
            return Some((root, rest.to_path_buf()));
        }
    }
    None
}

const MOST_ENTRIES: usize = 50_000;
const MOST_FILES: usize = 20;
const DEEPEST: usize = 6;
/// A file that was not written for longer is taken for an old copy.
const RECENT: Duration = Duration::from_secs(30 * 24 * 3600);

/// SQLite databases that are in use: with a journal beside them, or written to lately.
fn sqlite_files(places: &Places) -> Vec<(Root, PathBuf)> {
    let mut found = Vec::new();
    for root in [Root::Data, Root::Container] {
        if root == Root::Container && places.are_one() {
            continue;
        }
        let place = places.of(root);
        let walk = WalkDir::new(place).max_depth(DEEPEST).same_file_system(true).sort_by_file_name();
        for entry in walk.into_iter().take(MOST_ENTRIES).filter_map(Result::ok) {
            let path = entry.path();
            if entry.file_type().is_file() && has_name_of_sqlite(path) && is_sqlite(path) && is_in_use(path) {
                if let Ok(rest) = path.strip_prefix(place) {
                    found.push((root, rest.to_path_buf()));
                }
            }
        }
    }
    found.truncate(MOST_FILES);
    found
}

fn has_name_of_sqlite(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| matches!(extension, "db" | "db3" | "sqlite" | "sqlite3"))
}

fn is_sqlite(path: &Path) -> bool {
    let mut start = [0; 16];
    let read = regular_file::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && &start == b"SQLite format 3\0"
}

fn is_in_use(path: &Path) -> bool {
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(end);
        fs::symlink_metadata(name).is_ok()
    };
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    let is_recent =
        written.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age < RECENT));
    is_recent || ["-wal", "-shm", "-journal"].into_iter().any(beside)
}

/// The names in both folders, so that no dump replaces a file of the user's.
pub(super) fn names(places: &Places) -> Vec<String> {
    let entries =
        [&places.data, &places.container].into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    entries.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Where scripts go: the data folder, unless another user could change a script there. A container's user often owns a
/// database's data folder, and such a script would be refused.
pub(super) fn script_folder(places: &Places) -> Root {
    let is_ours = fs::metadata(&places.data).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == nix::unistd::geteuid().as_raw() && metadata.mode() & 0o022 == 0
    });
    if is_ours { Root::Data } else { Root::Container }
}
