//! One run: what it is about, and what it tells in the end.
//!
//! One run at a time: a lock. With several hosts one that fails does not keep the others from being done.

use anyhow::{Context, Result, anyhow};
use common::cancel::Cancel;
use common::exit::{Exit, HintExt, hint_of, one_line};
use common::lock;
use common::problem;
use common::settings::Settings;
use common::text::escape_path;

use crate::authorized_keys;
use crate::cli::Cli;
use crate::config::{self, Entry};
use crate::folder::Folder;
use crate::host_name;
use crate::key;
use crate::known_hosts;
use crate::say::{Host, Report, Say};
use crate::wishes::{self, Wish};
use crate::{remove, rotate, server};

/// What every stage needs.
pub(crate) struct Run<'a> {
    pub(crate) cli: &'a Cli,
    pub(crate) folder: Folder,
    pub(crate) cancel: Cancel,
    pub(crate) say: Say,
}

/// The folder's files, as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) config: String,
    pub(crate) known_hosts: String,
    /// The hosts in `config`.
    pub(crate) entries: Vec<Entry>,
}

/// Does what the command line asks.
pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    if let Some(host) = &cli.host {
        host_name::check(host)?;
    }
    if let Some(path) = &cli.path {
        server::check_path(path)?;
    }
    let settings = Settings::load(&cli.places, None, None)?;
    problem::warn("ssh-key-setup", &settings.problems);
    let cancel = Cancel::on_signals()?;
    let _lock = match lock::attempt(&settings.state_dir().join("ssh-key-setup.lock"))? {
        lock::Attempt::Held(lock) => lock,
        lock::Attempt::Busy(holder) => {
            return Err(anyhow!("another ssh-key-setup runs: {holder}")).hint("wait for it");
        }
    };
    let path = settings.data_dir.join("ssh");
    let folder = if cli.check || cli.remove { Folder::look(&path) } else { Folder::open(&path) }?;
    let run = Run { cli, folder, cancel, say: Say { json: cli.json } };
    run.all(&settings)
}

impl Run<'_> {
    fn all(&self, settings: &Settings) -> Result<Exit> {
        let wishes = wishes::wishes(self.cli, settings, &self.files()?.config)?;
        let mut report = Report { ok: true, folder: escape_path(self.folder.path()), ..Report::default() };
        if wishes.is_empty() {
            if self.cli.check || self.cli.rotate {
                let what = if self.cli.check { "check" } else { "rotate" };
                return Err(anyhow!("{what}: no host is set up")).hint("set one up: ssh-key-setup HOST");
            }
            self.key_alone(&mut report)?;
        }
        let alone = wishes.len() == 1;
        for (index, wish) in wishes.into_iter().enumerate() {
            if index > 0 {
                self.say.text("");
            }
            let mut told = Host { alias: wish.alias.clone(), ok: true, ..Host::default() };
            if let Err(error) = self.one(wish, &mut told) {
                if alone && !self.cli.json {
                    return Err(error);
                }
                report.ok = false;
                told.ok = false;
                told.error = Some(one_line(&error));
                told.hint = hint_of(&error).map(str::to_owned);
                self.say.error(&error);
            }
            report.hosts.push(told);
        }
        if self.cli.json {
            anstream::println!("{}", serde_json::to_string_pretty(&report)?);
        }
        Ok(if report.ok { Exit::Done } else { Exit::Failed })
    }

    fn one(&self, wish: Wish, told: &mut Host) -> Result<()> {
        let files = self.files()?;
        let entry = files.entries.iter().find(|entry| entry.alias == wish.alias).cloned();
        let cli = self.cli;
        match entry {
            Some(entry) if cli.check => server::check(self, &files, &entry, told),
            Some(entry) if cli.remove => remove::remove(self, &files, &entry, told),
            Some(entry) if cli.rotate || rotate::is_unfinished(self, &entry) => {
                rotate::rotate(self, &files, &entry, told)
            }
            None if cli.check || cli.remove || cli.rotate => {
                let known: Vec<&str> = files.entries.iter().map(|entry| entry.alias.as_str()).collect();
                Err(anyhow!("{} is not set up here", wish.alias)).hint(match known.as_slice() {
                    [] => format!("set it up first: ssh-key-setup {}", wish.alias),
                    known => format!("set it up first, or name one of these: {}", known.join(", ")),
                })
            }
            Some(entry) => server::set_up(self, &files, &wish.completed(&entry), Some(&entry), told),
            None => server::set_up(self, &files, &wish, None, told),
        }
    }

    /// The folder's files as they are now.
    pub(crate) fn files(&self) -> Result<Files> {
        let config = self.folder.text("config")?;
        let entries = config::entries(&config).with_context(|| self.naming("config"))?;
        let known_hosts = self.folder.text("known_hosts")?;
        known_hosts::ours(&known_hosts).with_context(|| self.naming("known_hosts"))?;
        Ok(Files { config, known_hosts, entries })
    }

    fn naming(&self, name: &str) -> String {
        format!("read: {}", escape_path(self.folder.path().join(name)))
    }

    /// No host yet: the key and the folder, and what to type next.
    fn key_alone(&self, report: &mut Report) -> Result<()> {
        let key = key::find_or_make(self.folder.path(), &self.key_name(None, &[]), None)?;
        let say = self.say;
        say.line("folder", &escape_path(self.folder.path()), "");
        self.tell_key(&key);
        say.text(
            "\nNo server is set up yet. Type next, with what you type after `ssh` in the place of nas:\n",
        );
        say.text("    ssh-key-setup nas --path /srv/restic\n");
        say.text(
            "Where you can't log in yourself, have this line put into the account's authorized_keys first:\n",
        );
        say.text(&format!("    {} {}", authorized_keys::sftp_only(None), key.public));
        report.public_key = Some(key.public);
        Ok(())
    }

    pub(crate) fn tell_key(&self, key: &key::Key) {
        let what = if key.made { "made" } else { "kept" };
        self.say.line("key", &escape_path(&key.path), &format!("{}, {what}", key.fingerprint));
    }

    /// The name of a host's key file: the old script's or the usual one, unless another host uses that.
    pub(crate) fn key_name(&self, alias: Option<&str>, others: &[&Entry]) -> String {
        let exists = |name: &str| self.folder.path().join(name).exists();
        let usual = if exists("id_rsa") && !exists("id_ed25519") { "id_rsa" } else { "id_ed25519" };
        match alias {
            Some(alias) if others.iter().any(|entry| entry.key == usual) => format!("id_ed25519_{alias}"),
            _ => usual.to_owned(),
        }
    }
}
