//! One service of a compose file: in come its YAML nodes, one for each file that defines it, out goes a [`ComposeService`]. No
//! I/O. What is not understood is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::yaml::Node;
use crate::paths;

/// A service, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComposeService {
    /// The image, with its variables filled in.
    pub image: Option<String>,
    /// The ports of the host that are published.
    pub ports: Vec<Port>,
    /// What is mounted into the container.
    pub mounts: Vec<Mount>,
    /// The profiles that it belongs to; without one it always runs.
    pub profiles: Vec<String>,
    /// The names of its variables, without their values.
    pub variables: Vec<String>,
}

/// Ports of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// One address of the host alone; otherwise all of them.
    pub address: Option<IpAddr>,
    /// The numbers.
    pub host: RangeInclusive<u16>,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// What a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One mount of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: Source,
    /// Where the container sees it.
    pub target: PathBuf,
    /// The container can't write to it.
    pub is_read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or folder of the host, as an absolute path.
    Host(PathBuf),
    /// A named volume.
    Volume(String),
    /// A volume without a name, which a new container does not get again.
    Anonymous,
}

impl ComposeService {
    /// Adds what one file defines. A later file replaces the image and the profiles, and adds the rest.
    pub(super) fn add(
        &mut self,
        node: &Node,
        expand: &dyn Fn(&str) -> Option<String>,
        folder: &Path,
        volumes: &BTreeMap<String, PathBuf>,
    ) {
        let text = |node: &Node| node.text().and_then(expand);
        if let Some(image) = node.get("image").and_then(text) {
            self.image = Some(image);
        }
        if let Some(profiles) = node.get("profiles") {
            self.profiles = profiles.items().filter_map(text).collect();
        }
        if let Some(environment) = node.get("environment") {
            let listed = environment.items().filter_map(Node::text);
            let names = environment.entries().map(|(name, _)| name).chain(listed);
            self.variables.extend(names.map(|name| name.split('=').next().unwrap_or(name).to_string()));
        }
        let ports = node.get("ports").into_iter().flat_map(Node::items);
        self.ports.extend(ports.filter_map(|item| match item {
            Node::Scalar(short) => Port::parse(&expand(short)?),
            long => long_port(long, &text),
        }));
        let mounts = node.get("volumes").into_iter().flat_map(Node::items);
        for mount in mounts.filter_map(|item| match item {
            Node::Scalar(short) => short_mount(&expand(short)?, folder),
            long => long_mount(long, &text, folder),
        }) {
            let mount = match &mount.source {
                Source::Volume(name) if volumes.contains_key(name) => {
                    Mount { source: Source::Host(volumes[name].clone()), ..mount }
                }
                _ => mount,
            };
            self.mounts.retain(|known| known.target != mount.target);
            self.mounts.push(mount);
        }
    }
}

impl Port {
    /// Reads `[ADDRESS:]HOST:CONTAINER[/tcp|/udp]`, each a number or a range. `None` if no port of the host is named.
    pub fn parse(text: &str) -> Option<Port> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (before, _container) = ports.rsplit_once(':')?;
        let (address, host) = match before.rsplit_once(':') {
            Some((address, host)) => (address.trim_matches(['[', ']']).parse().ok(), host),
            None => (None, before),
        };
        Some(Port { address, host: range(host)?, protocol: protocol_of(protocol)? })
    }
}

fn long_port(node: &Node, text: &dyn Fn(&Node) -> Option<String>) -> Option<Port> {
    let value = |key: &str| node.get(key).and_then(text);
    let protocol = value("protocol").unwrap_or_else(|| "tcp".into());
    Some(Port {
        address: value("host_ip").and_then(|address| address.parse().ok()),
        host: range(&value("published")?)?,
        protocol: protocol_of(&protocol)?,
    })
}

fn protocol_of(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

/// `SOURCE:TARGET[:MODE]` or `TARGET`. A source that starts like a path is one.
fn short_mount(text: &str, folder: &Path) -> Option<Mount> {
    let mut parts = text.split(':');
    let (first, second) = (parts.next()?, parts.next());
    let Some(target) = second else {
        return Some(Mount { source: Source::Anonymous, target: first.into(), is_read_only: false });
    };
    let source = if first.starts_with(['/', '.', '~']) {
        Source::Host(paths::absolute(Path::new(first), folder).ok()?)
    } else {
        Source::Volume(first.to_string())
    };
    let is_read_only = parts.next().is_some_and(|mode| mode.split(',').any(|option| option == "ro"));
    Some(Mount { source, target: target.into(), is_read_only })
}

fn long_mount(node: &Node, text: &dyn Fn(&Node) -> Option<String>, folder: &Path) -> Option<Mount> {
    let value = |key: &str| node.get(key).and_then(text);
    let source = match (value("type")?.as_str(), value("source").or_else(|| value("src"))) {
        ("bind", Some(source)) => Source::Host(paths::absolute(Path::new(&source), folder).ok()?),
        ("volume", Some(name)) => Source::Volume(name),
        ("volume", None) => Source::Anonymous,
        // tmpfs and the like keep nothing.
        _ => return None,
    };
    let target = value("target").or_else(|| value("destination"))?;
    let is_read_only = value("read_only").is_some_and(|value| value == "true");
    Some(Mount { source, target: target.into(), is_read_only })
}
