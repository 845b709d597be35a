//! A service's compose files: images, ports, mounts, profiles.
//!
//! For questions that have to be answered without a running engine: which ports are taken, which folders of the host a
//! container sees, which database an image is. [`read`] is quick and needs no Docker: `compose.yaml` with its override, or
//! the files that `COMPOSE_FILE` in `.env` lists; `include` and `extends` are followed. Variables come from `.env` alone,
//! because the environment of the shell that started the project is not known. What can't be read is a problem, never
//! an error: the rest counts. [`resolve`] asks Docker Compose first, which takes a tenth of a second a project.

mod docker;
mod service;
mod yaml;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::problem::Problem;
use crate::{env_file, paths, regular_file};
use yaml::Node;

pub use service::{ComposeService, Mount, Port, Protocol, Source};

/// The names of a compose file, in the order in which Compose looks for them; each may have an override beside it.
const NAMES: [(&str, &[&str]); 4] = [
    ("compose.yaml", &["compose.override.yaml", "compose.override.yml"]),
    ("compose.yml", &["compose.override.yaml", "compose.override.yml"]),
    ("docker-compose.yml", &["docker-compose.override.yml", "docker-compose.override.yaml"]),
    ("docker-compose.yaml", &["docker-compose.override.yml", "docker-compose.override.yaml"]),
];

/// A compose file or `.env` is text that a person wrote.
const LARGEST: u64 = 1 << 20;
/// At most this many files make a project.
const MOST_FILES: usize = 50;

/// All compose files of one folder, put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// The files, in the order in which they were read. Empty if the folder has none.
    pub files: Vec<PathBuf>,
    /// The services, by name.
    pub services: BTreeMap<String, ComposeService>,
    /// What could not be read or followed.
    pub problems: Vec<Problem>,
}

/// Reads the project of `folder`. One without a compose file has no files.
pub fn read(folder: &Path) -> Project {
    let mut reader =
        ProjectReader { folder, env: BTreeMap::new(), project: Project::default(), documents: Vec::new() };
    reader.read_env(&folder.join(".env"));
    for file in reader.start_files() {
        reader.read_file(&file, folder, FileRole::Part);
    }
    reader.finish()
}

/// The project of `folder` as Docker Compose resolves it, if that answers; otherwise as [`read`] does.
pub fn resolve(folder: &Path) -> Project {
    let project = read(folder);
    if project.files.is_empty() {
        return project;
    }
    let Some(mut services) = docker::services(folder) else { return project };
    // An older Compose does not list what is under a profile.
    for (name, service) in project.services {
        services.entry(name).or_insert(service);
    }
    Project { services, problems: Vec::new(), files: project.files }
}

struct ProjectReader<'a> {
    folder: &'a Path,
    env: BTreeMap<String, String>,
    project: Project,
    documents: Vec<Document>,
}

