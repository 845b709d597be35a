//! One server, stage by stage: resolve, generate, host keys, install, write, prove. A rotation is the same with a new key,
//! after which the old one is removed.
//!
//! A server that takes the folder's key already is not logged in to with the user's own access: the folder alone
//! proves it. Nothing is written into the folder before the server takes the key.

mod path;
mod put_in;

use anyhow::{Context, Result, anyhow};
use common::exit::HintExt;
use common::text::escape;

use crate::connection::failure::{self, Kind};
use crate::connection::ssh::Connection;
use crate::jump_hosts;
use crate::keys_file::install;
use crate::prove::{self, Make};
use crate::remove;
use crate::request::Action;
use crate::rotate::Rotation;
use crate::route::container;
use crate::route::resolve::{self, Route};
use crate::route::route_connections::RouteConnections;
use crate::run::Host;
use crate::ssh_folder::config::{Entry, Target};
use crate::ssh_folder::key::{self, Key};
use crate::ssh_folder::known_hosts::{self, Source};
use crate::stage;
use crate::stage::Reach;
use path::{is_other_view_of, server_path};
use put_in::{Goal, install_on_server};

/// Sets up the server that is wished for; `existing` is what an earlier run wrote about it.
pub(crate) fn set_up(host: &mut Host, target: &Target, existing: Option<&Entry>) -> Result<()> {
    let run = host.run;
    let rotation = match existing.map(|entry| (entry, Rotation::unfinished(run, entry))) {
        Some((entry, None)) if run.request.action == Action::Rotate => Some(Rotation::start(host, entry)?),
        Some((_, unfinished)) => unfinished,
        None => None,
    };
    let done = with_key(host, target, existing, rotation.as_ref());
    if done.is_err() && existing.is_some_and(|entry| Rotation::unfinished(run, entry).is_some()) {
        let alias = &target.alias;
        host.warn(format!(
            "the rotation is half done; backups go on meanwhile; finish it: ssh-key-setup {alias}"
        ));
    }
    done
}

fn with_key(
    host: &mut Host,
    target: &Target,
    existing: Option<&Entry>,
    rotation: Option<&Rotation>,
) -> Result<()> {
    let run = host.run;
    let route = resolve::route(&target.access, &run.cancel)?;
    show_route(host, &target.alias, &route)?;
    if let Some(existing) = existing {
        same_account(existing, &route)?;
    }
    // Before the key: a name that was mistyped leaves no key behind.
    let mut chain = stage::settle_host_keys(host, &route)?;
    let mut others = host.files.entries.clone();
    others.retain(|entry| entry.alias != target.alias);
    let key_name = match (rotation, existing, &target.key) {
        (Some(rotation), ..) => rotation.new_key(),
        (None, Some(existing), _) => existing.key.clone(),
        (None, None, Some(key)) => key.clone(),
        (None, None, None) => run.key_name(Some(&target.alias), &others),
    };
    let key = key::find_or_make(run.folder.path(), &key_name, Some(&target.alias))?;
    host.show_key(&key);

    let mut entry = Entry {
        alias: target.alias.clone(),
        access: target.access.clone(),
        restricted: !run.request.unrestricted && existing.is_none_or(|entry| entry.restricted),
        key: key.name.clone(),
        sections: Entry::sections_of(&target.alias, &route),
        ..existing.cloned().unwrap_or_else(|| Entry { path: "restic".to_owned(), ..Entry::default() })
    };
    if let Some(path) = &run.request.path {
        entry.path.clone_from(path);
    }
    own_names(&entry, &others)?;
    let lines = chain.lines();
    jump_hosts::let_in(host, &entry, &key, &mut chain)?;
    let isolated = stage::staged(run, &entry, &lines)?;
    let mut accepted = is_accepted(&isolated)?;
    if let (false, Some(old), Some(_)) = (accepted, existing, rotation) {
        // The old key reaches the same file, so no one has to log in. If it does not work, the user's own access may.
        let put_in = stage::on_disk(run, old)
            .and_then(|own| install::install(&own, &old.authorized_keys, &stage::wanted(old, &key)));
        accepted = put_in.is_ok() && is_accepted(&isolated)?;
    }
    if accepted && existing.is_none() && stage::takes_any_key(run, &entry, &lines)? {
        let error = stage::any_key(&entry.alias);
        if entry.restricted {
            return Err(error);
        }
        host.warn(common::exit::one_line(&error));
    }
    let as_before = match existing.filter(|_| accepted) {
        Some(existing) => {
            is_same_path(&isolated, existing, &entry.path)?
                && existing.restricted == entry.restricted
                && run.request.keys_file.as_ref().is_none_or(|file| *file == existing.authorized_keys)
        }
        None => false,
    };
    if let Some(existing) = existing.filter(|_| as_before) {
        entry.path.clone_from(&existing.path);
        let aside =
            if rotation.is_some() { "the new one, beside the old one" } else { "nothing changed there" };
        run.output.line("server", "takes the key", aside);
    } else if !(accepted && existing.is_none() && adopt(host, &mut entry, &isolated, &key, &mut chain)?) {
        // A new key that does not work is taken back, whatever the old one's line is. Once `config` uses it, its own
        // earlier line comes back.
        let existing = existing.filter(|_| rotation.is_none_or(Rotation::is_switched));
        let goal = Goal { key: &key, existing };
        install_on_server(host, &mut entry, &goal, &isolated, &mut chain)?;
    }
    chain.learn_other_keys(host, &entry)?;
    let Some((rotation, old)) = rotation.zip(existing) else {
        stage::write(host, &entry, chain.lines())?;
        return stage::prove_and_close(host, &entry);
    };
    prove::prove(&isolated, &entry, Make::Nothing, &mut |_| {}).context("the new key")?;
    let (new, old) = rotation.switch(&run.folder.path().join(&old.key))?;
    host.name_key(&new);
    (host.report.key_made, host.report.changed) = (true, true);
    entry.key = new.name;
    stage::write(host, &entry, chain.lines())?;
    remove::off_the_server(run, &entry, &[&old], Some(chain))?;
    rotation.put_aside(run, &old)?;
    stage::prove_and_close(host, &entry)
}

