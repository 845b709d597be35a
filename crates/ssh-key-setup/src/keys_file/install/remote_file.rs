//! A file on the server, changed over SFTP as a whole or not at all.
//!
//! It is fetched, changed here, put beside the old one under another name, fetched again and compared, given the old
//! one's mode, and then renamed over it (posix-rename on OpenSSH's server, which is atomic). Interrupted
//! anywhere, the old file is as it was; the next run uses the same name for its part file, so nothing piles up. A
//! symlink stays one: all of this happens to the file that it leads to.
//!
//! SFTP knows no locks. So the old file is read again just before the rename, in the same batch: what another program
//! has put in meanwhile is never lost.

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow};
use common::text::escape;

use crate::connection::failure::hinted;
use crate::connection::sftp::{self, ListedFile, batch, quote};
use crate::connection::ssh::Connection;

/// What is done about a folder that is missing.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Missing {
    Make,
    Leave,
}

/// What stands at a path on the server.
#[derive(Debug)]
pub(crate) enum Place {
    /// Nothing, or nothing that can be seen.
    Empty,
    /// A file, where it really lies: the end of a symlink.
    File(String, ListedFile),
    /// Something else; the words say what.
    NoFile(String),
}

/// The file on the server and its text.
#[derive(Debug)]
struct Remote {
    path: String,
    text: Vec<u8>,
    /// `None` if there was no file.
    found: Option<ListedFile>,
}

/// How an attempt to replace a file ended.
enum ReplaceOutcome {
    Done,
    /// Another program changed the file in between; its version is still there.
    Changed,
    /// Another program changed it at the last moment: this is what it had written there.
    Overwrote(Vec<u8>),
}

/// How many times another program may change the file while we do.
const ATTEMPTS: usize = 5;

/// Replaces the text of `path` by what `edit` makes of it; returns whether there was something to change. Errors come
/// with `cure` as their hint.
pub(super) fn change(
    connection: &Connection,
    path: &str,
    missing: Missing,
    cure: &str,
    edit: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<bool> {
    let mut remote = fetch(connection, path, cure, missing)?;
    let Some(mut text) = edit(&remote.text) else { return Ok(false) };
    for _ in 0..ATTEMPTS {
        match replace(connection, &remote, &text, cure)? {
            ReplaceOutcome::Done => return Ok(true),
            ReplaceOutcome::Changed => {
                remote = fetch(connection, path, cure, missing)?;
                let Some(again) = edit(&remote.text) else { return Ok(true) };
                text = again;
            }
            ReplaceOutcome::Overwrote(theirs) => {
                let both = edit(&theirs).unwrap_or(theirs);
                remote.text = std::mem::replace(&mut text, both);
            }
        }
    }
    Err(refused(connection, "write", path, "it keeps changing while it is being edited", cure))
}

/// The text of `path`; empty if there is no such file.
pub(super) fn text(connection: &Connection, path: &str) -> Result<Vec<u8>> {
    Ok(fetch(connection, path, "", Missing::Leave)?.text)
}

pub(super) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// What stands at `path`.
pub(crate) fn look(connection: &Connection, path: &str) -> Result<Place> {
    let listing = batch(connection, &[format!("ls -lan {}", quote(parent(path)))])?;
    place(connection, path, &sftp::listed(listing.output(0)))
}

/// The same, from the listing of the folder.
fn place(connection: &Connection, path: &str, entries: &[ListedFile]) -> Result<Place> {
    let Some(found) = entry(entries, path) else { return Ok(Place::Empty) };
    if !found.is_symlink() {
        return Ok(match found.mode.starts_with('-') {
            true => Place::File(path.to_owned(), found.clone()),
            false => Place::NoFile("it is not a file".to_owned()),
        });
    }
    let Some(target) = sftp::link_target(connection, path)? else {
        return Ok(Place::NoFile("it is a symlink that leads to no file".to_owned()));
    };
    let listing = batch(connection, &[format!("ls -lan {}", quote(parent(&target)))])?;
    Ok(match entry(&sftp::listed(listing.output(0)), &target) {
        Some(found) if found.mode.starts_with('-') => Place::File(target, found.clone()),
        _ => Place::NoFile(format!(
            "it is a symlink, and what it leads to can't be seen: {}",
            escape(target.as_bytes())
        )),
    })
}

/// What a listing of its folder says about `path`.
fn entry<'a>(entries: &'a [ListedFile], path: &str) -> Option<&'a ListedFile> {
    let name = path.rsplit('/').next().unwrap_or(path);
    entries.iter().find(|entry| entry.name == name)
}

