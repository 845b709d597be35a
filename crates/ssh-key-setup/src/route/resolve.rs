//! What `ssh` would do with the HOST that was typed: `ssh -G`, read.
//!
//! A jump host is resolved the same way. Only the first of a chain may bring jump hosts of its own, as with `ssh -J`;
//! they come before it, so that the chain ends up flat, the nearest hop first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::exit::HintExt;
use common::process::{self, Limits};
use common::text::escape;
use serde::{Deserialize, Serialize};

use crate::connection::access::{Access, jump_access};
use crate::route::algorithms;
use crate::route::proxy_command::{self, Tokens};

/// One host on the way, as `ssh` sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// How the user's own ssh is called for it.
    pub(crate) access: Access,
    /// Where that leads.
    pub(crate) section: Section,
    /// The user's and the machine's known_hosts, whether they exist or not.
    pub(crate) known_hosts: Vec<PathBuf>,
    /// Algorithms of the user's that newer versions of ssh refuse, so the container does not get them.
    pub(crate) left_out: Vec<String>,
    /// The jump hosts before it, until they are part of the route.
    pub(crate) jumps: Option<Vec<Access>>,
}

/// A `Host` section of the container's `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) host_name: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host_key_alias: Option<String>,
    /// The section that it is reached through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jump: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_command: Option<String>,
    /// What the user set that the container needs too: algorithms, address family, compression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) carried: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) jump_hosts: Vec<Endpoint>,
    pub(crate) target: Endpoint,
    /// The user's configuration asks a program (`Match exec`) what to do.
    pub(crate) asks_programs: bool,
}

/// Options that a server may need from its clients, by `ssh -G`'s name and the config file's. Most are lists.
const CARRIED: [(&str, &str); 7] = [
    ("addressfamily", "AddressFamily"),
    ("ciphers", "Ciphers"),
    ("macs", "MACs"),
    ("kexalgorithms", "KexAlgorithms"),
    ("hostkeyalgorithms", "HostKeyAlgorithms"),
    ("pubkeyacceptedalgorithms", "PubkeyAcceptedAlgorithms"),
    ("compression", "Compression"),
];

pub(crate) const LONGEST_CHAIN: usize = 8;

/// What `ssh -G` prints, by keyword.
pub(crate) type Values = BTreeMap<String, String>;

/// The way to `access`, asked of the user's `ssh`.
pub(crate) fn route(access: &Access, cancel: &Cancel) -> Result<Route> {
    let mut asks_programs = false;
    let plain = Access { host: access.host.clone(), ..Access::default() };
    let (defaults, _) = ask_ssh(&plain, &["-F", "none"], cancel)?;
    let mut ask = |access: &Access| -> Result<Endpoint> {
        let (values, asks) = ask_ssh(access, &[], cancel)?;
        asks_programs |= asks;
        endpoint(access, &values, &defaults)
    };
    let mut target = ask(access)?;
    let mut jump_hosts: Vec<Endpoint> = Vec::new();
    while let Some(jumps) = jump_hosts.first_mut().unwrap_or(&mut target).jumps.take() {
        let mut chain = jumps.iter().map(&mut ask).collect::<Result<Vec<_>>>()?;
        for later in chain.iter_mut().skip(1) {
            (later.jumps, later.section.proxy_command) = (None, None);
        }
        chain.append(&mut jump_hosts);
        jump_hosts = chain;
        if jump_hosts.len() > LONGEST_CHAIN {
            return Err(anyhow::anyhow!(
                "resolve: {}: more than {LONGEST_CHAIN} jump hosts",
                escape(access.host.as_bytes())
            ))
            .hint("look for a ProxyJump in ~/.ssh/config that leads back to itself");
        }
    }
    Ok(Route { jump_hosts, target, asks_programs })
}

/// The jump hosts that ssh goes through to `endpoint`: as ProxyJump, or as the `ssh` of a proxy command.
fn jumps_in(values: &Values, endpoint: &Endpoint, home: &Path) -> Result<Option<Vec<Access>>> {
    if let Some(jumps) = value(values, "proxyjump") {
        // ssh hands its own -F on to the ssh that it starts for a ProxyJump.
        let config = &endpoint.access.config;
        let jump = |jump: &str| Ok(Access { config: config.clone(), ..jump_access(jump.trim())? });
        return jumps.split(',').map(jump).collect::<Result<_>>().map(Some);
    }
    let command = value(values, "proxycommand");
    let jump = command.and_then(|command| proxy_command::jump_host(command, endpoint.tokens(home)));
    Ok(jump.map(|jump| vec![jump]))
}

/// The user's home as ssh has it.
fn home() -> PathBuf {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    user.map(|user| user.dir).unwrap_or_default()
}

pub(crate) fn value<'a>(values: &'a Values, name: &str) -> Option<&'a String> {
    values.get(name).filter(|value| !value.is_empty() && *value != "none")
}

/// What `ssh -G` prints, and whether it asked a program.
fn ask_ssh(access: &Access, extra: &[&str], cancel: &Cancel) -> Result<(Values, bool)> {
    let mut command = Command::new("ssh");
    command.args(["-v", "-v", "-v", "-G"]).args(access.flags()).args(extra).arg("--").arg(&access.host);
    let captured = process::capture(&mut command, b"", Limits::within(Duration::from_secs(30)), Some(cancel))
        .hint("install OpenSSH's client: sudo apt-get install openssh-client")?;
    let stderr = String::from_utf8_lossy(&captured.stderr).into_owned();
    if !captured.end.is_success() {
        let reason = stderr.lines().rfind(|line| !line.starts_with("debug") && !line.trim().is_empty());
        bail!(
            "resolve: {}: ssh -G: {}: {}",
            escape(access.host.as_bytes()),
            captured.end,
            escape(reason.unwrap_or("no reason given").as_bytes())
        );
    }
    let asks = stderr
        .lines()
        .any(|line| line.starts_with("debug") && line.contains("match") && line.contains("'exec "));
    Ok((parse(&String::from_utf8_lossy(&captured.stdout)), asks))
}

