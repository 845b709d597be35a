//! The host keys that the container is to trust: those that the user trusts already, and no others.
//!
//! `ssh-keygen -F` looks them up, so hashed names, patterns, `@cert-authority` and `@revoked` are read as OpenSSH reads
//! them. A host that is known nowhere is asked for its key, which is shown and has to be confirmed. Our part of the
//! folder's `known_hosts` stands between marks; each line has one name, in plain text.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use common::cancel::Cancel;
use common::exit::HintExt;
use common::process::{self, Limits};
use common::text::{escape, escape_path};

use ssh_key::known_hosts::Marker;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey};

use crate::connection::access;
use crate::connection::failure::{self, Login};
use crate::connection::ssh::Connection;
use crate::question;
use crate::route::resolve::Endpoint;
use crate::ssh_folder::managed_block;

/// One line of known_hosts. The key stays text and is not ssh-key's `Entry`, which refuses a type of key that it does not
/// know: the container's ssh may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) marker: Option<Marker>,
    /// `nas` or `[nas]:2222`.
    pub(crate) name: String,
    pub(crate) key_type: String,
    pub(crate) key: String,
}

impl Line {
    pub(crate) fn text(&self) -> String {
        let marker = self.marker.as_ref().map(|marker| format!("{marker} ")).unwrap_or_default();
        format!("{marker}{} {} {}", self.name, self.key_type, self.key)
    }

    pub(crate) fn is_trusted(&self) -> bool {
        self.marker != Some(Marker::Revoked)
    }

    fn public_key(&self) -> Result<PublicKey> {
        let key = PublicKey::from_openssh(&format!("{} {}", self.key_type, self.key));
        key.with_context(|| format!("read the host key of {}", escape(self.name.as_bytes())))
    }

    /// The line under another name. ssh passes over a line with a marker that it does not know, and so is it here.
    fn parse(line: &str, name: &str) -> Option<Line> {
        let mut words = line.split_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@')).map(str::parse).transpose().ok()?;
        words.next()?;
        let (key_type, key) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Line { marker, name: name.to_owned(), key_type, key })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Known,
    Folder,
    /// The server itself, and the user confirmed it.
    Confirmed,
}

impl Source {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Source::Known => "from your known_hosts",
            Source::Folder => "from the folder's known_hosts",
            Source::Confirmed => "new, confirmed",
        }
    }
}

/// The keys that `files` hold for the endpoint.
fn look_up(endpoint: &Endpoint, files: &[PathBuf]) -> Result<Vec<Line>> {
    let name = endpoint.key_name();
    let mut lines = find(&name, &name, files)?;
    if !lines.iter().any(Line::is_trusted) && endpoint.host_key_alias.is_none() && endpoint.port != 22 {
        // ssh, too, takes a key that is known for the host without a port.
        lines.extend(find(&endpoint.host_name, &name, files)?);
    }
    Ok(unique(lines))
}

/// The keys that `files` hold under one name, as lines with another.
pub(crate) fn find(searched: &str, name: &str, files: &[PathBuf]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let mut command = Command::new("ssh-keygen");
        command.args(["-F", searched, "-f"]).arg(file);
        let captured = process::capture(&mut command, b"", Limits::within(Duration::from_secs(20)), None)
            .with_context(|| format!("look up the host key: {}", escape_path(file)))?;
        // It exits with 1 if there is none.
        let found = String::from_utf8_lossy(&captured.stdout).into_owned();
        let keys = found.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.extend(keys.filter_map(|line| Line::parse(line, name)));
    }
    Ok(lines)
}

/// The keys that are trusted for the endpoint already, by the user or by an earlier run; `None` if there are none.
pub(crate) fn known(endpoint: &Endpoint, folder_file: &Path) -> Result<Option<(Vec<Line>, Source)>> {
    let known = look_up(endpoint, &endpoint.known_hosts)?;
    if known.iter().any(Line::is_trusted) {
        return Ok(Some((known, Source::Known)));
    }
    let folders = look_up(endpoint, &[folder_file.to_path_buf()])?;
    let trusted = folders.iter().any(Line::is_trusted);
    Ok(trusted.then(|| (unique([known, folders].concat()), Source::Folder)))
}

/// Asks the server for its key, shows it and has it confirmed. `through` is the connection to the jump host before it.
pub(crate) fn ask(
    endpoint: &Endpoint,
    through: Option<&Connection>,
    accept: bool,
    cancel: &Cancel,
) -> Result<Vec<Line>> {
    let known = look_up(endpoint, &endpoint.known_hosts)?;
    let offered = ask_server(endpoint, through, cancel)?;
    if let Some(revoked) = known.iter().find(|line| offered.iter().any(|offer| offer.key == line.key)) {
        return Err(anyhow!("host key: {}: it was revoked", escape(revoked.name.as_bytes())))
            .hint("do not connect; ask the server's administrator");
    }
    confirm(endpoint, &offered, accept, cancel)?;
    Ok(unique([known, offered].concat()))
}

fn unique(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by_cached_key(|line| (line.marker.is_some(), line.text()));
    lines.dedup();
    lines
}