fn fetch(connection: &Connection, path: &str, cure: &str, missing: Missing) -> Result<Remote> {
    let folder = parent(path);
    let listing = batch(connection, &[format!("ls -lan {}", quote(folder))])?;
    if listing.failed.is_some() && missing == Missing::Make {
        let made =
            batch(connection, &[format!("mkdir {}", quote(folder)), format!("chmod 700 {}", quote(folder))])?;
        if let Some((_, why)) = made.failure() {
            return Err(refused(connection, "make", folder, why, cure));
        }
    }
    match place(connection, path, &sftp::listed(listing.output(0)))? {
        Place::Empty => Ok(Remote { path: path.to_owned(), text: Vec::new(), found: None }),
        Place::NoFile(why) => Err(refused(connection, "change", path, &why, cure)),
        Place::File(path, found) => {
            let local = connection.local();
            let got = batch(connection, &[get(&path, &local)])?;
            if let Some((_, why)) = got.failure() {
                return Err(refused(connection, "read", &path, why, cure));
            }
            let text = take(&local).unwrap_or_default();
            Ok(Remote { path, text, found: Some(found) })
        }
    }
}

fn get(remote: &str, local: &Path) -> String {
    format!("get {} {}", quote(remote), quote(&local.to_string_lossy()))
}

/// The text of a file that was fetched; the file is gone then.
fn take(local: &Path) -> Option<Vec<u8>> {
    let text = fs::read(local).ok()?;
    let _ = fs::remove_file(local);
    Some(text)
}

fn replace(connection: &Connection, old: &Remote, text: &[u8], cure: &str) -> Result<ReplaceOutcome> {
    let part = format!("{}.ssh-key-setup", old.path);
    let (put, changed) = put_beside(connection, old, text, &part)?;
    if changed {
        batch(connection, &[format!("-rm {}", quote(&part))])?;
        return Ok(ReplaceOutcome::Changed);
    }
    let renamed = match put {
        None => rename(connection, old, &part)?,
        Some(why) => Err(why),
    };
    let why = match renamed {
        Ok(replaced) => return Ok(replaced),
        Err(why) => why,
    };
    let free =
        batch(connection, &[format!("-rm {}", quote(&part)), format!("-df {}", quote(parent(&old.path)))])?;
    if old.found.is_none() && !matches!(look(connection, &old.path)?, Place::Empty) {
        return Ok(ReplaceOutcome::Changed);
    }
    let why = match sftp::free_bytes(free.output(1)) {
        Some(0) => format!("the disk is full: {why}"),
        _ => why,
    };
    Err(refused(connection, "write", &old.path, &why, cure))
}

/// Puts the new text beside the old file, with its mode. Returns why that failed, if it did, and whether
/// the old file has changed meanwhile.
fn put_beside(
    connection: &Connection,
    old: &Remote,
    text: &[u8],
    part: &str,
) -> Result<(Option<String>, bool)> {
    let local = connection.local();
    let (back, now) = (local.with_extension("back"), local.with_extension("now"));
    common::atomic::write(&local, text, 0o600)?;
    let mut commands = vec![
        format!("-rm {}", quote(part)),
        format!("put {} {}", quote(&local.to_string_lossy()), quote(part)),
        get(part, &back),
        format!("chmod {:o} {}", old.found.as_ref().map_or(0o600, ListedFile::bits), quote(part)),
        // Of the folder: of one file alone, sftp prints names instead of numbers.
        format!("ls -lan {}", quote(parent(part))),
    ];
    commands.extend(old.found.is_some().then(|| get(&old.path, &now)));
    let put = batch(connection, &commands)?;
    let _ = fs::remove_file(&local);
    let (back, now) = (take(&back), take(&now));
    if let Some((_, why)) = put.failure() {
        return Ok((Some(why.to_owned()), false));
    }
    if back.is_none_or(|back| back != text) {
        return Ok((Some("what arrived is not what was sent".to_owned()), false));
    }
    let (Some(found), Some(now)) = (&old.found, now) else { return Ok((None, false)) };
    let entries = sftp::listed(put.output(4));
    // A file that was given to another user is not for the account to change.
    let foreign = entry(&entries, part).filter(|ours| ours.owner != found.owner);
    let why = foreign
        .map(|ours| format!("it belongs to user {}, not to the account (user {})", found.owner, ours.owner));
    Ok((why, now != old.text))
}

/// Renames the part over the old file; the inner error is why the server refused it.
fn rename(
    connection: &Connection,
    old: &Remote,
    part: &str,
) -> Result<std::result::Result<ReplaceOutcome, String>> {
    let now = connection.local().with_extension("now");
    let commands = match old.found {
        Some(_) => vec![get(&old.path, &now), format!("rename {} {}", quote(part), quote(&old.path))],
        // The older rename of the protocol's does not replace a file that has come up meanwhile.
        None => vec![format!("rename -l {} {}", quote(part), quote(&old.path))],
    };
    let renamed = batch(connection, &commands)?;
    let theirs = take(&now).filter(|theirs| *theirs != old.text);
    Ok(match (renamed.failure(), theirs) {
        (Some((_, why)), _) => Err(why.to_owned()),
        (None, Some(theirs)) => Ok(ReplaceOutcome::Overwrote(theirs)),
        (None, None) => Ok(ReplaceOutcome::Done),
    })
}

fn refused(connection: &Connection, what: &str, path: &str, why: &str, cure: &str) -> anyhow::Error {
    let error = anyhow!(
        "{what} on the server: {}: {}: {}",
        escape(connection.host.as_bytes()),
        escape(path.as_bytes()),
        why
    );
    hinted(error, cure)
}
