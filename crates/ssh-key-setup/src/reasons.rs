//! Why a server may not take a key that stands in its `authorized_keys`.
//!
//! Asked only after that happened, over the user's own access: modes and owners on the way to the file (sshd's
//! StrictModes), and what the server's configuration says where an ordinary account may read it. What can't be seen is
//! said as what to look for.

use std::fs;

use anyhow::Result;
use common::text::escape;

use crate::sftp::{self, Listed, batch, quote};
use crate::ssh::Connection;

/// The likely reasons, each a clause; never empty.
pub(crate) fn not_accepted(
    connection: &Connection,
    home: &str,
    file: &str,
    user: &str,
) -> Result<Vec<String>> {
    let folder = file.rsplit_once('/').map_or("/", |(folder, _)| folder);
    let looked =
        batch(connection, &[format!("-ls -lan {}", quote(home)), format!("-ls -lan {}", quote(folder))])?;
    let home_entries = sftp::listed(looked.output(0));
    let folder_entries = sftp::listed(looked.output(1));
    let name = file.rsplit('/').next().unwrap_or(file);
    let places = [
        (home, home_entries.iter().find(|entry| entry.name == ".")),
        (folder, folder_entries.iter().find(|entry| entry.name == ".")),
        (file, folder_entries.iter().find(|entry| entry.name == name)),
    ];
    let mut reasons: Vec<String> = places.iter().filter_map(|(path, found)| too_open(path, *found)).collect();
    let owner = places[0].1.map_or("0", |home| home.owner.as_str());
    reasons.extend(places.iter().filter_map(|(path, found)| foreign(path, owner, *found)));
    reasons.extend(of_configuration(&configuration(connection)?, home, file, user));
    if reasons.is_empty() {
        reasons.push(format!(
            "sshd may look for keys in another file (AuthorizedKeysFile; say which with --authorized-keys), or the \
             account may be shut out (AllowUsers, AllowGroups, PubkeyAuthentication); the server's log tells: \
             journalctl -u ssh; key file now: {}",
            escape(file.as_bytes())
        ));
    }
    Ok(reasons)
}

fn too_open(path: &str, found: Option<&Listed>) -> Option<String> {
    let found = found.filter(|found| found.bits() & 0o022 != 0)?;
    let path = escape(path.as_bytes());
    Some(format!(
        "{path} can be written by others (mode {:o}), which sshd's StrictModes refuses: chmod go-w {path}",
        found.bits()
    ))
}

fn foreign(path: &str, owner: &str, found: Option<&Listed>) -> Option<String> {
    let found = found.filter(|found| found.owner != owner && found.owner != "0")?;
    let path = escape(path.as_bytes());
    Some(format!(
        "{path} belongs to user {}, not to the account ({owner}), which sshd's StrictModes refuses",
        found.owner
    ))
}

/// sshd's configuration with its drop-ins; empty where it can't be read.
fn configuration(connection: &Connection) -> Result<String> {
    let local = connection.local();
    let drop_ins = local.with_extension("d");
    fs::create_dir_all(&drop_ins)?;
    batch(
        connection,
        &[
            format!("-get /etc/ssh/sshd_config.d/*.conf {}", quote(&drop_ins.to_string_lossy())),
            format!("-get /etc/ssh/sshd_config {}", quote(&local.to_string_lossy())),
        ],
    )?;
    let mut files: Vec<_> = fs::read_dir(&drop_ins)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.push(local.clone());
    let text = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n");
    fs::remove_dir_all(&drop_ins)?;
    let _ = fs::remove_file(&local);
    Ok(text)
}

/// What of sshd's configuration may keep the key out.
fn of_configuration(text: &str, home: &str, file: &str, user: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut in_match = false;
    for line in text.lines() {
        let line = line.trim();
        let (keyword, value) = line.split_once(|c: char| c.is_whitespace() || c == '=').unwrap_or((line, ""));
        let value = value.trim();
        let words = || value.split_whitespace().map(|word| word.trim_matches('"'));
        let shown = escape(line.as_bytes());
        let block = if in_match { ", in a Match block" } else { "" };
        match keyword.to_ascii_lowercase().as_str() {
            "match" => in_match = !value.eq_ignore_ascii_case("all"),
            "authorizedkeysfile" => {
                let expand = |word: &str| {
                    let word = word.replace("%h", home).replace("%u", user).replace("%%", "%");
                    if word.starts_with('/') {
                        word
                    } else {
                        format!("{}/{word}", home.trim_end_matches('/'))
                    }
                };
                if !words().any(|word| expand(word) == file) {
                    let place = words().next().map(expand).unwrap_or_default();
                    reasons.push(format!(
                        "sshd looks for keys elsewhere ({shown}{block}): --authorized-keys {}",
                        escape(place.as_bytes())
                    ));
                }
            }
            "allowusers" if !words().any(|word| word == "*" || word.split('@').next() == Some(user)) => {
                reasons.push(format!("the account is not among those let in ({shown}{block})"));
            }
            "denyusers" if words().any(|word| word.split('@').next() == Some(user)) => {
                reasons.push(format!("the account is shut out ({shown}{block})"));
            }
            "allowgroups" | "denygroups" => {
                reasons.push(format!("only some groups are let in ({shown}{block})"));
            }
            "pubkeyauthentication" if value.eq_ignore_ascii_case("no") => {
                reasons.push(format!("keys are not taken at all ({shown}{block})"));
            }
            "authenticationmethods" if !words().any(|word| word == "publickey" || word == "any") => {
                reasons.push(format!("a key alone is not enough ({shown}{block})"));
            }
            "pubkeyacceptedalgorithms" | "pubkeyacceptedkeytypes" if !value.contains("ed25519") => {
                reasons.push(format!("ed25519 keys may not be taken ({shown}{block})"));
            }
            _ => {}
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_tells_what_keeps_a_key_out() {
        let reasons = |text: &str| of_configuration(text, "/home/me", "/home/me/.ssh/authorized_keys", "me");
        assert!(
            reasons("# AllowUsers x\nAuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2\n")
                .is_empty()
        );
        assert!(reasons("AllowUsers you me@10.0.0.*\nPubkeyAuthentication yes").is_empty());
        assert!(
            reasons("AuthorizedKeysFile /etc/ssh/keys/%u")[0].ends_with("--authorized-keys /etc/ssh/keys/me")
        );
        assert!(reasons("Match User me\n  AllowUsers you")[0].contains("AllowUsers you, in a Match block"));
        assert!(reasons("AuthenticationMethods publickey,password")[0].contains("not enough"));
    }

    #[test]
    fn what_others_can_write_is_named_with_its_mode() {
        let found = Listed { mode: "drwxrwxr-x".into(), owner: "1".into(), name: ".".into() };
        assert!(too_open("/home/me", Some(&found)).unwrap().contains("(mode 775)"));
    }
}
