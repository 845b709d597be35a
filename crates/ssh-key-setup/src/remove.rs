//! `--remove`: the key off the server, the host out of the folder.
//!
//! The folder's own key takes itself out where it can; else the user's own access does. The key pair stays: another
//! host may use it, and deleting a key is not this tool's to do.

use anyhow::{Result, anyhow};
use common::text::{escape, escape_path};

use crate::chain::Chain;
use crate::config;
use crate::config::Entry;
use crate::failure::hinted;
use crate::key::{self, Key};
use crate::known_hosts;
use crate::rotate::sharing;
use crate::say::Host;
use crate::setup::{Files, Run};
use crate::{hops, install, resolve, server};

/// Removes the entry.
pub(crate) fn remove(run: &Run, files: &Files, entry: &Entry, told: &mut Host) -> Result<()> {
    let key = key::read_only(&run.folder.path().join(&entry.key))?;
    let also = sharing::at_same_account(files, entry, entry.sections.len().saturating_sub(1))?;
    if let Some(also) = also {
        run.say.line("server", "keeps the key", &format!("{also} gets in with it at the same account"));
    } else if run.cli.offline {
        told.warn(run.say, format!("the server was not asked: this key still gets in there: {}", key.public));
    } else {
        off_the_server(run, files, entry, &key).map_err(|error| {
            hinted(
                error,
                format!(
                    "where the server is gone for good: ssh-key-setup {} --remove --offline",
                    entry.alias
                ),
            )
        })?;
        run.say.line(
            "server",
            &escape(entry.authorized_keys.as_bytes()),
            "the key is out and no longer accepted",
        );
    }
    let mut entries = files.entries.clone();
    entries.retain(|other| other.alias != entry.alias);
    let still: Vec<String> =
        entries.iter().flat_map(|entry| &entry.sections).map(config::Section::key_name).collect();
    let mut lines = known_hosts::ours(&files.known_hosts)?;
    lines.retain(|line| still.contains(&line.name));
    run.folder.write("config", &config::with_entries(&files.config, &entries)?)?;
    run.folder.write("known_hosts", &known_hosts::with_lines(&files.known_hosts, &lines)?)?;
    run.folder.give_config_to_root(run.cli.rootless)?;
    told.changed = true;
    run.say.line("folder", &escape_path(run.folder.path()), &format!("{} taken out", entry.alias));
    run.say.line("key", &escape_path(&key.path), "kept");
    Ok(())
}

/// Takes the key out of the server's file, and off the jump hosts, and sees that it no longer gets in.
pub(crate) fn off_the_server(run: &Run, files: &Files, entry: &Entry, key: &Key) -> Result<()> {
    let own = server::on_disk(run, entry)?;
    let by_itself = install::uninstall(&own, &entry.authorized_keys, &key.public);
    let has_hops = entry.sections.len() > 1;
    if !matches!(by_itself, Ok(true)) || has_hops {
        let route = resolve::route(&entry.access(), &run.cancel)?;
        let file = run.folder.path().join("known_hosts");
        let mut chain = Chain::new(&route, &file, run.cli.accept_new_host_key, &run.cancel)?;
        if !matches!(by_itself, Ok(true)) {
            install::uninstall(chain.server()?, &entry.authorized_keys, &key.public)?;
        }
        if server::is_accepted(&own)? {
            return Err(anyhow!("remove: {}: the server still takes the key", entry.alias));
        }
        return hops::take_off(files, entry, key, &mut chain);
    }
    if server::is_accepted(&own)? {
        return Err(hinted(
            anyhow!("remove: {}: the server still takes the key", entry.alias),
            "it stands in another file there: look for it with AuthorizedKeysFile in sshd's configuration",
        ));
    }
    Ok(())
}
