//! The proof: with nothing but the folder, a file is written, read back, renamed and removed where the repository will
//! lie.
//!
//! In comes a connection that knows the folder alone; out go the checks one by one, as they are done. The first that
//! fails ends the proof with an error that says which it was and why.

mod restriction;
mod terminal;

use std::fs;

use anyhow::{Result, anyhow};
use common::atomic;
use common::process::End;
use common::text::escape;
use common::units;
use serde::Serialize;

use crate::connection::failure::hinted;
use crate::connection::sftp::{self, batch, quote};
use crate::connection::ssh::Connection;
use crate::ssh_folder::config::Entry;

/// Something that was seen to hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// What was seen.
    pub(crate) detail: String,
}

/// Whether the server refuses what the entry's line is to forbid.
pub(crate) fn restriction_holds(connection: &Connection, entry: &Entry) -> Result<bool> {
    match restriction::prove(connection, entry) {
        Ok(_) => Ok(true),
        Err(error) if crate::connection::failure::kind_of(&error).is_none() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Marks an error: the key may do more than it should.
#[derive(Clone, Copy, Debug)]
struct AboutRestriction;

impl std::fmt::Display for AboutRestriction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("prove")
    }
}

/// Whether the proof failed because the key may do more than it should.
pub(crate) fn is_about_restriction(error: &anyhow::Error) -> bool {
    error.downcast_ref::<AboutRestriction>().is_some()
}

/// Whether the repository's folder is made if it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    /// With all folders above it.
    Folder,
    /// It has to be there.
    Nothing,
}

/// Runs the proof; each check goes to `on_check` as it is done. Returns the free bytes where the repository lies, if
/// the server reports them.
pub(crate) fn prove(
    connection: &Connection,
    entry: &Entry,
    make: Make,
    on_check: &mut dyn FnMut(&Check),
) -> Result<Option<u64>> {
    let mut seen = |name: &'static str, detail: String| on_check(&Check { name, detail });
    let free = files(connection, entry, make, &mut seen)?;
    seen("files", format!("written, read back, renamed and removed in {}", escape(entry.path.as_bytes())));
    if let Some(free) = free {
        seen("space", format!("{} free", units::bytes(free)));
    }
    if let Some(found) = restic(connection, entry)? {
        seen("restic", found);
    }
    if entry.restricted {
        let seen_refused = restriction::prove(connection, entry).map_err(|error| {
            if crate::connection::failure::kind_of(&error).is_some() {
                error
            } else {
                error.context(AboutRestriction)
            }
        })?;
        seen("restriction", seen_refused);
    }
    Ok(free)
}

/// Writes, reads back, renames and removes a file; returns the free space.
fn files(
    connection: &Connection,
    entry: &Entry,
    make: Make,
    seen: &mut dyn FnMut(&'static str, String),
) -> Result<Option<u64>> {
    let local = connection.local();
    let back = local.with_extension("back");
    let content =
        format!("ssh-key-setup was here at {} and could not remove this file\n", units::now()).repeat(100);
    atomic::write(&local, content.as_bytes(), 0o600)?;
    // By this host's name, so that the next run clears away what a killed one left, and no other host's.
    let remote = format!("{}/.ssh-key-setup-proof-{}", entry.path.trim_end_matches('/'), own_name());
    let (first, second) = (quote(&remote), quote(&format!("{remote}-renamed")));
    let missing = if make == Make::Folder { folders(&entry.path) } else { Vec::new() };
    let mut commands: Vec<String> =
        missing.iter().map(|folder| format!("-mkdir {}", quote(folder))).collect();
    commands.extend([format!("-rm {first}"), format!("-rm {second}")]);
    let made = commands.len();
    let steps = [
        ("open the folder", format!("ls -lan {}", quote(&entry.path))),
        ("write a file", format!("put {} {first}", quote(&local.to_string_lossy()))),
        ("read it back", format!("get {first} {}", quote(&back.to_string_lossy()))),
        ("rename it", format!("rename {first} {second}")),
        ("remove it", format!("rm {second}")),
        ("see the free space", format!("-df {}", quote(&entry.path))),
    ];
    commands.extend(steps.iter().map(|(_, command)| command.clone()));
    let done = batch(connection, &commands)?;
    seen("connect", "the folder's key, known_hosts and config let it in".to_owned());
    let same = fs::read_to_string(&back).is_ok_and(|back| back == content);
    if let Some((index, why)) = done.failure() {
        let step = steps.get(index.saturating_sub(made)).map_or("make the folder", |(step, _)| step);
        return Err(explain(connection, entry, step, why, &[first, second]));
    }
    if !same {
        return Err(anyhow!(
            "prove: read it back: {}: it is not what was written",
            escape(remote.as_bytes())
        ));
    }
    Ok(sftp::free_bytes(done.output(commands.len() - 1)))
}

/// This host's name, with only the characters that a file's name may have.
fn own_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Every folder on the way to `path`, the topmost first.
fn folders(path: &str) -> Vec<String> {
    let ends = path.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| path[..at].to_owned());
    ends.chain([path.to_owned()]).filter(|folder| !folder.ends_with('/') && !folder.is_empty()).collect()
}

