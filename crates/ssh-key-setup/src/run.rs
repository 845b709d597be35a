//! One run: what every stage needs, and the folder's files as they are now.

use std::path::Path;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::text::{escape, escape_path};

use crate::connection::ssh::Connection;
use crate::output::{HostReport, Output};
use crate::request::Request;
use crate::ssh_folder::config::{self, Entry};
use crate::ssh_folder::folder::Folder;
use crate::ssh_folder::key::Key;
use crate::ssh_folder::known_hosts::{self, Line};

pub(crate) struct Run {
    pub(crate) request: Request,
    pub(crate) folder: Folder,
    pub(crate) cancel: Cancel,
    pub(crate) output: Output,
}

/// One host of a run: the folder's files as they were before it, and what is reported about it.
pub(crate) struct Host<'a> {
    pub(crate) run: &'a Run,
    pub(crate) files: Files,
    pub(crate) report: HostReport,
}

/// The folder's files, as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) config: String,
    pub(crate) known_hosts: String,
    pub(crate) entries: Vec<Entry>,
}

impl Run {
    pub(crate) fn files(&self) -> Result<Files> {
        let config = self.folder.text("config")?;
        let entries = config::entries(&config).with_context(|| self.naming("config"))?;
        let known_hosts = self.folder.text("known_hosts")?;
        known_hosts::ours(&known_hosts).with_context(|| self.naming("known_hosts"))?;
        Ok(Files { config, known_hosts, entries })
    }

    /// A connection to the section `name` with nothing but this entry, these host keys and the keys of `folder`.
    pub(crate) fn isolated(
        &self,
        folder: &Path,
        entry: &Entry,
        lines: &[Line],
        name: &str,
    ) -> Result<Connection> {
        let config = config::with_entries("", std::slice::from_ref(entry))?;
        let known_hosts = known_hosts::with_lines("", lines)?;
        Connection::isolated(folder, &config, &known_hosts, name, &self.cancel)
    }

    fn naming(&self, name: &str) -> String {
        format!("read: {}", escape_path(self.folder.path().join(name)))
    }

    /// The name of a host's key file: the old script's or the usual one, unless another host uses that.
    pub(crate) fn key_name(&self, alias: Option<&str>, others: &[Entry]) -> String {
        let exists = |name: &str| self.folder.path().join(name).exists();
        let usual = if exists("id_rsa") && !exists("id_ed25519") { "id_rsa" } else { "id_ed25519" };
        match alias {
            Some(alias) if others.iter().any(|entry| entry.key == usual) => format!("id_ed25519_{alias}"),
            _ => usual.to_owned(),
        }
    }
}

impl Host<'_> {
    /// Prints which key the host has, and reports it.
    pub(crate) fn show_key(&mut self, key: &Key) {
        self.run.output.line("key", &escape_path(&key.path), &key.summary());
        self.name_key(key);
    }

    pub(crate) fn name_key(&mut self, key: &Key) {
        self.report.key_file = escape_path(&key.path);
        self.report.key_fingerprint.clone_from(&key.fingerprint);
        self.report.key_made = key.made;
    }

    /// Prints the fingerprints of host keys that are trusted because of `source`, and reports them.
    pub(crate) fn show_host_keys(&mut self, lines: &[Line], source: &str) {
        for fingerprint in known_hosts::short_fingerprints(lines) {
            self.run.output.line("host", &escape(fingerprint.as_bytes()), source);
            self.report.host_keys.push(fingerprint);
        }
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.run.output.warn(&text);
        self.report.warnings.push(text);
    }
}
