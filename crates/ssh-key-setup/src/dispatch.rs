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

use crate::cli::Cli;
use crate::connection::ssh;
use crate::keys_file::authorized_keys;
use crate::output::{HostReport, Output, Report};
use crate::remove;
use crate::request::{Action, Request};
use crate::run::{Host, Run};
use crate::set_up;
use crate::ssh_folder::config::Target;
use crate::ssh_folder::folder::{self, Folder};
use crate::ssh_folder::key;
use crate::targets;

pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    let request = Request::of(cli.clone())?;
    let settings = Settings::load(&cli.places, None, None)?;
    problem::warn("ssh-key-setup", &settings.problems);
    let cancel = Cancel::on_signals()?;
    // Keys, sockets and copies are for the user alone, whatever the umask was.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let lock_file = settings.layout().ssh_lock();
    let _lock = match folder::with_cure(lock::attempt(&lock_file), &lock_file)? {
        lock::Attempt::Held(lock) => lock,
        lock::Attempt::Busy(holder) => {
            return Err(anyhow!("another ssh-key-setup is running: {holder}"))
                .hint("wait until it is done, then run this again");
        }
    };
    ssh::clear_leftovers();
    let path = settings.data_dir.join("ssh");
    let folder = if request.action.needs_folder() { Folder::look(&path) } else { Folder::open(&path) }?;
    let output = Output { json: request.json };
    let run = Run { request, folder, cancel, output };
    all(&run, &settings)
}

fn all(run: &Run, settings: &Settings) -> Result<Exit> {
    let targets = targets::targets(&run.request, settings, &run.files()?.config)?;
    let mut report = Report { ok: true, folder: escape_path(run.folder.path()), ..Report::default() };
    if targets.is_empty() {
        if run.request.action != Action::SetUp {
            let doing = if run.request.action == Action::Rotate { "rotate" } else { "check" };
            return Err(anyhow!("{doing}: no host is set up")).hint("set one up: ssh-key-setup HOST");
        }
        key_alone(run, &mut report)?;
    }
    let alone = targets.len() == 1;
    for (index, target) in targets.into_iter().enumerate() {
        if index > 0 {
            run.output.text("");
        }
        let about = HostReport { alias: target.alias.clone(), ok: true, ..HostReport::default() };
        let mut host = Host { run, files: run.files()?, report: about };
        if let Err(error) = one(&mut host, target) {
            if alone && !run.request.json {
                return Err(error);
            }
            report.ok = false;
            host.report.ok = false;
            host.report.error = Some(one_line(&error));
            host.report.hint = hint_of(&error).map(str::to_owned);
            common::exit::report("ssh-key-setup", &error);
        }
        report.hosts.push(host.report);
    }
    if run.request.json {
        common::out!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}

fn one(host: &mut Host, target: Target) -> Result<()> {
    let entry = host.files.entries.iter().find(|entry| entry.alias == target.alias).cloned();
    match (host.run.request.action, entry) {
        (Action::Check, Some(entry)) => set_up::check(host, &entry),
        (Action::Remove { offline }, Some(entry)) => remove::remove(host, &entry, offline),
        (Action::SetUp | Action::Rotate, Some(entry)) => {
            set_up::set_up(host, &target.completed(&entry), Some(&entry))
        }
        (Action::SetUp, None) => set_up::set_up(host, &target, None),
        (_, None) => {
            let known: Vec<&str> = host.files.entries.iter().map(|entry| entry.alias.as_str()).collect();
            Err(anyhow!("{} is not set up here", target.alias)).hint(match known.as_slice() {
                [] => format!("set it up first: ssh-key-setup {}", target.alias),
                known => format!("set it up first, or name one of these: {}", known.join(", ")),
            })
        }
    }
}

/// No host yet: the key and the folder, and what to type next.
fn key_alone(run: &Run, report: &mut Report) -> Result<()> {
    let key = key::find_or_make(run.folder.path(), &run.key_name(None, &[]), None)?;
    let output = run.output;
    output.line("folder", &escape_path(run.folder.path()), "");
    output.line("key", &escape_path(&key.path), &key.summary());
    output
        .text("\nNo server is set up yet. Type this next, with the name that you type after `ssh` in place of nas:\n");
    output.text("    ssh-key-setup nas --path /srv/restic\n");
    output
        .text("If you can't log in yourself, first have this line added to the account's authorized_keys:\n");
    output.text(&format!("    {} {}", authorized_keys::sftp_only(None), key.public));
    report.public_key = Some(key.public);
    Ok(())
}
