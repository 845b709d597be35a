//! Which ports of the host are taken: published by a compose file of another service, or listened on now.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::compose::{self, Port, Protocol};
use common::services;
use common::text::escape_path;

/// The ports that are taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Each with the compose file that publishes it.
    published: Vec<(Port, PathBuf)>,
    listening: BTreeSet<(Protocol, u16)>,
}

impl Taken {
    /// Looks at every compose file below `container_root`, and at the sockets of this host. What can't be read is passed
    /// over: this is only for advice.
    pub(crate) fn find(container_root: &Path) -> Taken {
        let mut taken = Taken::default();
        let services = services::below(container_root).map(|(services, _)| services).unwrap_or_default();
        for service in services {
            let project = compose::read(&service.folder);
            let Some(file) = project.files.first() else { continue };
            for port in project.services.values().flat_map(|service| &service.ports) {
                taken.published.push((port.clone(), file.clone()));
            }
        }
        for (table, protocol) in
            [("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp), ("udp", Protocol::Udp), ("udp6", Protocol::Udp)]
        {
            let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
            taken
                .listening
                .extend(text.lines().filter_map(|line| Some((protocol, listening(line, protocol)?))));
        }
        taken
    }

    /// What uses the port that `text` publishes, as a sentence without its subject; `None` if it is free.
    pub(crate) fn by(&self, text: &str) -> Option<String> {
        let port = Port::parse(text)?;
        if let Some((_, file)) = self.published.iter().find(|(other, _)| collide(other, &port)) {
            return Some(format!("{} publishes it", escape_path(file)));
        }
        let listens = port.host.clone().any(|number| self.listening.contains(&(port.protocol, number)));
        listens.then(|| "a program of this host listens on it".to_string())
    }

    /// The first free TCP port from `first` on.
    pub(crate) fn free_from(&self, first: u16) -> u16 {
        (first..=u16::MAX).find(|number| self.by(&format!("{number}:1")).is_none()).unwrap_or(first)
    }
}

/// Whether both can't be published at the same time.
fn collide(one: &Port, other: &Port) -> bool {
    let same_address = match (one.address, other.address) {
        (Some(ours), Some(theirs)) => ours == theirs || ours.is_unspecified() || theirs.is_unspecified(),
        _ => true,
    };
    same_address
        && one.protocol == other.protocol
        && one.host.start() <= other.host.end()
        && other.host.start() <= one.host.end()
}

/// The port of a line of /proc/net/tcp or udp (proc_pid_net(5)), if a socket waits there.
fn listening(line: &str, protocol: Protocol) -> Option<u16> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    // TCP_LISTEN; a UDP socket that is bound and not connected is TCP_CLOSE.
    let waits = match protocol {
        Protocol::Tcp => state == "0A",
        Protocol::Udp => state == "07",
    };
    let (_, port) = local.rsplit_once(':')?;
    u16::from_str_radix(port, 16).ok().filter(|_| waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_compose_files_and_of_this_host_are_taken() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("wiki")).unwrap();
        let file = root.path().join("wiki/compose.yaml");
        fs::write(&file, "services: {wiki: {ports: ['127.0.0.1:61000:80', '61001-61003:1-3/udp']}}\n")
            .unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = socket.local_addr().unwrap().port();
        let taken = Taken::find(root.path());
        let published = Some(format!("{} publishes it", file.display()));
        assert_eq!(taken.by("61000:8080"), published);
        assert_eq!(taken.by("127.0.0.2:61000:8080"), None);
        assert_eq!(taken.by("61002:8080/udp"), published);
        assert_eq!(taken.by("61002:8080"), None);
        assert!(taken.by(&format!("{own}:80")).is_some());
        assert!(taken.free_from(own) > own);
    }
}
