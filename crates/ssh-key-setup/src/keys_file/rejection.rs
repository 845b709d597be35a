//! Why a server may not take a key that is in its `authorized_keys`.
//!
//! Asked only after that happened, over the user's own access: modes and owners on the way to the file (sshd's
//! StrictModes), and what the server's configuration says if an ordinary account may read it. What can't be seen is
//! named as what to look for.

use std::fs;

use anyhow::Result;
use common::text::escape;

use crate::connection::sftp::{self, ListedFile, batch, quote};
use crate::connection::ssh::Connection;
use crate::keys_file::install::remote_file::{self, Place};

/// The likely reasons, each a clause; never empty.
pub(crate) fn not_accepted(
    connection: &Connection,
    home: &str,
    file: &str,
    user: &str,
) -> Result<Vec<String>> {
    // sshd follows a symlink and looks at what it leads to.
    let target = match remote_file::look(connection, file)? {
        Place::File(target, _) => target,
        _ => file.to_owned(),
    };
    let places = places(home, &target);
    let listings: Vec<String> =
        places[1..].iter().map(|folder| format!("-ls -lan {}", quote(folder))).collect();
    let looked = batch(connection, &listings)?;
    let found =
        (0..places.len()).filter_map(|index| Some((&places[index], of_place(&looked, &places, index)?)));
    let found: Vec<(&String, ListedFile)> = found.collect();
    let account = found.iter().find(|(place, _)| *place == home);
    let owner = account.map_or("0", |(_, home)| home.owner.as_str());
    let mut reasons: Vec<String> = found.iter().filter_map(|(path, found)| too_open(path, found)).collect();
    reasons.extend(found.iter().filter_map(|(path, found)| foreign(path, owner, found)));
    reasons.extend(of_configuration(&configuration(connection)?, home, file, user));
    if reasons.is_empty() {
        reasons.push(format!(
            "sshd may look for keys in another file (AuthorizedKeysFile; name it with --authorized-keys), or the \
             account may be shut out (AllowUsers, AllowGroups, PubkeyAuthentication); the reason is in the server's log: \
             journalctl -u ssh; key file now: {}",
            escape(file.as_bytes())
        ));
    }
    Ok(reasons)
}

/// What sshd's StrictModes looks at: the file first, then the folders above it up to the home, or else to the root.
fn places(home: &str, file: &str) -> Vec<String> {
    let home = if home == "/" { home } else { home.trim_end_matches('/') };
    let above = std::path::Path::new(file).ancestors().map(|place| place.to_string_lossy().into_owned());
    let mut places = Vec::new();
    for place in above {
        let is_last = place == home;
        places.push(place);
        if is_last {
            break;
        }
    }
    places
}

/// What the listings of the folders, which are `places` without the first, say about `places[index]`.
fn of_place(looked: &sftp::Batch, places: &[String], index: usize) -> Option<ListedFile> {
    let name = if index == 0 { places[0].rsplit('/').next()? } else { "." };
    let listing = sftp::listed(looked.output(index.saturating_sub(1)));
    listing.into_iter().find(|entry| entry.name == name)
}

fn too_open(path: &str, found: &ListedFile) -> Option<String> {
    let (bits, path) = (found.bits(), escape(path.as_bytes()));
    (bits & 0o022 != 0).then(|| {
        format!(
            "{path} can be written by others (mode {bits:o}), which sshd's StrictModes refuses: chmod go-w {path}"
        )
    })
}

fn foreign(path: &str, owner: &str, found: &ListedFile) -> Option<String> {
    let (path, theirs) = (escape(path.as_bytes()), found.owner.as_str());
    (![owner, "0", "root"].contains(&theirs)).then(|| {
        format!(
            "{path} belongs to user {theirs}, not to the account ({owner}), which sshd's StrictModes refuses"
        )
    })
}

