//! What works here and can't work in the container: names that only this host resolves, addresses that mean something
//! else in there, programs that it lacks.
//!
//! In comes the route and what this host knows of the first name on it; out go the notes, each with what to do. Only
//! the first host's name matters: the container asks a jump host for all that lies behind it.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow};
use common::exit::HintExt;
use common::process::{self, Limits};
use common::text::escape;

use crate::route::proxy_command::{Need, need};
use crate::route::resolve::Route;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Each says what and what to do.
    pub(crate) warnings: Vec<String>,
    /// The way leads through Tailscale.
    pub(crate) tailscale: bool,
}

/// What this host knows of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameLookup {
    pub(crate) addresses: Vec<IpAddr>,
    /// It is listed in `/etc/hosts`, which no container sees.
    pub(crate) in_hosts_file: bool,
}

/// Asks this host about a name, as ssh would.
pub(crate) fn ask(name: &str) -> NameLookup {
    let mut command = Command::new("getent");
    command.args(["ahosts", "--", name]);
    let captured = process::capture(&mut command, b"", Limits::within(Duration::from_secs(20)), None);
    let text =
        captured.map(|captured| String::from_utf8_lossy(&captured.stdout).into_owned()).unwrap_or_default();
    let mut addresses: Vec<IpAddr> =
        text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    addresses.dedup();
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let in_hosts_file = hosts.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().skip(1).any(|word| word.eq_ignore_ascii_case(name))
    });
    NameLookup { addresses, in_hosts_file }
}

pub(crate) fn notes(route: &Route, known: &NameLookup) -> Notes {
    let first = route.jump_hosts.first().unwrap_or(&route.target);
    let name = first.host_name.to_ascii_lowercase();
    let shown = escape(name.as_bytes());
    let is_address = name.parse::<IpAddr>().is_ok();
    let address = known.addresses.first();
    let extra = match address {
        Some(address) => {
            format!("add to Backrest's service in compose.yaml: extra_hosts: [\"{shown}:{address}\"]")
        }
        None => "use its address in place of its name".to_owned(),
    };
    let tailscale = is_through_tailscale(&name, known);
    let is_this_host = known.addresses.iter().any(IpAddr::is_loopback) || name == "localhost";
    let only_here = [
        (
            is_this_host,
            "is this host itself, and in the container it is the container",
            "use this host's own address in the network, or a folder under /repos, which needs no SSH",
        ),
        (
            name.starts_with("fe80:"),
            "is an address of this host's own network card, which the container does not have",
            "use the server's other address",
        ),
        (name.ends_with(".local"), "is found over mDNS, which the container can't do", &extra),
        (tailscale && !is_address, "is a name of Tailscale's, which the container may not resolve", &extra),
        (
            known.in_hosts_file && !is_address,
            "is listed in this host's /etc/hosts, which the container does not see",
            &extra,
        ),
    ];
    let about_name = only_here.iter().find(|(is_so, ..)| *is_so);
    let about_name = about_name.map(|(_, what, cure)| format!("{shown} {what}: {cure}"));
    let mut notes = Notes { warnings: about_name.into_iter().collect(), tailscale };
    if route.asks_programs {
        notes.warnings.push(
            "your ssh config asks a program (Match exec): the container gets what it answered now; run this again \
             if that changes"
                .to_owned(),
        );
    }
    for endpoint in
        route.jump_hosts.iter().chain([&route.target]).filter(|endpoint| !endpoint.left_out.is_empty())
    {
        notes.warnings.push(format!(
            "{}: left out for the container, because newer versions of ssh refuse the whole file for it: {}",
            escape(endpoint.access.host.as_bytes()),
            endpoint.left_out.join(", ")
        ));
    }
    if let Some(proxy) = first.proxy_command.as_deref().filter(|proxy| need(proxy) == Need::Netcat) {
        notes.warnings.push(format!(
            "the way leads through {}: the container's nc is BusyBox's",
            escape(proxy.as_bytes())
        ));
    }
    notes
}

/// Has the ssh in Backrest's running container read `config`, if Docker answers: versions differ in what they take.
/// Returns whether it did; fails if it refuses the file.
pub(crate) fn reads(config: &str, alias: &str) -> Result<bool> {
    let limits = || Limits::within(Duration::from_secs(20));
    let mut list = Command::new("docker");
    list.args(["ps", "--format", "{{.ID}} {{.Image}}"]);
    let Ok(list) = process::capture(&mut list, b"", limits(), None) else { return Ok(false) };
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let mut containers = list.lines().filter_map(|line| line.split_once(' '));
    let Some((id, _)) = containers.find(|(_, image)| image.contains("backrest")) else { return Ok(false) };
    let mut ssh = Command::new("docker");
    ssh.args(["exec", "-i", id, "ssh", "-F", "/dev/stdin", "-G", "--", alias]);
    let ran = process::capture(&mut ssh, config.as_bytes(), limits(), None)?;
    // ssh fails with 255; other codes are Docker's own, or say that the container has no ssh.
    if ran.end != process::End::Exited(255) {
        return Ok(ran.end.is_success());
    }
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    let first = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(anyhow!("check: {alias}: ssh in Backrest's container refuses config: {}", escape(first.as_bytes())))
        .hint(format!("set it up again, which writes config anew: ssh-key-setup {alias}"))
}

