//! The repository's folder on the server, as SFTP shows it.
//!
//! An account that is locked into a folder sees other paths over SFTP than over SSH, and so does every account of some
//! NAS systems: `/volume1/backup` is `/backup` there. Backrest needs what SFTP shows; a person may type either.

use anyhow::Result;

use crate::connection::sftp::{batch, quote};
use crate::connection::ssh::Connection;
use crate::names::check_path;

/// The repository's folder on the server, absolute.
pub(super) fn server_path(given: &str, home: &str) -> Result<String> {
    check_path(given)?;
    let given = if given == "~" { "" } else { given.strip_prefix("~/").unwrap_or(given) };
    let home = std::path::Path::new(home);
    Ok(common::paths::normal(&home.join(given)).to_string_lossy().into_owned())
}

/// Where the account's SFTP starts, as SSH names it, if that is not the same: what stands before the path of its keys.
pub(super) fn root_over_ssh(named: Option<&str>, keys_file: &str) -> Option<String> {
    named?.strip_suffix(keys_file).filter(|root| !root.is_empty()).map(str::to_owned)
}

/// `path` as SFTP shows it, if it was typed as SSH shows it. `named` is the file in which sshd found the account's key
/// and `keys_file` the same one over SFTP: if they are equal, both show the same paths.
pub(super) fn over_sftp(
    connection: &Connection,
    path: String,
    named: Option<&str>,
    keys_file: &str,
) -> Result<String> {
    let Some(named) = named.filter(|named| *named != keys_file) else { return Ok(path) };
    if let Some(inside) = root_over_ssh(Some(named), keys_file)
        .and_then(|root| path.strip_prefix(&root).filter(|inside| inside.starts_with('/')).map(str::to_owned))
    {
        return Ok(inside);
    }
    for (at, _) in path.match_indices('/') {
        if is_there(connection, top(&path[at..]))? {
            return Ok(path[at..].to_owned());
        }
    }
    Ok(path)
}

/// Whether `typed` is what SSH shows of the folder that SFTP shows as `path`.
pub(super) fn is_other_view_of(connection: &Connection, typed: &str, path: &str) -> Result<bool> {
    Ok(typed != path && typed.ends_with(path) && !is_there(connection, top(typed))?)
}

fn top(path: &str) -> &str {
    let end = path[1..].find('/').map_or(path.len(), |at| at + 1);
    &path[..end]
}

fn is_there(connection: &Connection, folder: &str) -> Result<bool> {
    Ok(folder.len() > 1 && batch(connection, &[format!("ls -lan {}", quote(folder))])?.failed.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_lies_below_the_home() {
        for (given, path) in [("restic", "/home/me/restic"), ("~/b", "/home/me/b"), ("/srv//r/", "/srv/r")] {
            assert_eq!(server_path(given, "/home/me").unwrap(), path);
        }
        assert!(server_path("a\nrm *", "/").is_err());
    }

    #[test]
    fn the_topmost_folder_is_cut_off() {
        assert_eq!((top("/volume1/backup"), top("/backup"), top("/")), ("/volume1", "/backup", "/"));
        assert_eq!(root_over_ssh(Some("/srv/a/.ssh/k"), "/.ssh/k").as_deref(), Some("/srv/a"));
        assert_eq!(root_over_ssh(Some("/.ssh/k"), "/.ssh/k"), None);
    }
}
