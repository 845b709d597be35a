//! `--remove`: the key off the server, the host out of the folder.
//!
//! The folder's own key takes itself out if it can; otherwise the user's own access does. The key pair stays: another
//! host may use it, and deleting a key is not this tool's to do.

use anyhow::{Result, anyhow};
use common::exit::HintExt;
use common::text::{escape, escape_path};

use crate::connection::failure::{self, hinted};
use crate::connection::ssh::Connection;
use crate::jump_hosts;
use crate::keys_file::install;
use crate::rotate::{Rotation, sharing};
use crate::route::resolve::{self, Section};
use crate::route::route_connections::RouteConnections;
use crate::run::{Host, Run};
use crate::ssh_folder::config::{self, Entry};
use crate::ssh_folder::key::{self, Key};
use crate::ssh_folder::known_hosts;
use crate::stage;
use crate::stage::Reach;

/// Removes the entry.
pub(crate) fn remove(host: &mut Host, entry: &Entry, offline: bool) -> Result<()> {
    let run = host.run;
    let key = key::read_only(&run.folder.path().join(&entry.key))?;
    host.report.server = entry.sections.last().map(Section::address).unwrap_or_default();
    host.name_key(&key);
    let rotation = Rotation::unfinished(run, entry);
    let half_way = rotation.as_ref().map(Rotation::keys).transpose()?.unwrap_or_default();
    // The entry's own goes last, because it takes the others out.
    let others = half_way.iter().filter(|other| other.fingerprint != key.fingerprint);
    let keys: Vec<&Key> = others.chain([&key]).collect();
    let also = sharing::at_same_account(&host.files, entry, entry.sections.len().saturating_sub(1))?;
    if let Some(also) = also {
        run.output.line("server", "keeps the key", &format!("{also} gets in with it at the same account"));
    } else if offline {
        for key in keys {
            host.warn(format!("the server was not asked: this key still gets in there: {}", key.public));
        }
    } else {
        off_the_server(run, entry, &keys, None).map_err(|error| match failure::kind_of(&error) {
            Some(_) => hinted(
                error,
                format!("if the server is gone for good: ssh-key-setup {} --remove --offline", entry.alias),
            ),
            None => error,
        })?;
    }
    for other in &half_way {
        rotation.iter().try_for_each(|rotation| rotation.put_aside(run, other))?;
    }
    let mut entries = host.files.entries.clone();
    entries.retain(|other| other.alias != entry.alias);
    let still: Vec<String> =
        entries.iter().flat_map(|entry| &entry.sections).map(Section::key_name).collect();
    let mut lines = known_hosts::ours(&host.files.known_hosts)?;
    lines.retain(|line| still.contains(&line.name));
    run.folder.write("config", &config::with_entries(&host.files.config, &entries)?)?;
    run.folder.write("known_hosts", &known_hosts::with_lines(&host.files.known_hosts, &lines)?)?;
    let given = run.folder.give_config_to_root(run.request.rootless);
    if let (false, Err(error)) = (entries.is_empty(), given) {
        host.warn(common::exit::one_line(&error));
    }
    host.report.changed = true;
    run.output.line("folder", &escape_path(run.folder.path()), &format!("{} taken out", entry.alias));
    run.output.line("key", &escape_path(&key.path), "kept");
    Ok(())
}

/// Takes keys out of the server's file and off the jump hosts, and sees that none of them gets in any longer. `chain` is
/// the user's own way there, if it is settled already.
pub(crate) fn off_the_server(
    run: &Run,
    entry: &Entry,
    keys: &[&Key],
    chain: Option<RouteConnections>,
) -> Result<()> {
    let take_out = |connection: &Connection| -> Result<()> {
        keys.iter()
            .try_for_each(|key| install::uninstall(connection, &entry.authorized_keys, &key.public).map(drop))
    };
    let own = stage::on_disk(run, entry).and_then(Connection::logged_in);
    let by_itself = own.and_then(|own| take_out(&own)).is_ok();
    if by_itself && entry.sections.len() == 1 {
        return are_refused(run, entry, keys);
    }
    let mut chain = match chain {
        Some(chain) => chain,
        None => RouteConnections::new(run, &resolve::route(&entry.access, &run.cancel)?)?,
    };
    if !by_itself {
        take_out(chain.server()?)?;
    }
    are_refused(run, entry, keys)?;
    keys.iter().try_for_each(|key| jump_hosts::take_off(run, entry, key, &mut chain))
}

/// Fails if the server takes one of the keys.
fn are_refused(run: &Run, entry: &Entry, keys: &[&Key]) -> Result<()> {
    let lines = known_hosts::ours(&run.files()?.known_hosts)?;
    let (action, which) = match keys.iter().any(|key| key.name == entry.key) {
        true => ("remove", "the key"),
        false => ("rotate", "the old key"),
    };
    for key in keys {
        let with_it = Entry { key: key.name.clone(), ..entry.clone() };
        if !matches!(stage::reach(&stage::staged(run, &with_it, &lines)?)?, Reach::NotAccepted) {
            if stage::takes_any_key(run, entry, &lines)? {
                run.output.warn(&format!("{} accepts any key, so this one still gets in", entry.alias));
                return Ok(());
            }
            return Err(anyhow!("{action}: {}: the server still takes the key", entry.alias)).hint(format!(
                "it is in another file there: look for it with AuthorizedKeysFile in sshd's configuration, and take \
                 this line out: {}",
                key.public
            ));
        }
    }
    let shown = escape(entry.authorized_keys.as_bytes());
    run.output.line("server", &shown, &format!("{which} is out and no longer accepted"));
    Ok(())
}
