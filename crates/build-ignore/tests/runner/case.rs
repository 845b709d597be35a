//! A service as a test makes it: files, folders, symlinks and rules, which can be written to disk, made smaller, and
//! printed such that it becomes a fixture.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Names from the service's folder.
pub(crate) type Names = Vec<Vec<u8>>;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File,
    Folder,
    Symlink(Vec<u8>),
    Rules(Vec<Vec<u8>>),
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) nodes: BTreeMap<Names, Node>,
}

impl Case {
    /// Adds a node and the folders above it; what is in the way stays.
    pub(crate) fn add(&mut self, names: &[Vec<u8>], node: Node) -> bool {
        for depth in 1..names.len() {
            if *self.nodes.entry(names[..depth].to_vec()).or_insert(Node::Folder) != Node::Folder {
                return false;
            }
        }
        if self.nodes.contains_key(names) {
            return false;
        }
        self.nodes.insert(names.to_vec(), node);
        true
    }

    #[track_caller]
    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (names, node) in &self.nodes {
            let path = path_of(folder, names);
            match node {
                Node::Folder => fs::create_dir_all(&path).unwrap(),
                Node::File => {
                    fs::write(&path, "x").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
                Node::Symlink(target) => {
                    std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).unwrap();
                }
                Node::Rules(lines) => fs::write(&path, lines.concat()).unwrap(),
            }
        }
    }

    /// Every way to make it a little smaller: without a path and what is below, or without a line.
    pub(crate) fn smaller(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for names in self.nodes.keys() {
            let mut case = self.clone();
            case.nodes.retain(|other, _| !other.starts_with(names));
            cases.push(case);
        }
        for (names, node) in &self.nodes {
            let Node::Rules(lines) = node else { continue };
            for index in 0..lines.len() {
                let mut lines = lines.clone();
                lines.remove(index);
                let mut case = self.clone();
                case.nodes.insert(names.clone(), Node::Rules(lines));
                cases.push(case);
            }
        }
        cases
    }
}

pub(crate) fn path_of(folder: &Path, names: &[Vec<u8>]) -> PathBuf {
    names.iter().fold(folder.to_path_buf(), |path, name| path.join(OsStr::from_bytes(name)))
}

impl Case {
    /// Reads what its [`fmt::Display`] writes.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Case {
        let mut case = Case::default();
        let mut rules_of = None;
        for line in text.lines() {
            if let (Some(rule), Some(names)) = (line.strip_prefix("    "), &rules_of) {
                let Some(Node::Rules(lines)) = case.nodes.get_mut(names) else {
                    panic!("no rules before {line}")
                };
                lines.push(unescape(rule));
                continue;
            }
            let (path, node) = if let Some(path) = line.strip_suffix(':') {
                (path, Node::Rules(Vec::new()))
            } else if let Some(path) = line.strip_suffix('/') {
                (path, Node::Folder)
            } else if let Some((path, target)) = line.split_once(" -> ") {
                (path, Node::Symlink(unescape(target)))
            } else {
                (line, Node::File)
            };
            let names: Names = path.split('/').map(unescape).collect();
            rules_of = matches!(node, Node::Rules(_)).then(|| names.clone());
            assert!(case.add(&names, node), "{path} stands twice, or below a file");
        }
        case
    }
}

/// The bytes that `escape_ascii` has written.
#[track_caller]
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, if byte == b'\\' { rest.next() } else { None }) {
            (_, Some(b't')) => b'\t',
            (_, Some(b'r')) => b'\r',
            (_, Some(b'n')) => b'\n',
            (_, Some(b'x')) => {
                let digits = String::from_utf8(rest.by_ref().take(2).collect()).unwrap();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            (_, Some(escaped)) => escaped,
            (byte, None) => byte,
        });
    }
    bytes
}

/// As the lines of a fixture: a path a line, rules indented below theirs, bytes escaped as in a Rust byte string.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (names, node) in &self.nodes {
            let path: Vec<String> = names.iter().map(|name| name.escape_ascii().to_string()).collect();
            let path = path.join("/");
            match node {
                Node::File => writeln!(f, "{path}")?,
                Node::Folder => writeln!(f, "{path}/")?,
                Node::Symlink(target) => writeln!(f, "{path} -> {}", target.escape_ascii())?,
                Node::Rules(lines) => {
                    writeln!(f, "{path}:")?;
                    for line in lines {
                        writeln!(f, "    {}", line.escape_ascii())?;
                    }
                }
            }
        }
        Ok(())
    }
}
