//! The key into the server's `authorized_keys`, over SFTP.
//!
//! The file is fetched, changed here, put beside the old one under another name, fetched again and compared, given the
//! old one's mode, and then renamed over it (posix-rename on OpenSSH's server, which is atomic). Interrupted anywhere,
//! the old file is as it was; the next run uses the same name for its part file, so nothing piles up. A symlink stays
//! one: all of this happens to the file that it leads to.

use std::fs;

use anyhow::{Result, anyhow};
use common::text::escape;

use crate::authorized_keys::{self, Edit, Wanted};
use crate::failure::hinted;
use crate::sftp::{self, Listed, batch, quote};
use crate::ssh::Connection;

/// What putting the key on the server came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    /// It was put in or changed.
    Written,
    /// It was there.
    Present,
    /// It was there with these options, which are not ours and stay.
    PresentWithOptions(String),
}

/// The account's home as SFTP shows it: where a session starts.
pub(crate) fn home(connection: &Connection) -> Result<String> {
    let pwd = batch(connection, &["pwd".to_owned()])?;
    sftp::working_directory(pwd.output(0))
        .filter(|home| home.starts_with('/'))
        .ok_or_else(|| anyhow!("ask for the home: {}: sftp said nothing", escape(connection.host.as_bytes())))
}

/// The server's file for the account's keys: as given, else the one that let the user in just now, else
/// `.ssh/authorized_keys` where it can be seen. An account that is locked into a folder sees its home elsewhere.
pub(crate) fn keys_file(connection: &Connection, home: &str, given: Option<&str>) -> Result<String> {
    let home = home.trim_end_matches('/');
    if let Some(given) = given {
        return Ok(if given.starts_with('/') { given.to_owned() } else { format!("{home}/{given}") });
    }
    if let Some(told) = connection.keys_file().filter(|told| !told.ends_with("/.ssh/authorized_keys")) {
        let found = batch(connection, &[format!("ls -lan {}", quote(&told))])?;
        if found.failed.is_none() {
            return Ok(told);
        }
    }
    let usual = format!("{home}/.ssh/authorized_keys");
    let in_root = "/.ssh/authorized_keys".to_owned();
    for file in [&usual, &in_root] {
        if batch(connection, &[format!("ls -lan {}", quote(parent(file)))])?.failed.is_none() {
            return Ok(file.clone());
        }
    }
    Ok(usual)
}

/// Where a server that is not OpenSSH keeps the program that serves SFTP.
const PROGRAMS: [&str; 5] = [
    "/usr/libexec/sftp-server",
    "/usr/lib/sftp-server",
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
];

/// What stands before the key so that it does SFTP only, in words that this server knows.
pub(crate) fn restriction(connection: &Connection, path: &str) -> Result<String> {
    match openssh_version(&connection.software().unwrap_or_default()) {
        Some((major, minor)) if (major, minor) >= (7, 2) => Ok(authorized_keys::sftp_only(Some(path))),
        Some(_) => Ok(authorized_keys::sftp_only_in_old_words("internal-sftp")),
        None => {
            for program in PROGRAMS {
                if batch(connection, &[format!("ls -lan {}", quote(program))])?.failed.is_none() {
                    return Ok(authorized_keys::sftp_only_in_old_words(program));
                }
            }
            // Nothing better is known; the proof that follows tells.
            Ok(authorized_keys::sftp_only(Some(path)))
        }
    }
}

