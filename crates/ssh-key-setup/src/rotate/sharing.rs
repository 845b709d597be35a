//! Hosts that use one key: an older script gave all of them the same.
//!
//! As long as they are different accounts, each can be rotated and removed alone. Two names of one account, or one jump
//! host before both, are another matter: taking the key off there would shut the other out as well.

use anyhow::{Result, anyhow};
use common::exit::HintExt;
use common::text::escape;

use crate::route::resolve::Section;
use crate::run::Files;
use crate::ssh_folder::config::{self, Entry};
use crate::ssh_folder::known_hosts::{self, Line};

/// Who else gets in with the entry's key at the account of its section `index`.
pub(crate) fn at_same_account<'a>(files: &'a Files, entry: &Entry, index: usize) -> Result<Option<&'a str>> {
    let lines = known_hosts::ours(&files.known_hosts)?;
    let Some(section) = entry.sections.get(index) else { return Ok(None) };
    let others = files.entries.iter().filter(|other| other.alias != entry.alias && other.key == entry.key);
    let mut others =
        others.filter(|other| other.sections.iter().any(|found| is_same(section, found, &lines)));
    Ok(others.next().map(|other| other.alias.as_str()))
}

/// Two names may be one server: then it shows the same host key.
fn is_same(one: &Section, two: &Section, lines: &[Line]) -> bool {
    let keys = |section: &Section| {
        let name = section.key_name();
        lines.iter().filter(move |line| line.name == name && line.marker.is_none()).map(|line| &line.key)
    };
    let same_name = one.host_name == two.host_name && one.port == two.port;
    one.user == two.user && (same_name || keys(one).any(|key| keys(two).any(|other| other == key)))
}

/// Who else uses the entry's key, elsewhere. Fails if its rotation would shut another host out.
pub(crate) fn elsewhere(files: &Files, entry: &Entry) -> Result<Option<String>> {
    for index in 0..entry.sections.len() {
        if let Some(other) = at_same_account(files, entry, index)? {
            return Err(anyhow!("rotate: {}: {other} uses the same key at the same account", entry.alias)).hint(format!(
                    "take {other} out first: ssh-key-setup {other} --remove; set up again after the rotation, it gets a \
                     key of its own"
                ));
        }
    }
    if let Some(theirs) = config::own_lines_with(&files.config, &entry.alias, &entry.key)? {
        return Err(anyhow!(
                "rotate: {}: your own lines in config use the same key: Host {}",
                entry.alias,
                escape(theirs.as_bytes())
            )).hint("run ssh-key-setup without a host, which takes such hosts over, or give those lines another IdentityFile");
    }
    let other = files.entries.iter().find(|other| other.alias != entry.alias && other.key == entry.key);
    Ok(other.map(|other| other.alias.clone()))
}
