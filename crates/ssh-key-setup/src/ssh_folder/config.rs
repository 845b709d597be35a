//! The folder's `config`: one block of ours with every host, between marks; the user's own lines stay.
//!
//! Each host is one line of JSON in a comment, from which a later run knows everything, and the `Host` sections that
//! are made from it. Our block stands first, because OpenSSH takes the first value it finds, and ends with `Host *`,
//! so that lines of the user's that stood outside any section still count for every host.

use std::fmt::Write as _;

use anyhow::{Context, Result, anyhow, bail};
use common::exit::HintExt;
use serde::{Deserialize, Serialize};

use crate::connection::access::Access;
use crate::connection::ssh::IN_CONTAINER;
use crate::route::resolve::{Route, Section};
use crate::ssh_folder::managed_block;

/// A host that is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) alias: String,
    /// How the user's own ssh is called for it.
    #[serde(flatten)]
    pub(crate) access: Access,
    pub(crate) path: String,
    /// The account's home on the server, as SFTP shows it.
    pub(crate) home: String,
    pub(crate) authorized_keys: String,
    pub(crate) restricted: bool,
    /// What is before the key on the server: the restriction in words that the server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) options: Option<String>,
    pub(crate) key: String,
    /// The way to it: jump hosts first, the server last.
    pub(crate) sections: Vec<Section>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// How the user's own ssh is called for it.
    pub(crate) access: Access,
    pub(crate) alias: String,
    /// The key file that an older script used for it.
    pub(crate) key: Option<String>,
}

const JSON: &str = "#: ";

/// Versions of ssh differ in the keywords that they know: one of them, also in the user's own lines, would make another
/// version refuse the whole file, and every host with it.
const IGNORED: &str = "IgnoreUnknown *\n";

impl Entry {
    /// The key's line on the server leaves it a shell, because the server can't run SFTP under a `command=`.
    pub(crate) fn keeps_a_shell(&self) -> bool {
        self.options.as_ref().is_some_and(|options| !options.contains("command="))
    }

    /// Sections for the route: `alias-jump1`, `alias-jump2`, `alias`, each reached through the one before it.
    pub(crate) fn sections_of(alias: &str, route: &Route) -> Vec<Section> {
        let mut sections: Vec<Section> = Vec::new();
        for (index, endpoint) in route.jump_hosts.iter().chain([&route.target]).enumerate() {
            let name = if index < route.jump_hosts.len() {
                format!("{alias}-jump{}", index + 1)
            } else {
                alias.to_owned()
            };
            let jump = sections.last().map(|section| section.name.clone());
            let proxy_command = endpoint.proxy_command.clone().filter(|_| jump.is_none());
            sections.push(Section { name, jump, proxy_command, ..endpoint.section.clone() });
        }
        sections
    }

    fn render(&self, text: &mut String) -> Result<()> {
        writeln!(text, "{JSON}{}", serde_json::to_string(self).context("write config")?)?;
        for section in &self.sections {
            let port = section.port.to_string();
            let identity = format!("{IN_CONTAINER}/{}", self.key);
            let known_hosts = format!("{IN_CONTAINER}/known_hosts");
            let host_name = section.host_name.replace('%', "%%");
            let mut lines: Vec<(&str, &str)> =
                vec![("HostName", &host_name), ("Port", &port), ("User", &section.user)];
            let optional = [
                ("HostKeyAlias", &section.host_key_alias),
                ("ProxyJump", &section.jump),
                ("ProxyCommand", &section.proxy_command),
            ];
            lines.extend(optional.iter().filter_map(|(keyword, value)| Some((*keyword, value.as_deref()?))));
            lines.extend([
                ("IdentityFile", identity.as_str()),
                ("IdentitiesOnly", "yes"),
                ("IdentityAgent", "none"),
                ("BatchMode", "yes"),
                ("StrictHostKeyChecking", "yes"),
                ("UserKnownHostsFile", &known_hosts),
                ("UpdateHostKeys", "no"),
                ("ConnectTimeout", "30"),
                // restic waits for as long as ssh does: five minutes without an answer are a dead line.
                ("ServerAliveInterval", "60"),
                ("ServerAliveCountMax", "5"),
            ]);
            lines.extend(section.carried.iter().map(|(keyword, value)| (keyword.as_str(), value.as_str())));
            writeln!(text, "Host {}", section.name)?;
            for (keyword, value) in lines {
                writeln!(text, "    {keyword} {}", word(keyword, value)?)?;
            }
        }
        text.push('\n');
        Ok(())
    }
}