fn is_accepted(isolated: &Connection) -> Result<bool> {
    Ok(matches!(stage::reach(isolated)?, Reach::Works))
}

/// Fails if another host's section has the name of one of the entry's: ssh would take the first.
fn own_names(entry: &Entry, others: &[Entry]) -> Result<()> {
    for other in others {
        let is_there = |name: &str| other.sections.iter().any(|section| section.name == name);
        if let Some(section) = entry.sections.iter().find(|section| is_there(&section.name)) {
            return Err(anyhow!(
                "{}: the name {} is in use already, for {}",
                entry.alias,
                section.name,
                other.alias
            ))
            .hint("give this one another name with --alias");
        }
    }
    Ok(())
}

/// A host may move to another address, but another account is another host: the key would stay at the old one, and
/// the path may be nothing to the new one.
fn same_account(existing: &Entry, route: &Route) -> Result<()> {
    let Some(old) = existing.sections.last().filter(|old| old.user != route.target.user) else {
        return Ok(());
    };
    let alias = &existing.alias;
    Err(anyhow!("{alias} is set up for the account {}", escape(old.user.as_bytes()))).hint(format!(
            "give this one a name of its own with --alias, or take that one out first: ssh-key-setup {alias} --remove"
        ))
}

/// Whether the repository stays where it is. A path that does not work must not take the place of one that does: it is
/// tried before anything is changed.
fn is_same_path(isolated: &Connection, existing: &Entry, path: &str) -> Result<bool> {
    let path = server_path(path, &existing.home)?;
    if path == existing.path || is_other_view_of(isolated, &path, &existing.path)? {
        return Ok(true);
    }
    let entry = Entry { path, restricted: false, ..existing.clone() };
    prove::prove(isolated, &entry, Make::Folder, &mut |_| {}).map(|_| false)
}

/// Prints where the way leads, and what the container should know of it.
fn show_route(host: &mut Host, alias: &str, route: &Route) -> Result<()> {
    let report = &mut host.report;
    report.server = route.target.address();
    report.jump_hosts = route.jump_hosts.iter().map(resolve::Endpoint::address).collect();
    let through = match report.jump_hosts.as_slice() {
        [] => String::new(),
        jump_hosts => format!("through {}", jump_hosts.join(", then ")),
    };
    host.run.output.line(alias, &report.server, &through);
    container::check_route(route)?;
    let first = route.jump_hosts.first().unwrap_or(&route.target);
    let notes = container::notes(route, &container::ask(&first.host_name));
    for warning in notes.warnings {
        host.warn(warning);
    }
    host.report.start_tailscale_first = notes.tailscale;
    Ok(())
}

/// Whether another person put the key on the server and only they can change its line: the user's own access is not let
/// in, or the server keeps its keys outside of what the account sees. The line is left as it is then.
fn adopt(
    host: &mut Host,
    entry: &mut Entry,
    isolated: &Connection,
    key: &Key,
    chain: &mut RouteConnections,
) -> Result<bool> {
    let request = &host.run.request;
    let file = match chain.server() {
        Ok(yours) => {
            let file = install::keys_file(yours, request.keys_file.as_deref())?;
            if install::holds(yours, &file, &key.public) {
                return Ok(false);
            }
            Some(file)
        }
        Err(error) if failure::kind_of(&error) == Some(Kind::NotAccepted) => None,
        Err(error) => return Err(error),
    };
    entry.home = install::home(isolated)?;
    entry.path = server_path(&entry.path, &entry.home)?;
    entry.authorized_keys = match file {
        Some(file) => file,
        None => install::keys_file(isolated, request.keys_file.as_deref())?,
    };
    host.run.output.line("server", "takes the key", "put in by another person");
    host.warn(format!(
        "the key's line at {} is not in a file that your own access can change, so nothing was changed there",
        entry.alias
    ));
    Ok(true)
}

/// `--check`: the proof, and whether the container may use the folder.
pub(crate) fn check(host: &mut Host, entry: &Entry) -> Result<()> {
    let run = host.run;
    let Some(section) = entry.sections.last() else {
        return Err(anyhow!("check: {}: config holds no section for it", entry.alias));
    };
    host.report.server = section.address();
    run.output.line(&entry.alias, &host.report.server, "check only");
    host.show_key(&key::read_only(&run.folder.path().join(&entry.key))?);
    let names: Vec<String> = entry.sections.iter().map(resolve::Section::key_name).collect();
    let mut lines = known_hosts::ours(&host.files.known_hosts)?;
    lines.retain(|line| names.contains(&line.name));
    host.show_host_keys(&lines, Source::Folder.words());
    run.folder.check(run.request.rootless)?;
    if container::reads(&host.files.config, &entry.alias)? {
        run.output.line("config", "read by ssh in Backrest's container", "");
    }
    host.report.start_tailscale_first = entry.sections.first().is_some_and(|first| {
        container::is_through_tailscale(&first.host_name, &container::ask(&first.host_name))
    });
    if Rotation::unfinished(run, entry).is_some() {
        host.warn(format!("a rotation was interrupted; finish it: ssh-key-setup {}", entry.alias));
    }
    stage::prove_and_close(host, entry)
}