/// Connects without logging in; ssh writes the key that the server shows into a file.
fn ask_server(endpoint: &Endpoint, through: Option<&Connection>, cancel: &Cancel) -> Result<Vec<Line>> {
    let scratch = crate::connection::scratch::scratch()?;
    let file = scratch.path().join("known_hosts");
    let mut command = Command::new("ssh");
    command.args(endpoint.access.flags()).args(access::plain_options());
    command.args(through.map(Connection::proxy_options).unwrap_or_default());
    command.arg("-o").arg(access::known_hosts_option(&file, &[]));
    for option in [
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=accept-new",
        "HashKnownHosts=no",
        "UpdateHostKeys=no",
        "VerifyHostKeyDNS=no",
        "ControlPath=none",
        "LogLevel=INFO",
        "BatchMode=yes",
        "PreferredAuthentications=none",
    ] {
        command.args(["-o", option]);
    }
    command.arg("--").arg(&endpoint.access.host).arg("true");
    let captured =
        process::capture(&mut command, b"", Limits::within(Duration::from_secs(60)), Some(cancel))?;
    let lines = find(&endpoint.key_name(), &endpoint.key_name(), &[file])?;
    if lines.is_empty() {
        return Err(
            failure::of_ssh(&captured.stderr, captured.end).about(&endpoint.access.host, Login::Yours)
        );
    }
    Ok(lines)
}

/// One fingerprint per trusted line: `ED25519 SHA256:…`. A line that holds no key is passed over, as ssh does.
pub(crate) fn short_fingerprints(lines: &[Line]) -> Vec<String> {
    let keys = lines.iter().filter(|line| line.is_trusted()).filter_map(|line| line.public_key().ok());
    keys.map(|key| format!("{} {}", short_type(&key), key.fingerprint(HashAlg::Sha256))).collect()
}

/// A key's type as `ssh-keygen -l` shows it.
fn short_type(key: &PublicKey) -> String {
    match key.algorithm() {
        Algorithm::Ed25519 => "ED25519".to_owned(),
        Algorithm::Ecdsa { .. } => "ECDSA".to_owned(),
        Algorithm::Rsa { .. } => "RSA".to_owned(),
        Algorithm::Dsa => "DSA".to_owned(),
        Algorithm::SkEd25519 => "ED25519-SK".to_owned(),
        Algorithm::SkEcdsaSha2NistP256 => "ECDSA-SK".to_owned(),
        other => other.as_str().to_uppercase(),
    }
}

/// A key's size as `ssh-keygen -l` shows it, in bits.
fn bits(key: &PublicKey) -> usize {
    match (key.algorithm(), key.key_data()) {
        (Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 }, _) => 384,
        (Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 }, _) => 521,
        (_, KeyData::Rsa(key)) => key.n.as_positive_bytes().map_or(0, |n| n.len() * 8),
        (_, KeyData::Dsa(key)) => key.p.as_positive_bytes().map_or(0, |p| p.len() * 8),
        _ => 256,
    }
}

fn confirm(endpoint: &Endpoint, offered: &[Line], accept: bool, cancel: &Cancel) -> Result<()> {
    if accept {
        return Ok(());
    }
    common::note!("{} is new to you. It shows this key:", endpoint.address());
    for line in offered {
        let key = line.public_key()?;
        let (kind, fingerprint) = (short_type(&key), key.fingerprint(HashAlg::Sha256));
        common::note!("  {} {fingerprint} ({kind})", bits(&key));
        for row in fingerprint.to_randomart(&format!("[{kind} {}]", bits(&key))).lines() {
            common::note!("  {row}");
        }
    }
    common::note!(
        "Compare it with the key on the server's own console: ssh-keygen -lvf /etc/ssh/ssh_host_…_key.pub"
    );
    if question::is_yes("Is it the server's? Type yes to trust it: ", cancel)? {
        return Ok(());
    }
    Err(anyhow!("host key: {}: not confirmed", endpoint.address()))
        .hint("connect once with ssh and confirm it there, answer yes here, or add --accept-new-host-key")
}

/// The file's text with our part holding just `lines`.
pub(crate) fn with_lines(text: &str, lines: &[Line]) -> Result<String> {
    let ours: String = unique(lines.to_vec()).iter().map(|line| line.text() + "\n").collect();
    managed_block::replace(text, &ours)
}

/// The lines in our part of the file.
pub(crate) fn ours(text: &str) -> Result<Vec<Line>> {
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.iter().find(|word| !word.starts_with('@'))?;
        Line::parse(line, name)
    };
    Ok(managed_block::split(text)?.ours.lines().filter_map(parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_once_and_read_back() {
        let line = |marker: Option<Marker>, key: &str| Line {
            marker,
            name: "[nas]:2222".into(),
            key_type: "ssh-ed25519".into(),
            key: key.into(),
        };
        let lines = [line(None, "A"), line(Some(Marker::Revoked), "B"), line(None, "A")];
        let text = with_lines("mine ssh-rsa C\n", &lines).unwrap();
        assert!(text.ends_with("mine ssh-rsa C\n"), "{text}");
        assert!(text.contains("\n@revoked [nas]:2222 ssh-ed25519 B\n"), "{text}");
        assert_eq!(ours(&text).unwrap().len(), 2);
        assert_eq!(Line::parse("@unknown nas ssh-ed25519 A", "nas"), None);
        assert_eq!(with_lines(&text, &[]).unwrap(), "mine ssh-rsa C\n");
    }
}