/// A value as a config file can hold it. A proxy command is a whole line to the shell.
fn word(keyword: &str, value: &str) -> Result<String> {
    if value.contains(['\n', '\r', '\0']) || (keyword != "ProxyCommand" && value.contains('"')) {
        bail!("write config: {keyword}: a value with a quote or a line break can't be written: {value:?}");
    }
    let quoted = keyword != "ProxyCommand" && (value.contains([' ', '\t', '#', '\'']) || value.is_empty());
    Ok(if quoted { format!("\"{value}\"") } else { value.to_owned() })
}

pub(crate) fn entries(config: &str) -> Result<Vec<Entry>> {
    let ours = managed_block::split(config)?.ours;
    let lines = ours.lines().filter_map(|line| line.strip_prefix(JSON));
    let read = |json| {
        serde_json::from_str(json)
            .map_err(|why| anyhow!("a line between the marks was changed by hand: {why}"))
            .hint("put it back, or take everything between the marks out and set the hosts up again")
    };
    lines.map(read).collect()
}

/// `config` with just these hosts in our block.
pub(crate) fn with_entries(config: &str, entries: &[Entry]) -> Result<String> {
    let mut ours = String::new();
    for entry in entries {
        entry.render(&mut ours)?;
    }
    if !ours.is_empty() {
        ours.insert_str(0, IGNORED);
        ours.push_str("Host *\n");
    }
    managed_block::replace(config, &ours)
}

/// The hosts of the user's own lines that use a key of the folder: an older script wrote them so.
pub(crate) fn foreign_hosts(config: &str) -> Result<Vec<Target>> {
    let mut found = foreign_sections(config)?;
    found.retain(|host| host.key.is_some() && crate::names::check_alias(&host.alias).is_ok());
    Ok(found)
}

/// The section of the user's own lines, other than the host's own, that uses the key.
pub(crate) fn own_lines_with(config: &str, alias: &str, key: &str) -> Result<Option<String>> {
    let ours: Vec<String> = entries(config)?.into_iter().map(|entry| entry.alias).collect();
    let mut found = foreign_sections(config)?.into_iter().filter(|host| host.key.as_deref() == Some(key));
    // Our block stands first: if it has a host of the name, those lines add nothing.
    Ok(found.find(|host| host.alias != alias && !ours.contains(&host.alias)).map(|host| host.alias))
}

/// All sections of the user's own lines; those of `Match` without a name.
fn foreign_sections(config: &str) -> Result<Vec<Target>> {
    let parts = managed_block::split(config)?;
    let mut found: Vec<Target> = Vec::new();
    for line in parts.before.lines().chain(parts.after.lines()) {
        let line = line.trim();
        let (keyword, value) = line.split_once(|c: char| c.is_whitespace() || c == '=').unwrap_or((line, ""));
        let value = value.trim().trim_matches('"');
        let keyword = keyword.to_ascii_lowercase();
        if keyword == "host" || keyword == "match" {
            let alias = if keyword == "host" { value.to_owned() } else { String::new() };
            let access = Access { host: alias.clone(), ..Access::default() };
            found.push(Target { alias, access, key: None });
        } else if let Some(host) = found.last_mut() {
            match keyword.as_str() {
                "hostname" => value.clone_into(&mut host.access.host),
                "user" => host.access.user = Some(value.to_owned()),
                "port" => host.access.port = value.parse().ok(),
                "identityfile" => host.key = value.rsplit('/').next().map(str::to_owned),
                _ => {}
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(alias: &str) -> Entry {
        let section = |name: &str, jump: Option<&str>| Section {
            name: name.into(),
            host_name: format!("{name}.lan"),
            port: 2222,
            user: "back up".into(),
            jump: jump.map(str::to_owned),
            carried: vec![("Ciphers".into(), "aes256-ctr".into())],
            ..Section::default()
        };
        Entry {
            alias: alias.into(),
            access: Access { host: alias.into(), ..Access::default() },
            path: "/srv/restic".into(),
            home: "/home/me".into(),
            authorized_keys: "/home/me/.ssh/authorized_keys".into(),
            restricted: true,
            options: None,
            key: "id_ed25519".into(),
            sections: vec![section("gate", None), section(alias, Some("gate"))],
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_the_users_lines_stay() {
        let theirs = "Compression yes\nHost mine\n  Port 1\n";
        let text = with_entries(theirs, &[entry("nas"), entry("other")]).unwrap();
        assert_eq!(entries(&text).unwrap(), [entry("nas"), entry("other")]);
        assert_eq!(with_entries(&text, &[]).unwrap(), theirs);
        insta::assert_snapshot!(with_entries(theirs, &[entry("nas")]).unwrap());
    }

    #[test]
    fn a_value_that_would_become_another_line_is_refused() {
        let mut bad = entry("nas");
        bad.sections[0].user = "x\nProxyCommand y".into();
        assert!(with_entries("", &[bad]).is_err());
    }
}
