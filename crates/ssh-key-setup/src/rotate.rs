//! `--rotate`: a new key in place of the old one, without a moment in which none works.
//!
//! The names of the files show how far it is, so a run after an interruption goes on where it stopped:
//! `NAME.new` is there: the new key may be on the server, the old one is in use. `NAME.retiring` is there as well: the
//! new key is proved. Only `NAME.retiring` is there: the new key is in use, the old one may still be on the server.
//! In the end the old pair is kept as `NAME.old-DATE`.
//!
//! A key that other hosts use too stays as it is, for them: NAME is then that of a key of the host's own.

pub(crate) mod sharing;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use common::exit::HintExt;
use common::text::{escape, escape_path};
use common::units;

use crate::jump_hosts;
use crate::keys_file::install;
use crate::output::HostReport;
use crate::prove::{self, Make};
use crate::route::resolve;
use crate::route::route_connections::RouteConnections;
use crate::run::{Files, Run};
use crate::ssh_folder::config::Entry;
use crate::ssh_folder::key::{self, Key, beside};
use crate::ssh_folder::known_hosts::Line;
use crate::stage;

/// Whether a rotation of the entry's key was interrupted.
pub(crate) fn is_unfinished(run: &Run, entry: &Entry) -> bool {
    [entry.key.clone(), own_key(entry)].iter().any(|key| is_started(run, key))
}

/// The keys of an interrupted rotation, beside the entry's own: they may be on the server, too.
pub(crate) fn half_way(run: &Run, entry: &Entry) -> Result<Vec<Key>> {
    let mut names = vec![entry.key.clone(), own_key(entry)];
    names.dedup();
    let paths = names.iter().map(|name| run.folder.path().join(name));
    let started = paths.flat_map(|path| [beside(&path, ".new"), beside(&path, ".retiring")]);
    started.filter(|path| path.exists()).map(|path| key::read_only(&path)).collect()
}

/// Ends an interrupted rotation whose host is no more: its keys are kept under names with the date.
pub(crate) fn forget(run: &Run, keys: &[Key]) -> Result<()> {
    for key in keys {
        let name = key.name.trim_end_matches(".new").trim_end_matches(".retiring");
        put_aside(run, &run.folder.path().join(name), &key.path)?;
    }
    Ok(())
}

fn is_started(run: &Run, key: &str) -> bool {
    let path = run.folder.path().join(key);
    [".new", ".retiring"].iter().any(|suffix| beside(&path, suffix).exists())
}

/// The name of a key that is the host's alone.
fn own_key(entry: &Entry) -> String {
    format!("id_ed25519_{}", entry.alias)
}

/// The key file that the rotation is to end with. Fails if the rotation would shut another host out.
fn key_after(run: &Run, files: &Files, entry: &Entry) -> Result<String> {
    let own = own_key(entry);
    if is_started(run, &entry.key) {
        return Ok(entry.key.clone());
    }
    if is_started(run, &own) {
        return Ok(own);
    }
    let Some(other) = sharing::elsewhere(files, entry)? else { return Ok(entry.key.clone()) };
    let path = run.folder.path().join(&own);
    if path.exists() {
        return Err(anyhow!(
            "rotate: {}: {other} uses the same key, and a key of its own is in the way",
            entry.alias
        ))
        .hint(format!("move it away: {}", escape_path(&path)));
    }
    Ok(own)
}

/// Rotates the entry's key, or finishes what an earlier run began.
pub(crate) fn rotate(run: &Run, files: &Files, entry: &Entry, report: &mut HostReport) -> Result<()> {
    let rotated = rotate_to_the_end(run, files, entry, report);
    if rotated.is_err() && is_unfinished(run, entry) {
        let alias = &entry.alias;
        report.warn(
            run.output,
            format!("the rotation is half done; backups go on meanwhile; finish it: ssh-key-setup {alias}"),
        );
    }
    rotated
}

