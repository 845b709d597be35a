//! `--rotate`: a new key in the place of the old one, without a moment in which none works.
//!
//! The names of the files say how far it is, so a run after an interruption goes on where it stopped:
//! `NAME.new` is there: the new key may be on the server, the old one is in use. `NAME.retiring` is there as well: the
//! new key is proved. Only `NAME.retiring` is there: the new key is in use, the old one may still be on the server.
//! In the end the old pair is kept as `NAME.old-DATE`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use common::text::{escape, escape_path};
use common::units;

use crate::chain::Chain;
use crate::config::Entry;
use crate::failure::hinted;
use crate::install;
use crate::key::{self, Key, beside};
use crate::known_hosts::Line;
use crate::prove::{self, Make};
use crate::say::Host;
use crate::setup::{Files, Run};
use crate::{hops, resolve, server};

/// Whether a rotation of the entry's key was interrupted.
pub(crate) fn is_unfinished(run: &Run, entry: &Entry) -> bool {
    let path = run.folder.path().join(&entry.key);
    [".new", ".retiring"].iter().any(|suffix| beside(&path, suffix).exists())
}

/// Rotates the entry's key, or finishes what an earlier run began.
pub(crate) fn rotate(run: &Run, files: &Files, entry: &Entry, told: &mut Host) -> Result<()> {
    let sharing = files.entries.iter().find(|other| other.alias != entry.alias && other.key == entry.key);
    if let Some(other) = sharing {
        return Err(hinted(
            anyhow!("rotate: {}: {} uses the same key", entry.alias, other.alias),
            format!(
                "give it a key of its own first: ssh-key-setup {0} --remove, then ssh-key-setup {0}",
                entry.alias
            ),
        ));
    }
    let current = run.folder.path().join(&entry.key);
    let (new, retiring) = (beside(&current, ".new"), beside(&current, ".retiring"));
    let what = if is_unfinished(run, entry) { "goes on" } else { "rotation" };
    let route = resolve::route(&entry.access(), &run.cancel)?;
    told.server = route.target.shown();
    run.say.line(&entry.alias, &told.server, what);
    let mut chain = server::settle_host_keys(run, &route, told)?;
    let lines = chain.lines();
    if !retiring.exists() {
        let key = key::find_or_make(run.folder.path(), &file_name(&new), Some(&entry.alias))?;
        run.tell_key(&key);
        bring_in(run, entry, &key, &lines, &mut chain, told)?;
        fs::hard_link(&current, &retiring)
            .with_context(|| format!("keep the old key: {}", escape_path(&retiring)))?;
    }
    if new.exists() {
        fs::rename(&new, &current)
            .with_context(|| format!("put the new key in place: {}", escape_path(&current)))?;
    }
    let stray = beside(&new, ".pub");
    if stray.exists() {
        fs::rename(&stray, beside(&current, ".pub")).context("put the new public key in place")?;
    }
    let key = key::read(&current)?;
    (told.key_file, told.key_fingerprint, told.key_made) =
        (escape_path(&key.path), key.fingerprint.clone(), true);
    told.changed = true;
    server::write(run, files, entry, lines.clone(), told)?;
    let old = key::read(&retiring)?;
    if old.fingerprint == key.fingerprint {
        return Err(anyhow!("rotate: {}: the old and the new key are the same", escape_path(&retiring)));
    }
    send_off(run, entry, &old, &lines, &mut chain)?;
    put_aside(run, &current, &retiring)?;
    server::prove_and_close(run, entry, told)
}

/// The new key onto the server and the jump hosts, beside the old one, and the proof that it works.
fn bring_in(
    run: &Run,
    entry: &Entry,
    key: &Key,
    lines: &[Line],
    chain: &mut Chain,
    told: &mut Host,
) -> Result<()> {
    let staged_entry = Entry { key: key.name.clone(), ..entry.clone() };
    hops::let_in(run, &staged_entry, lines, key, chain, told)?;
    let staged = server::staged(run, &staged_entry, lines)?;
    if !server::is_accepted(&staged)? {
        let wanted = server::wanted(entry, key);
        // The old key gets at the same file, so nobody has to log in.
        let by_itself = server::on_disk(run, entry)
            .and_then(|own| install::install(&own, &entry.authorized_keys, &wanted));
        if by_itself.is_err() || !server::is_accepted(&staged)? {
            install::install(chain.server()?, &entry.authorized_keys, &wanted)?;
        }
        run.say.line(
            "server",
            &escape(entry.authorized_keys.as_bytes()),
            "the new key put in beside the old one",
        );
    }
    prove::prove(&staged, &staged_entry, Make::Nothing, &mut |_| {}).context("the new key")?;
    Ok(())
}

/// The old key off the server and the jump hosts, and seen to be refused.
fn send_off(run: &Run, entry: &Entry, old: &Key, lines: &[Line], chain: &mut Chain) -> Result<()> {
    let own = server::on_disk(run, entry)?;
    if !matches!(install::uninstall(&own, &entry.authorized_keys, &old.public), Ok(true)) {
        let retired = Entry { key: old.name.clone(), ..entry.clone() };
        if server::is_accepted(&server::staged(run, &retired, lines)?)? {
            install::uninstall(chain.server()?, &entry.authorized_keys, &old.public)?;
        }
    }
    let retired = Entry { key: old.name.clone(), ..entry.clone() };
    if server::is_accepted(&server::staged(run, &retired, lines)?)? {
        return Err(hinted(
            anyhow!("rotate: {}: the server still takes the old key", entry.alias),
            format!("take this line out of the account's authorized_keys: {}", old.public),
        ));
    }
    run.say.line(
        "server",
        &escape(entry.authorized_keys.as_bytes()),
        "the old key is out and no longer accepted",
    );
    hops::take_off(entry, old, chain)
}

/// Keeps the old pair under a name with the date.
fn put_aside(run: &Run, current: &Path, retiring: &Path) -> Result<()> {
    let date: String = units::now().chars().take(19).filter(|c| *c != ':').collect();
    let aside = beside(current, &format!(".old-{date}"));
    let _ = fs::rename(beside(retiring, ".pub"), beside(&aside, ".pub"));
    fs::rename(retiring, &aside).with_context(|| format!("keep the old key: {}", escape_path(&aside)))?;
    run.say.line("key", &escape_path(&aside), "the old one, kept");
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