/// Keyword and value per line; the first of each keyword counts, as in a config file.
pub(crate) fn parse(output: &str) -> Values {
    let mut values = Values::new();
    for line in output.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        values.entry(keyword.to_ascii_lowercase()).or_insert_with(|| value.trim().to_owned());
    }
    values
}

fn endpoint(access: &Access, values: &Values, defaults: &Values) -> Result<Endpoint> {
    let value = |name: &str| value(values, name);
    let needed = |name: &str| {
        value(name)
            .cloned()
            .with_context(|| format!("resolve: {}: ssh -G prints no {name}", escape(access.host.as_bytes())))
    };
    let files = ["userknownhostsfile", "globalknownhostsfile"].into_iter().filter_map(value);
    let (carried, left_out) = carried(values, defaults);
    let section = Section {
        name: access.host.clone(),
        host_name: needed("hostname")?,
        port: needed("port")?.parse().context("resolve: the port that ssh -G prints")?,
        user: needed("user")?,
        host_key_alias: value("hostkeyalias").cloned(),
        jump: None,
        proxy_command: value("proxycommand").map(|command| proxy_command::for_container(command)),
        carried,
    };
    let mut endpoint = Endpoint {
        access: access.clone(),
        section,
        known_hosts: files.flat_map(|files| files.split_whitespace()).map(PathBuf::from).collect(),
        left_out,
        jumps: None,
    };
    let home = home();
    endpoint.jumps = jumps_in(values, &endpoint, &home)?;
    let is_direct = |command: &String| proxy_command::is_direct(command, endpoint.tokens(&home));
    // A proxy command that was understood as jump hosts is not wanted beside them.
    if endpoint.jumps.is_some() || endpoint.proxy_command.as_ref().is_some_and(is_direct) {
        endpoint.section.proxy_command = None;
    }
    Ok(endpoint)
}

/// The options that the container needs too, and the algorithms that it gets no more.
fn carried(values: &Values, defaults: &Values) -> (Vec<(String, String)>, Vec<String>) {
    let (mut carried, mut left_out) = (Vec::new(), Vec::new());
    for (name, keyword) in CARRIED {
        let Some(own) = values.get(name) else { continue };
        let default = defaults.get(name).map_or("", String::as_str);
        if own == default {
            continue;
        }
        // The user may have limited it to the type of a key that is not the container's.
        let key_is_missing = name == "pubkeyacceptedalgorithms" && !own.contains("ssh-ed25519");
        let own = if key_is_missing { format!("{own},ssh-ed25519") } else { own.clone() };
        let (value, without) = algorithms::change(&own, default);
        left_out.extend(without);
        carried.extend(value.map(|value| (keyword.to_owned(), value)));
    }
    left_out.sort();
    left_out.dedup();
    (carried, left_out)
}

impl Section {
    /// For people: `me@nas.lan, port 22`.
    pub(crate) fn address(&self) -> String {
        escape(format!("{}@{}, port {}", self.user, self.host_name, self.port).as_bytes())
    }

    /// The name under which known_hosts has its keys.
    pub(crate) fn key_name(&self) -> String {
        match (&self.host_key_alias, self.port) {
            (Some(alias), _) => alias.clone(),
            (None, 22) => self.host_name.clone(),
            (None, port) => format!("[{}]:{port}", self.host_name),
        }
    }
}

impl Endpoint {
    fn tokens<'a>(&'a self, home: &'a Path) -> Tokens<'a> {
        let (typed, host, user) = (&self.access.host, &self.host_name, &self.user);
        Tokens { typed, host, port: self.port, user, home }
    }

    /// For people: `me@nas.lan`, with the port unless it is 22.
    pub(crate) fn address(&self) -> String {
        self.section.address().trim_end_matches(", port 22").to_owned()
    }
}

impl std::ops::Deref for Endpoint {
    type Target = Section;

    fn deref(&self) -> &Section {
        &self.section
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_chain_are_read_as_ssh_reads_them() {
        for (jump, host, user, port) in [
            ("gate", "gate", None, None),
            ("me@gate:2200", "gate", Some("me"), Some(2200)),
            ("ssh://me@gate:2200", "gate", Some("me"), Some(2200)),
            ("[fe80::1]:22", "fe80::1", None, Some(22)),
            ("fe80::1", "fe80::1", None, None),
        ] {
            let access = jump_access(jump).unwrap();
            assert_eq!(
                (access.host.as_str(), access.user.as_deref(), access.port),
                (host, user, port),
                "{jump}"
            );
        }
        assert!(jump_access("-oX").is_err() && jump_access("gate:x").is_err());
    }

    #[test]
    fn the_first_value_counts_and_only_own_algorithms_are_carried() {
        let own =
            parse("host nas\nhostname nas.lan\nport 2222\nuser me\nciphers aes256-ctr\nmacs m\nport 1\n");
        let access = Access { host: "nas".into(), ..Access::default() };
        let endpoint = endpoint(&access, &own, &parse("ciphers other\nmacs m\n")).unwrap();
        assert_eq!(endpoint.key_name(), "[nas.lan]:2222");
        assert_eq!(endpoint.carried, [("Ciphers".to_owned(), "aes256-ctr".to_owned())]);
    }
}