/// Whether the VPN has to be up to reach a name.
pub(crate) fn is_through_tailscale(name: &str, known: &NameLookup) -> bool {
    let all = !known.addresses.is_empty() && known.addresses.iter().all(is_tailscale);
    all || name.to_ascii_lowercase().ends_with(".ts.net")
}

/// Fails if a host of the route is reached by a program that Backrest's container can't run.
pub(crate) fn check_route(route: &Route) -> Result<()> {
    let mut endpoints = route.jump_hosts.iter().chain([&route.target]);
    endpoints.try_for_each(|endpoint| match &endpoint.proxy_command {
        Some(command) => check_proxy("resolve", &endpoint.access.host, command),
        None => Ok(()),
    })
}

/// Fails if Backrest's container can't run the proxy command by which `host` is reached.
pub(crate) fn check_proxy(doing: &str, host: &str, command: &str) -> Result<()> {
    let (what, hint) = match need(command) {
        Need::Netcat => return Ok(()),
        Need::Ssh => (
            format!("your ssh goes through another ssh, in a way that can't become a ProxyJump: {command}"),
            "write it as ProxyJump: the container has no files of yours for a second ssh",
        ),
        Need::Script => (
            format!("your ssh goes through a shell script, which can't become a ProxyJump: {command}"),
            "write it as ProxyJump: the container has no files of yours for a script",
        ),
        Need::Program(program) => (
            format!("your ssh goes through a program that Backrest's container does not have: {program}"),
            "give the host a ProxyJump in ~/.ssh/config, or an address that the container reaches directly",
        ),
    };
    Err(anyhow!("{doing}: {}: {}", escape(host.as_bytes()), escape(what.as_bytes()))).hint(hint)
}

/// 100.64.0.0/10, and fd7a:115c:a1e0::/48.
fn is_tailscale(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 100 && (64..128).contains(&address.octets()[1]),
        IpAddr::V6(address) => address.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::resolve::{Endpoint, Section};

    fn route(host_name: &str) -> Route {
        let section = Section { host_name: host_name.into(), ..Section::default() };
        let target = Endpoint { section, ..Endpoint::default() };
        Route { jump_hosts: vec![], target, asks_programs: false }
    }

    #[track_caller]
    fn notes_of(name: &str, address: &str, in_hosts_file: bool) -> Notes {
        notes(&route(name), &NameLookup { addresses: vec![address.parse().unwrap()], in_hosts_file })
    }

    #[test]
    fn what_the_container_does_not_have_is_noted() {
        let add = |name: &str| format!("extra_hosts: [\"{name}:192.168.1.5\"]");
        for (name, address, in_hosts_file, warning, tailscale) in [
            ("nas.example.com", "192.168.1.5", false, None, false),
            ("192.168.1.5", "192.168.1.5", false, None, false),
            ("nas.local", "192.168.1.5", true, Some("mDNS"), false),
            ("nas", "192.168.1.5", true, Some("/etc/hosts"), false),
            ("nas.tail1234.ts.net", "100.101.1.2", false, Some("Tailscale"), true),
            ("100.64.0.9", "100.64.0.9", false, None, true),
            ("nas", "fd7a:115c:a1e0::1", false, Some("Tailscale"), true),
            ("x", "100.128.0.1", false, None, false),
            ("localhost", "127.0.0.1", true, Some("/repos"), false),
        ] {
            let notes = notes_of(name, address, in_hosts_file);
            assert_eq!(notes.tailscale, tailscale, "{name}");
            let first = notes.warnings.first();
            assert_eq!(first.is_some(), warning.is_some(), "{name}: {notes:?}");
            assert!(first.is_none_or(|first| warning.is_some_and(|word| first.contains(word))), "{notes:?}");
            // Names that only this host knows come with the line to add.
            let is_here_only = first.filter(|_| in_hosts_file && name != "localhost");
            assert!(is_here_only.is_none_or(|first| first.ends_with(&add(name))), "{notes:?}");
        }
        let notes = notes(&route("fe80::1%eth0"), &NameLookup::default());
        assert!(notes.warnings[0].contains("the server's other address"), "{notes:?}");
    }
}