fn rotate_to_the_end(run: &Run, files: &Files, entry: &Entry, report: &mut HostReport) -> Result<()> {
    let old_key = run.folder.path().join(&entry.key);
    let after = Entry { key: key_after(run, files, entry)?, ..entry.clone() };
    let current = run.folder.path().join(&after.key);
    let (new, retiring) = (beside(&current, ".new"), beside(&current, ".retiring"));
    let what = if is_unfinished(run, entry) { "goes on" } else { "rotation" };
    let route = resolve::route(&entry.access, &run.cancel)?;
    report.server = route.target.shown();
    run.output.line(&entry.alias, &report.server, what);
    if after.key != entry.key {
        let aside = format!("{} stays, for the other hosts", entry.key);
        run.output.line("key", &escape_path(&current), &aside);
    }
    let mut chain = stage::settle_host_keys(run, &route, report)?;
    let lines = chain.lines();
    if !retiring.exists() {
        let key = key::find_or_make(run.folder.path(), &file_name(&new), Some(&entry.alias))?;
        run.show_key(&key);
        bring_in(run, entry, &key, &lines, &mut chain, report)?;
        fs::hard_link(&old_key, &retiring)
            .with_context(|| format!("keep the old key: {}", escape_path(&retiring)))?;
    }
    if new.exists() {
        // ssh offers what the public file holds, and fails if the private one is of another key. It needs none.
        let _ = fs::remove_file(beside(&current, ".pub"));
        fs::rename(&new, &current)
            .with_context(|| format!("put the new key in place: {}", escape_path(&current)))?;
    }
    let stray = beside(&new, ".pub");
    if stray.exists() {
        fs::rename(&stray, beside(&current, ".pub")).context("put the new public key in place")?;
    }
    let key = key::read(&current)?;
    report.name_key(&key);
    (report.key_made, report.changed) = (true, true);
    stage::write(run, files, &after, lines.clone(), report)?;
    let old = key::read(&retiring)?;
    if old.fingerprint == key.fingerprint {
        return Err(anyhow!("rotate: {}: the old and the new key are the same", escape_path(&retiring)));
    }
    send_off(run, files, &after, &old, &lines, &mut chain)?;
    put_aside(run, &current, &retiring)?;
    stage::prove_and_close(run, &after, report)
}

/// The new key onto the server and the jump hosts, beside the old one, and the proof that it works.
fn bring_in(
    run: &Run,
    entry: &Entry,
    key: &Key,
    lines: &[Line],
    chain: &mut RouteConnections,
    report: &mut HostReport,
) -> Result<()> {
    let staged_entry = Entry { key: key.name.clone(), ..entry.clone() };
    jump_hosts::let_in(run, &staged_entry, lines, key, chain, report)?;
    let staged = stage::staged(run, &staged_entry, lines)?;
    if !stage::is_accepted(&staged)? {
        let wanted = stage::wanted(entry, key);
        // The old key reaches the same file, so no one has to log in.
        let by_itself = stage::on_disk(run, entry)
            .and_then(|own| install::install(&own, &entry.authorized_keys, &wanted));
        if by_itself.is_err() || !stage::is_accepted(&staged)? {
            install::install(chain.server()?, &entry.authorized_keys, &wanted)?;
        }
        run.output.line(
            "server",
            &escape(entry.authorized_keys.as_bytes()),
            "the new key put in beside the old one",
        );
    }
    prove::prove(&staged, &staged_entry, Make::Nothing, &mut |_| {}).context("the new key")?;
    Ok(())
}

/// The old key off the server and the jump hosts, and seen to be refused.
fn send_off(
    run: &Run,
    files: &Files,
    entry: &Entry,
    old: &Key,
    lines: &[Line],
    chain: &mut RouteConnections,
) -> Result<()> {
    let own = stage::on_disk(run, entry)?;
    let retired = Entry { key: old.name.clone(), ..entry.clone() };
    let is_accepted = || stage::is_accepted(&stage::staged(run, &retired, lines)?);
    let is_out = matches!(install::uninstall(&own, &entry.authorized_keys, &old.public), Ok(true));
    if !is_out && is_accepted()? {
        install::uninstall(chain.server()?, &entry.authorized_keys, &old.public)?;
    }
    if is_accepted()? {
        return Err(anyhow!("rotate: {}: the server still takes the old key", entry.alias))
            .hint(format!("take this line out of the account's authorized_keys: {}", old.public));
    }
    run.output.line(
        "server",
        &escape(entry.authorized_keys.as_bytes()),
        "the old key is out and no longer accepted",
    );
    jump_hosts::take_off(files, entry, old, chain)
}

/// Keeps the old pair under a name with the date.
fn put_aside(run: &Run, current: &Path, retiring: &Path) -> Result<()> {
    let date: String = units::now().chars().take(19).filter(|c| *c != ':').collect();
    let names = (1..).map(|number| match number {
        1 => beside(current, &format!(".old-{date}")),
        _ => beside(current, &format!(".old-{date}-{number}")),
    });
    let mut free = names.filter(|name| !name.exists());
    let aside = free.next().unwrap_or_else(|| beside(current, ".old"));
    let _ = fs::rename(beside(retiring, ".pub"), beside(&aside, ".pub"));
    fs::rename(retiring, &aside).with_context(|| format!("keep the old key: {}", escape_path(&aside)))?;
    run.output.line("key", &escape_path(&aside), "the old one, kept");
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
