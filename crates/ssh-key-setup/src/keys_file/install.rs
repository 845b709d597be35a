//! The key into the server's `authorized_keys`, over SFTP: which file that is, and its line in it.
//!
//! What a reader gets wrong: the place where sshd reports that it found a key may be a program
//! (AuthorizedKeysCommand), which must not be overwritten.

pub(crate) mod remote_file;

use anyhow::{Result, anyhow};
use common::text::escape;

use crate::connection::sftp::{batch, quote};
use crate::connection::ssh::Connection;
use crate::keys_file::authorized_keys::{self, Edit, WITHOUT_COMMAND, WantedLine};
use remote_file::{Missing, Place, parent};

/// The account's home as SFTP shows it: where a session starts.
pub(crate) fn home(connection: &Connection) -> Result<String> {
    let pwd = batch(connection, &["pwd".to_owned()])?;
    let mut lines = pwd.output(0).iter();
    let home = lines.find_map(|line| line.strip_prefix("Remote working directory: "));
    home.filter(|home| home.starts_with('/'))
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("ask for the home: {}: sftp printed none", escape(connection.host.as_bytes())))
}

/// The server's file for the account's keys: as given, else the one that let the user in just now, else
/// `.ssh/authorized_keys` if it can be seen. An account that is locked into a folder sees its home elsewhere.
pub(crate) fn keys_file(connection: &Connection, given: Option<&str>) -> Result<String> {
    let home = home(connection)?;
    let home = home.trim_end_matches('/');
    if let Some(given) = given {
        let given = given.strip_prefix("~/").unwrap_or(given);
        return Ok(if given.starts_with('/') { given.to_owned() } else { format!("{home}/{given}") });
    }
    if let Some(named) = connection.keys_file().filter(|named| !named.ends_with("/.ssh/authorized_keys")) {
        match remote_file::look(connection, &named)? {
            Place::File(_, found) if found.bits() & 0o111 == 0 => return Ok(named),
            // The account is locked into a folder, and its keys lie outside: root has to put a key in.
            Place::Empty => return Ok(named),
            _ => {}
        }
    }
    let usual = format!("{home}/.ssh/authorized_keys");
    // The root of an account that is locked in, and the home on a Synology, whose SFTP starts above it.
    let mut places =
        vec![usual.clone(), "/.ssh/authorized_keys".to_owned(), "/home/.ssh/authorized_keys".to_owned()];
    let named = connection.keys_file().unwrap_or_default();
    places.extend(named.match_indices('/').map(|(at, _)| named[at..].to_owned()));
    for file in places.iter().filter(|file| file.ends_with("/.ssh/authorized_keys")) {
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

pub(crate) fn knows_restrict(connection: &Connection) -> bool {
    openssh(connection).is_some_and(|version| version >= (7, 2))
}

pub(crate) fn is_openssh(connection: &Connection) -> bool {
    openssh(connection).is_some()
}

fn openssh(connection: &Connection) -> Option<(u32, u32)> {
    openssh_version(&connection.software()?)
}

/// What may stand before the key so that it does SFTP only, in words that this server may know: the strongest first.
/// The last ones leave it a shell.
pub(crate) fn restrictions(connection: &Connection, path: &str) -> Result<Vec<String>> {
    let mut sftp_only = match openssh(connection) {
        Some(_) if knows_restrict(connection) => Some(authorized_keys::sftp_only(Some(path))),
        Some(_) => Some(authorized_keys::sftp_only_in_old_words("internal-sftp")),
        None => None,
    };
    for program in PROGRAMS {
        if sftp_only.is_none()
            && batch(connection, &[format!("ls -lan {}", quote(program))])?.failed.is_none()
        {
            sftp_only = Some(authorized_keys::sftp_only_in_old_words(program));
        }
    }
    Ok(sftp_only.into_iter().chain(WITHOUT_COMMAND.map(str::to_owned)).collect())
}

/// `OpenSSH_9.2p1 Debian-2` is 9.2.
fn openssh_version(software: &str) -> Option<(u32, u32)> {
    let (major, rest) = software.strip_prefix("OpenSSH_")?.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Puts the wanted line into `path`, whose folder is made if it is missing. Returns what that came to.
pub(crate) fn install(connection: &Connection, path: &str, wanted: &WantedLine) -> Result<Edit> {
    // A person who puts it in by hand has to put in the restriction, too.
    let cure =
        format!("fix that, or have this line added to the account's authorized_keys: {}", wanted.line());
    let mut edit = Edit::Present;
    remote_file::change(connection, path, Missing::Make, &cure, &mut |old| {
        edit = authorized_keys::with(old, wanted);
        if let Edit::Write(text) = &edit { Some(text.clone()) } else { None }
    })?;
    Ok(edit)
}

/// Whether a line of `path` on the server lets the key in, as far as it can be seen.
pub(crate) fn holds(connection: &Connection, path: &str, public_key: &str) -> bool {
    let seen = remote_file::text(connection, path);
    seen.is_ok_and(|text| authorized_keys::without(&text, public_key).is_some())
}

/// Takes every line of the key out of `path`; returns whether there was one.
pub(crate) fn uninstall(connection: &Connection, path: &str, public_key: &str) -> Result<bool> {
    let cure = format!("fix that, or take this line out of the account's authorized_keys: {public_key}");
    remote_file::change(connection, path, Missing::Leave, &cure, &mut |old| {
        authorized_keys::without(old, public_key)
    })
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