/// One file that was read.
struct Document {
    path: PathBuf,
    /// The folder that its relative paths start from.
    base: PathBuf,
    node: Rc<Node>,
    role: FileRole,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FileRole {
    /// Its services are the project's.
    Part,
    /// A service of the project extends one in it.
    Base,
}

impl ProjectReader<'_> {
    fn read_env(&mut self, path: &Path) {
        match regular_file::read(path, LARGEST) {
            Ok(text) => {
                let (values, problems) = env_file::parse(&String::from_utf8_lossy(&text), path, &|_| None);
                self.env.extend(values.into_iter().map(|(name, value)| (name, value.text)));
                self.project.problems.extend(problems);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.project.problems.push(Problem::new(path, format!("not read: {error}"))),
        }
    }

    fn start_files(&self) -> Vec<PathBuf> {
        if let Some(list) = self.variable("COMPOSE_FILE").filter(|list| !list.is_empty()) {
            let separator = self.variable("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
            return list.split(separator).map(|name| path_from(name, self.folder)).collect();
        }
        let there = |name: &&str| std::fs::symlink_metadata(self.folder.join(name)).is_ok();
        let Some((name, overrides)) = NAMES.iter().find(|(name, _)| there(name)) else { return vec![] };
        let second = overrides.iter().copied().find(|name| there(name));
        std::iter::once(*name).chain(second).map(|name| self.folder.join(name)).collect()
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    fn expand(&self, text: &str) -> Option<String> {
        env_file::expand(text, &|name| self.env.get(name).cloned())
    }

    fn read_file(&mut self, path: &Path, base: &Path, role: FileRole) {
        if self.documents.iter().any(|known| known.path == path && known.role == role) {
            return;
        }
        if self.project.files.len() >= MOST_FILES {
            self.project.problems.push(Problem::new(path, "not read: too many files in one project"));
            return;
        }
        self.project.files.push(path.to_path_buf());
        let node = match regular_file::read(path, LARGEST) {
            Ok(text) => yaml::parse(&String::from_utf8_lossy(&text)),
            Err(error) => Err(error.to_string()),
        };
        match node {
            Ok(node) => {
                let document =
                    Document { path: path.into(), base: base.into(), node: Rc::clone(&node), role };
                self.documents.push(document);
                self.follow(&node, base);
            }
            Err(why) => self.project.problems.push(Problem::new(path, format!("not read: {why}"))),
        }
    }

    /// `include:` is a list of paths, or of mappings with a `path` that is one path or several. `extends` may name a
    /// file. Their relative paths start from their own folder.
    fn follow(&mut self, node: &Node, base: &Path) {
        let included = node.get("include").into_iter().flat_map(Node::items);
        let included = included.map(|item| item.get("path").unwrap_or(item));
        let included =
            included.flat_map(|item| item.text().into_iter().chain(item.items().filter_map(Node::text)));
        let services = node.get("services").into_iter().flat_map(Node::entries);
        let extended = services.filter_map(|(_, service)| service.get("extends")?.get("file")?.text());
        let files: Vec<(PathBuf, FileRole)> = included
            .map(|text| (text, FileRole::Part))
            .chain(extended.map(|text| (text, FileRole::Base)))
            .filter_map(|(text, role)| Some((path_from(&self.expand(text)?, base), role)))
            .collect();
        for (path, role) in files {
            let base = path.parent().unwrap_or(base).to_path_buf();
            self.read_file(&path, &base, role);
        }
    }

    fn finish(self) -> Project {
        let nodes = self.documents.iter().map(|document| &*document.node);
        let volumes = volumes(nodes, &|text| self.expand(text));
        let mut services: BTreeMap<String, ComposeService> = BTreeMap::new();
        let mut problems = Vec::new();
        for document in self.documents.iter().filter(|document| document.role == FileRole::Part) {
            for (name, service) in document.node.get("services").into_iter().flat_map(Node::entries) {
                let found = services.entry(name.to_string()).or_default();
                for (part, base) in self.with_bases(service, document, &mut problems) {
                    found.add(part, &|text| self.expand(text), base, &volumes);
                }
            }
        }
        let mut project = self.project;
        project.services = services;
        project.problems.extend(problems);
        project
    }

    /// `service` after the services that it extends, the deepest first, each with the folder of its relative paths.
    fn with_bases<'n>(
        &'n self,
        service: &'n Node,
        mut document: &'n Document,
        problems: &mut Vec<Problem>,
    ) -> Vec<(&'n Node, &'n Path)> {
        let mut parts = vec![(service, document.base.as_path())];
        while let Some(extends) = parts.last().and_then(|(part, _)| part.get("extends")) {
            let name = extends.text().or_else(|| extends.get("service").and_then(Node::text));
            let file = extends.get("file").and_then(Node::text).and_then(|text| self.expand(text));
            let path = file.map_or_else(|| document.path.clone(), |file| path_from(&file, &document.base));
            let found = name.filter(|_| parts.len() < MOST_FILES).and_then(|name| {
                let other = self.documents.iter().find(|other| other.path == path)?;
                Some((other.node.get("services")?.get(name)?, other))
            });
            let Some((base, other)) = found else {
                problems.push(Problem::new(&document.path, "a service extends one that can't be found"));
                break;
            };
            parts.push((base, other.base.as_path()));
            document = other;
        }
        parts.reverse();
        parts
    }
}

/// The named volumes of `documents` that are a folder of the host (`driver_opts` with `device`).
fn volumes<'n>(
    documents: impl IntoIterator<Item = &'n Node>,
    expand: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<String, PathBuf> {
    let all = documents.into_iter().filter_map(|node| node.get("volumes")).flat_map(Node::entries);
    let bound = all.filter_map(|(name, volume)| {
        let device = expand(volume.get("driver_opts")?.get("device")?.text()?)?;
        Path::new(&device).is_absolute().then(|| (name.to_string(), PathBuf::from(device)))
    });
    bound.collect()
}

fn path_from(text: &str, base: &Path) -> PathBuf {
    paths::absolute(Path::new(text), base).unwrap_or_else(|_| base.join(text))
}

#[cfg(test)]
mod tests;
