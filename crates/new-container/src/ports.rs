//! Which ports of the host are taken: published by a compose file of another service, or listened on now.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use common::compose::{self, Port, Protocol};
use common::services;
use common::text::escape_path;

#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Each with the compose file that publishes it.
    published: Vec<(Port, PathBuf)>,
    listening: Vec<Port>,
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
            taken.listening.extend(text.lines().filter_map(|line| listening(line, protocol)));
        }
        taken
    }

    /// Adds what `--port` publishes, for those after it.
    pub(crate) fn publish(&mut self, text: &str) {
        self.published.extend(Port::parse(text).map(|port| (port, PathBuf::from(format!("--port {text}")))));
    }

    /// What uses the port that `text` publishes, as a sentence without its subject; `None` if it is free.
    pub(crate) fn by(&self, text: &str) -> Option<String> {
        let port = Port::parse(text)?;
        if let Some((_, file)) = self.published.iter().find(|(other, _)| collide(other, &port)) {
            return Some(format!("{} publishes it", escape_path(file)));
        }
        let listens = self.listening.iter().any(|other| collide(other, &port));
        listens.then(|| "a program of this host listens on it".to_string())
    }

    /// The first port that is free for what `text` publishes, on the same address, as `text` is written.
    pub(crate) fn instead_of(&self, text: &str) -> String {
        let (host, container) = text.rsplit_once(':').unwrap_or(("", text));
        let address = host.rfind(':').map_or("", |end| &host[..=end]);
        let mut others = (8080..=u16::MAX).map(|number| format!("{address}{number}:{container}"));
        others.find(|other| self.by(other).is_none()).unwrap_or_else(|| text.to_string())
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

/// The socket of a line of /proc/net/tcp or udp (proc_pid_net(5)), if it waits there.
fn listening(line: &str, protocol: Protocol) -> Option<Port> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    // TCP_LISTEN; a UDP socket that is bound and not connected is TCP_CLOSE.
    let waits = match protocol {
        Protocol::Tcp => state == "0A",
        Protocol::Udp => state == "07",
    };
    let (address, port) = local.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok().filter(|_| waits)?;
    // Each word of the address is written as a number of this machine.
    let words = address
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes));
    let address = match words.collect::<Option<Vec<_>>>()?.as_slice() {
        [word] => IpAddr::from(*word),
        words => IpAddr::from(<[u8; 16]>::try_from(words.concat()).ok()?).to_canonical(),
    };
    Some(Port { address: Some(address), host: port..=port, protocol })
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
        let mut taken = Taken::find(root.path());
        taken.publish("61010:80");
        assert_eq!(taken.by("61010:81").as_deref(), Some("--port 61010:80 publishes it"));
        let published = Some(format!("{} publishes it", file.display()));
        assert_eq!(taken.by("61000:8080"), published);
        assert_eq!(taken.by("127.0.0.2:61000:8080"), None);
        assert_eq!(taken.by("61002:8080/udp"), published);
        assert_eq!(taken.by("61002:8080"), None);
        assert!(taken.by(&format!("{own}:80")).is_some());
        // The same number is free on another address and for another protocol.
        assert_eq!(taken.by(&format!("127.0.0.9:{own}:80")), None);
        let other = taken.instead_of(&format!("127.0.0.1:{own}:80/udp"));
        assert!(other.starts_with("127.0.0.1:") && other.ends_with(":80/udp"), "{other}");
        assert!(taken.by(&other).is_none());
    }

    #[test]
    fn a_socket_of_any_address_that_waits_is_found() {
        let loopback = std::net::TcpListener::bind("[::1]:0").unwrap();
        let any = std::net::UdpSocket::bind("[::]:0").unwrap();
        let taken = Taken::find(Path::new("/nowhere"));
        let (tcp, udp) = (loopback.local_addr().unwrap().port(), any.local_addr().unwrap().port());
        assert!(taken.by(&format!("{tcp}:80")).is_some() && taken.by(&format!("{udp}:80/udp")).is_some());
        assert!(taken.by(&format!("127.0.0.1:{udp}:80/udp")).is_some(), "[::] is IPv4's as well");
        assert!(taken.by(&format!("127.0.0.1:{tcp}:80")).is_none());
        assert_eq!(listening("  0: 00000000000000000000000000000000:1F90 0:0 01", Protocol::Tcp), None);
    }
}