/// Cleans up, and says why a step failed.
fn explain(
    connection: &Connection,
    entry: &Entry,
    step: &str,
    why: &str,
    leftovers: &[String],
) -> anyhow::Error {
    let mut commands: Vec<String> = leftovers.iter().map(|file| format!("-rm {file}")).collect();
    commands.push(format!("-df {}", quote(&entry.path)));
    let free =
        batch(connection, &commands).ok().and_then(|done| sftp::free_bytes(done.output(leftovers.len())));
    let path = escape(entry.path.as_bytes());
    let (what, hint) = if free == Some(0) {
        ("the disk is full", "make room on the server, or choose another place with --path".to_owned())
        // SFTP's status codes don't get out of `sftp`; only the hint depends on its words.
    } else if why.contains("ermission denied")
        || why.contains("ead-only")
        || why.contains("not found")
        || why.contains("No such file")
    {
        (
            "the path is not writable",
            format!(
                "have the folder made for this account on the server, or choose another with --path ({} is its home)",
                escape(entry.home.as_bytes())
            ),
        )
    } else {
        ("the server refuses it", "look for the reason in the server's own log".to_owned())
    };
    hinted(anyhow!("prove: {step}: {path}: {what}: {why}"), hint)
}

/// restic's exit code since 0.17 if the password opens no key of the repository.
const WRONG_PASSWORD: i32 = 12;
/// restic's exit code since 0.17 if there is no repository.
const NO_REPOSITORY: i32 = 10;

/// Has restic itself, if it is installed, look for a repository there over the folder: nothing is written.
fn restic(connection: &Connection, entry: &Entry) -> Result<Option<String>> {
    let words = connection.options().iter().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = ["ssh".to_owned()]
        .into_iter()
        .chain(words)
        .chain([entry.alias.clone(), "-s".into(), "sftp".into()])
        .collect();
    let ssh = shlex::try_join(words.iter().map(String::as_str))?;
    let mut command = connection.bare_program("restic");
    command.args(["-o", &format!("sftp.command={ssh}"), "--no-cache", "--no-lock"]);
    command.args(["-r", &repository(entry), "cat", "config"]);
    // Only so that restic does not ask for one.
    command.env("RESTIC_PASSWORD", "none");
    let terminal = terminal::keep();
    let ran = connection.capture(&mut command, b"");
    drop(terminal);
    let Ok(ran) = ran else { return Ok(None) };
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    let is_there = match ran.end {
        End::Exited(0 | WRONG_PASSWORD) => Some(true),
        End::Exited(NO_REPOSITORY) => Some(false),
        // Before 0.17 restic exits with 1 for everything (0.14 was tried): its words are the only sign.
        End::Exited(1) if stderr.contains("wrong password") => Some(true),
        End::Exited(1) if stderr.contains("Is there a repository") => Some(false),
        _ => None,
    };
    match is_there {
        Some(true) => return Ok(Some("reaches it; a repository is there already".to_owned())),
        Some(false) => {
            return Ok(Some("reaches it; no repository is there yet, Backrest makes one".to_owned()));
        }
        None => {}
    }
    let last = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
    Err(anyhow!(
        "prove: restic: {}: {}: {}",
        escape(repository(entry).as_bytes()),
        ran.end,
        escape(last.as_bytes())
    ))
}

/// What Backrest is to be given.
pub(crate) fn repository(entry: &Entry) -> String {
    format!("sftp:{}:{}", entry.alias, entry.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_on_the_way_is_named() {
        assert_eq!(folders("/srv/my backups/r"), ["/srv", "/srv/my backups", "/srv/my backups/r"]);
        assert_eq!(folders("/r"), ["/r"]);
    }
}
