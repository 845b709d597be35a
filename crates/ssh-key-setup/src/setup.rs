//! From the command line to the report: which hosts a run is about, and what each needs.
//!
//! One run at a time: a lock. With several hosts one that fails does not keep the others from being done.

use anyhow::{Result, anyhow};
use common::cancel::Cancel;
use common::exit::{Exit, HintExt, hint_of, one_line};
use common::lock;
use common::problem;
use common::settings::Settings;
use common::text::escape_path;

use crate::authorized_keys;
use crate::cli::Cli;
use crate::folder::{self, Folder};
use crate::host_name;
use crate::key;
use crate::run::Run;
use crate::say::{Host, Report, Say};
use crate::wishes::{self, Wish};
use crate::{remove, rotate, server, ssh};

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
    // Keys, sockets and copies are for the user alone, whatever the umask was.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let lock_file = settings.state_dir().join("ssh-key-setup.lock");
    let _lock = match folder::with_cure(lock::attempt(&lock_file), &lock_file)? {
        lock::Attempt::Held(lock) => lock,
        lock::Attempt::Busy(holder) => {
            return Err(anyhow!("another ssh-key-setup runs: {holder}")).hint("wait for it");
        }
    };
    ssh::clear_leftovers();
    let path = settings.data_dir.join("ssh");
    let folder = if cli.check || cli.remove { Folder::look(&path) } else { Folder::open(&path) }?;
    let run = Run { cli, folder, cancel, say: Say { json: cli.json } };
    all(&run, &settings)
}

fn all(run: &Run, settings: &Settings) -> Result<Exit> {
    let wishes = wishes::wishes(run.cli, settings, &run.files()?.config)?;
    let mut report = Report { ok: true, folder: escape_path(run.folder.path()), ..Report::default() };
    if wishes.is_empty() {
        if run.cli.check || run.cli.rotate {
            let what = if run.cli.check { "check" } else { "rotate" };
            return Err(anyhow!("{what}: no host is set up")).hint("set one up: ssh-key-setup HOST");
        }
        key_alone(run, &mut report)?;
    }
    let alone = wishes.len() == 1;
    for (index, wish) in wishes.into_iter().enumerate() {
        if index > 0 {
            run.say.text("");
        }
        let mut told = Host { alias: wish.alias.clone(), ok: true, ..Host::default() };
        if let Err(error) = one(run, wish, &mut told) {
            if alone && !run.cli.json {
                return Err(error);
            }
            report.ok = false;
            told.ok = false;
            told.error = Some(one_line(&error));
            told.hint = hint_of(&error).map(str::to_owned);
            run.say.error(&error);
        }
        report.hosts.push(told);
    }
    if run.cli.json {
        common::out!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}

fn one(run: &Run, wish: Wish, told: &mut Host) -> Result<()> {
    let files = run.files()?;
    let entry = files.entries.iter().find(|entry| entry.alias == wish.alias).cloned();
    let cli = run.cli;
    match entry {
        Some(entry) if cli.check => server::check(run, &files, &entry, told),
        Some(entry) if cli.remove => remove::remove(run, &files, &entry, told),
        Some(entry) if cli.rotate || rotate::is_unfinished(run, &entry) => {
            rotate::rotate(run, &files, &entry, told)
        }
        None if cli.check || cli.remove || cli.rotate => {
            let known: Vec<&str> = files.entries.iter().map(|entry| entry.alias.as_str()).collect();
            Err(anyhow!("{} is not set up here", wish.alias)).hint(match known.as_slice() {
                [] => format!("set it up first: ssh-key-setup {}", wish.alias),
                known => format!("set it up first, or name one of these: {}", known.join(", ")),
            })
        }
        Some(entry) => server::set_up(run, &files, &wish.completed(&entry), Some(&entry), told),
        None => server::set_up(run, &files, &wish, None, told),
    }
}

/// No host yet: the key and the folder, and what to type next.
fn key_alone(run: &Run, report: &mut Report) -> Result<()> {
    let key = key::find_or_make(run.folder.path(), &run.key_name(None, &[]), None)?;
    let say = run.say;
    say.line("folder", &escape_path(run.folder.path()), "");
    run.tell_key(&key);
    say.text("\nNo server is set up yet. Type next, with what you type after `ssh` in the place of nas:\n");
    say.text("    ssh-key-setup nas --path /srv/restic\n");
    say.text(
        "Where you can't log in yourself, have this line put into the account's authorized_keys first:\n",
    );
    say.text(&format!("    {} {}", authorized_keys::sftp_only(None), key.public));
    report.public_key = Some(key.public);
    Ok(())
}