/// `OpenSSH_9.2p1 Debian-2` is 9.2.
fn openssh_version(software: &str) -> Option<(u32, u32)> {
    let (major, rest) = software.strip_prefix("OpenSSH_")?.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The file on the server, its text and its mode.
#[derive(Debug)]
struct Remote {
    /// Where it really lies: the end of a symlink.
    path: String,
    text: Vec<u8>,
    mode: Option<u32>,
}

/// Puts the wanted line into `path`, whose folder is made where it is missing.
pub(crate) fn install(connection: &Connection, path: &str, wanted: &Wanted) -> Result<Installed> {
    // Whoever puts it in by hand is to put in the restriction, too.
    let cure =
        format!("mend that, or have this line put into the account's authorized_keys: {}", wanted.line());
    let remote = fetch(connection, path, &cure, Missing::Make)?;
    match authorized_keys::with(&remote.text, wanted) {
        Edit::Present => Ok(Installed::Present),
        Edit::PresentWithOptions(options) => Ok(Installed::PresentWithOptions(options)),
        Edit::Write(text) => {
            replace(connection, &remote, &text, &cure)?;
            Ok(Installed::Written)
        }
    }
}

/// Takes every line of the key out of `path`; tells whether there was one.
pub(crate) fn uninstall(connection: &Connection, path: &str, public_key: &str) -> Result<bool> {
    let cure = format!("mend that, or take this line out of the account's authorized_keys: {public_key}");
    let remote = fetch(connection, path, &cure, Missing::Leave)?;
    match authorized_keys::without(&remote.text, public_key) {
        Some(text) => replace(connection, &remote, &text, &cure).map(|()| true),
        None => Ok(false),
    }
}

/// What is done about a folder that is missing.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Make,
    Leave,
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

fn fetch(connection: &Connection, path: &str, cure: &str, missing: Missing) -> Result<Remote> {
    let folder = parent(path);
    let listing = batch(connection, &[format!("ls -lan {}", quote(folder))])?;
    let entries = sftp::listed(listing.output(0));
    if listing.failed.is_some() && missing == Missing::Make {
        let made =
            batch(connection, &[format!("mkdir {}", quote(folder)), format!("chmod 700 {}", quote(folder))])?;
        if let Some((_, why)) = made.failure() {
            return Err(refused(connection, "make", folder, why, cure));
        }
    }
    let Some(found) = entry(&entries, path) else {
        return Ok(Remote { path: path.to_owned(), text: Vec::new(), mode: None });
    };
    let refused = |why: &str| Err(refused(connection, "change", path, why, cure));
    if !found.is_symlink() {
        return match found.mode.starts_with('-') {
            true => read(connection, path, found, cure),
            false => refused("it is no file"),
        };
    }
    let Some(target) = sftp::link_target(connection, path)? else {
        return refused("it is a symlink that leads to no file");
    };
    let listing = batch(connection, &[format!("ls -lan {}", quote(parent(&target)))])?;
    let entries = sftp::listed(listing.output(0));
    match entry(&entries, &target) {
        Some(found) if found.mode.starts_with('-') => read(connection, &target, found, cure),
        _ => refused(&format!(
            "it is a symlink, and what it leads to can't be seen: {}",
            escape(target.as_bytes())
        )),
    }
}

/// What a listing of its folder says about `path`.
fn entry<'a>(entries: &'a [Listed], path: &str) -> Option<&'a Listed> {
    let name = path.rsplit('/').next().unwrap_or(path);
    entries.iter().find(|entry| entry.name == name)
}

fn read(connection: &Connection, path: &str, found: &Listed, cure: &str) -> Result<Remote> {
    let local = connection.local();
    let got = batch(connection, &[format!("get {} {}", quote(path), quote(&local.to_string_lossy()))])?;
    if let Some((_, why)) = got.failure() {
        return Err(refused(connection, "read", path, why, cure));
    }
    let text = fs::read(&local)?;
    fs::remove_file(&local)?;
    Ok(Remote { path: path.to_owned(), text, mode: Some(found.bits()) })
}

fn replace(connection: &Connection, old: &Remote, text: &[u8], cure: &str) -> Result<()> {
    let local = connection.local();
    let back = local.with_extension("back");
    common::atomic::write(&local, text, 0o600)?;
    let part = format!("{}.ssh-key-setup", old.path);
    let commands = [
        format!("-rm {}", quote(&part)),
        format!("put {} {}", quote(&local.to_string_lossy()), quote(&part)),
        format!("get {} {}", quote(&part), quote(&back.to_string_lossy())),
        format!("chmod {:o} {}", old.mode.unwrap_or(0o600), quote(&part)),
    ];
    let put = batch(connection, &commands)?;
    let arrived = fs::read(&back).is_ok_and(|back| back == text);
    let _ = fs::remove_file(&local).and_then(|()| fs::remove_file(&back));
    let mut why = put.failure().map(|(_, why)| why.to_owned());
    if why.is_none() && !arrived {
        why = Some("what arrived is not what was sent".to_owned());
    }
    if why.is_none() {
        let renamed = batch(connection, &[format!("rename {} {}", quote(&part), quote(&old.path))])?;
        why = renamed.failure().map(|(_, why)| why.to_owned());
    }
    let Some(why) = why else { return Ok(()) };
    let free =
        batch(connection, &[format!("-rm {}", quote(&part)), format!("-df {}", quote(parent(&old.path)))])?;
    let why = match sftp::free_bytes(free.output(1)) {
        Some(0) => format!("the disk is full: {why}"),
        _ => why,
    };
    Err(refused(connection, "write", &old.path, &why, cure))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert_eq!(openssh_version("OpenSSH_10.0p2 Debian-7"), Some((10, 0)));
        assert_eq!(openssh_version("OpenSSH_6.6.1p1"), Some((6, 6)));
        assert_eq!(openssh_version("dropbear_2022.83"), None);
    }
}