/// sshd's configuration with its drop-ins; empty if it can't be read.
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
        let expand = |word: &str| {
            let word = word.replace("%h", home).replace("%u", user).replace("%%", "%");
            if word.starts_with('/') { word } else { format!("{}/{word}", home.trim_end_matches('/')) }
        };
        let is_named = || words().any(|word| names(word, user));
        let mut place = String::new();
        let why = match keyword.to_ascii_lowercase().as_str() {
            "match" => {
                in_match = !value.eq_ignore_ascii_case("all");
                continue;
            }
            "authorizedkeysfile" if !words().any(|word| expand(word) == file) => {
                let first = words().next().map(expand).unwrap_or_default();
                place = format!(": --authorized-keys {}", escape(first.as_bytes()));
                "sshd looks for keys elsewhere"
            }
            "allowusers" if !is_named() => "the account is not among those let in",
            "allowusers" if !words().any(|word| !word.contains('@') && names(word, user)) => {
                "the account is let in from some addresses only"
            }
            "denyusers" if is_named() => "the account is shut out",
            "allowgroups" | "denygroups" => "only some groups are let in",
            "pubkeyauthentication" if value.eq_ignore_ascii_case("no") => "keys are not accepted",
            "authenticationmethods" if !words().any(|word| word == "publickey" || word == "any") => {
                "a key alone is not enough"
            }
            "pubkeyacceptedalgorithms" | "pubkeyacceptedkeytypes" if !value.contains("ed25519") => {
                "ed25519 keys may not be accepted"
            }
            _ => continue,
        };
        let block = if in_match { ", in a Match block" } else { "" };
        reasons.push(format!("{why} ({}{block}){place}", escape(line.as_bytes())));
    }
    reasons
}

/// Whether a pattern of `AllowUsers`, `USER` or `USER@ADDRESS`, is about the account.
fn names(pattern: &str, user: &str) -> bool {
    let pattern = pattern.split('@').next().unwrap_or(pattern);
    !pattern.starts_with('!') && matches(pattern.as_bytes(), user.as_bytes())
}

/// ssh_config(5), PATTERNS: `*` stands for any characters, `?` for one.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => matches(&pattern[1..], text) || (!text.is_empty() && matches(pattern, &text[1..])),
        (Some(b'?'), Some(_)) => matches(&pattern[1..], &text[1..]),
        (Some(wanted), Some(found)) if wanted == found => matches(&pattern[1..], &text[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_what_keeps_a_key_out() {
        let reasons = |text: &str| of_configuration(text, "/home/me", "/home/me/.ssh/authorized_keys", "me");
        assert!(
            reasons("# AllowUsers x\nAuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2\n")
                .is_empty()
        );
        assert!(reasons("AllowUsers you m*\nPubkeyAuthentication yes").is_empty());
        assert!(reasons("AllowUsers you me@10.0.0.*")[0].contains("from some addresses only"));
        assert!(reasons("DenyUsers m?")[0].starts_with("the account is shut out"));
        assert!(
            reasons("AuthorizedKeysFile /etc/ssh/keys/%u")[0].ends_with("--authorized-keys /etc/ssh/keys/me")
        );
        assert!(reasons("Match User me\n  AllowUsers you")[0].contains("AllowUsers you, in a Match block"));
        assert!(reasons("AuthenticationMethods publickey,password")[0].contains("not enough"));
    }

    #[test]
    fn strict_modes_looks_at_all_folders_up_to_the_home() {
        assert_eq!(
            places("/home/me/", "/home/me/.ssh/authorized_keys"),
            ["/home/me/.ssh/authorized_keys", "/home/me/.ssh", "/home/me"]
        );
        assert_eq!(places("/home/me", "/etc/keys"), ["/etc/keys", "/etc", "/"]);
        assert_eq!(places("/", "/.ssh/k"), ["/.ssh/k", "/.ssh", "/"]);
    }

    #[test]
    fn what_the_group_or_others_can_write_is_named_with_its_mode() {
        for (mode, shown) in
            [("drwxrwxr-x", Some("(mode 775)")), ("-rw----rw-", Some("(mode 606)")), ("drwxr-xr-x", None)]
        {
            let found = ListedFile { mode: mode.into(), owner: "1".into(), name: ".".into() };
            let reason = too_open("/home/me", &found);
            assert_eq!(reason.is_some(), shown.is_some(), "{mode}");
            assert!(reason.is_none_or(|reason| reason.contains(shown.unwrap())), "{mode}");
        }
    }
}
