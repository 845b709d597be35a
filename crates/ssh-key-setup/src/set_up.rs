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
use crate::output::HostReport;
use crate::prove::{self, Make};
use crate::remove;
use crate::request::{Action, Target};
use crate::rotate::Rotation;
use crate::route::container;
use crate::route::resolve::{self, Route};
use crate::route::route_connections::{RouteConnections, host_keys};
use crate::run::{Files, Run};
use crate::ssh_folder::config::Entry;
use crate::ssh_folder::key::{self, Key};
use crate::ssh_folder::known_hosts::{self, Source};
use crate::stage;
use crate::stage::Reach;
use path::{is_other_view_of, server_path};
use put_in::{Goal, install_on_server};

/// Sets up the server that is wished for; `existing` is what an earlier run wrote about it.
pub(crate) fn set_up(
    run: &Run,
    files: &Files,
    target: &Target,
    existing: Option<&Entry>,
    report: &mut HostReport,
) -> Result<()> {
    let rotation = match existing.map(|entry| (entry, Rotation::unfinished(run, entry))) {
        Some((entry, None)) if run.request.action == Action::Rotate => {
            Some(Rotation::start(run, files, entry)?)
        }
        Some((_, unfinished)) => unfinished,
        None => None,
    };
    let done = with_key(run, files, target, existing, rotation.as_ref(), report);
    if done.is_err() && existing.is_some_and(|entry| Rotation::unfinished(run, entry).is_some()) {
        let alias = &target.alias;
        report.warn(
            run.output,
            format!("the rotation is half done; backups go on meanwhile; finish it: ssh-key-setup {alias}"),
        );
    }
    done
}

fn with_key(
    run: &Run,
    files: &Files,
    target: &Target,
    existing: Option<&Entry>,
    rotation: Option<&Rotation>,
    report: &mut HostReport,
) -> Result<()> {
    let route = resolve::route(&target.access, &run.cancel)?;
    show_route(run, &target.alias, &route, report)?;
    if let Some(existing) = existing {
        same_account(existing, &route)?;
    }
    // Before the key: a name that was mistyped leaves no key behind.
    let mut chain = stage::settle_host_keys(run, &route, report)?;
    let others: Vec<&Entry> = files.entries.iter().filter(|entry| entry.alias != target.alias).collect();
    let key_name = match (rotation, existing, &target.key) {
        (Some(rotation), ..) => rotation.new_key(),
        (None, Some(existing), _) => existing.key.clone(),
        (None, None, Some(key)) => key.clone(),
        (None, None, None) => run.key_name(Some(&target.alias), &others),
    };
    let key = key::find_or_make(run.folder.path(), &key_name, Some(&target.alias))?;
    run.show_key(&key);
    report.name_key(&key);

    let path = target.each.path.clone().or_else(|| existing.map(|entry| entry.path.clone()));
    let mut entry = Entry {
        alias: target.alias.clone(),
        access: target.access.clone(),
        path: path.clone().unwrap_or_default(),
        home: existing.map(|entry| entry.home.clone()).unwrap_or_default(),
        authorized_keys: existing.map(|entry| entry.authorized_keys.clone()).unwrap_or_default(),
        restricted: target.each.restricted.unwrap_or(true),
        options: existing.and_then(|entry| entry.options.clone()),
        key: key.name.clone(),
        sections: Entry::sections_of(&target.alias, &route),
    };
    own_names(&entry, &others)?;
    let lines = chain.lines();
    jump_hosts::let_in(run, &entry, &lines, &key, &mut chain, report)?;
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
        report.warn(run.output, common::exit::one_line(&error));
    }
    let same_path = match (accepted, existing) {
        (true, Some(existing)) => is_same_path(&isolated, existing, path.as_deref())?,
        _ => false,
    };
    let as_before = existing.is_some_and(|existing| {
        existing.restricted == entry.restricted
            && same_path
            && run.request.keys_file.as_ref().is_none_or(|file| *file == existing.authorized_keys)
    });
    if accepted && as_before {
        entry.path = existing.map(|entry| entry.path.clone()).unwrap_or_default();
        let aside =
            if rotation.is_some() { "the new one, beside the old one" } else { "nothing changed there" };
        run.output.line("server", "takes the key", aside);
    } else if let Some(place) = outside_of_our_reach(run, accepted && existing.is_none(), &key, &mut chain)? {
        adopt(run, &mut entry, path.as_deref(), &isolated, place, report)?;
    } else {
        // A new key that does not work is taken back, whatever the old one's line is.
        let existing = existing.filter(|_| rotation.is_none());
        let goal = Goal { path: path.as_deref(), key: &key, existing };
        install_on_server(run, &mut entry, &goal, &isolated, &mut chain, report)?;
    }
    host_keys::other_keys(run, &entry, &mut chain, report)?;
    let Some((rotation, old)) = rotation.zip(existing) else {
        stage::write(run, files, &entry, chain.lines(), report)?;
        return stage::prove_and_close(run, &entry, report);
    };
    prove::prove(&isolated, &entry, Make::Nothing, &mut |_| {}).context("the new key")?;
    let (new, old) = rotation.switch(&run.folder.path().join(&old.key))?;
    report.name_key(&new);
    (report.key_made, report.changed) = (true, true);
    entry.key = new.name;
    stage::write(run, files, &entry, chain.lines(), report)?;
    remove::off_the_server(run, &entry, &[&old], Some(chain))?;
    rotation.put_aside(run, &old)?;
    stage::prove_and_close(run, &entry, report)
}

fn is_accepted(isolated: &Connection) -> Result<bool> {
    Ok(matches!(stage::reach(isolated)?, Reach::Works))
}

/// Fails if another host's section has the name of one of the entry's: ssh would take the first.
fn own_names(entry: &Entry, others: &[&Entry]) -> Result<()> {
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
fn is_same_path(isolated: &Connection, existing: &Entry, path: Option<&str>) -> Result<bool> {
    let path = server_path(path, &existing.home)?;
    if path == existing.path || is_other_view_of(isolated, &path, &existing.path)? {
        return Ok(true);
    }
    let entry = Entry { path, restricted: false, ..existing.clone() };
    prove::prove(isolated, &entry, Make::Folder, &mut |_| {}).map(|_| false)
}

/// Prints where the way leads, and what the container should know of it.
fn show_route(run: &Run, alias: &str, route: &Route, report: &mut HostReport) -> Result<()> {
    report.server = route.target.shown();
    report.jump_hosts = route.jump_hosts.iter().map(resolve::Endpoint::shown).collect();
    let through = match report.jump_hosts.as_slice() {
        [] => String::new(),
        jump_hosts => format!("through {}", jump_hosts.join(", then ")),
    };
    run.output.line(alias, &report.server, &through);
    container::check_route(route)?;
    let first = route.jump_hosts.first().unwrap_or(&route.target);
    let notes = container::notes(route, &container::ask(&first.host_name));
    for warning in notes.warnings {
        report.warn(run.output, warning);
    }
    report.start_tailscale_first = notes.tailscale;
    Ok(())
}

/// The file of a line that lets the key in and that the user's own access can't change, as far as it is known.
struct Elsewhere(Option<String>);

/// Where the key's line is, if another person put it in and only they can change it: the user's own access is not let
/// in, or the server keeps its keys outside of what the account sees.
fn outside_of_our_reach(
    run: &Run,
    is_new_and_works: bool,
    key: &Key,
    chain: &mut RouteConnections,
) -> Result<Option<Elsewhere>> {
    if !is_new_and_works {
        return Ok(None);
    }
    match chain.server() {
        Ok(yours) => {
            let home = install::home(yours)?;
            let file = install::keys_file(yours, &home, run.request.keys_file.as_deref())?;
            let is_there = install::holds(yours, &file, &key.public);
            Ok((!is_there).then_some(Elsewhere(Some(file))))
        }
        Err(error) if failure::kind_of(&error) == Some(Kind::NotAccepted) => Ok(Some(Elsewhere(None))),
        Err(error) => Err(error),
    }
}

/// Another person put the key on the server: its line there is left as it is.
fn adopt(
    run: &Run,
    entry: &mut Entry,
    path: Option<&str>,
    isolated: &Connection,
    place: Elsewhere,
    report: &mut HostReport,
) -> Result<()> {
    entry.home = install::home(isolated)?;
    entry.path = server_path(path, &entry.home)?;
    entry.authorized_keys = match place.0 {
        Some(file) => file,
        None => install::keys_file(isolated, &entry.home, run.request.keys_file.as_deref())?,
    };
    run.output.line("server", "takes the key", "put in by another person");
    let warning = format!(
        "the key's line at {} is not in a file that your own access can change, so nothing was changed there",
        entry.alias
    );
    report.warn(run.output, warning);
    Ok(())
}

/// `--check`: the proof, and whether the container may use the folder.
pub(crate) fn check(run: &Run, files: &Files, entry: &Entry, report: &mut HostReport) -> Result<()> {
    let Some(section) = entry.sections.last() else {
        return Err(anyhow!("check: {}: config holds no section for it", entry.alias));
    };
    report.server = section.shown();
    run.output.line(&entry.alias, &report.server, "check only");
    let key = key::read_only(&run.folder.path().join(&entry.key))?;
    report.name_key(&key);
    run.show_key(&key);
    let names: Vec<String> = entry.sections.iter().map(resolve::Section::key_name).collect();
    let mut lines = known_hosts::ours(&files.known_hosts)?;
    lines.retain(|line| names.contains(&line.name));
    run.show_host_keys(&lines, Source::Folder.words(), report);
    run.folder.check(run.request.rootless)?;
    if container::reads(&files.config, &entry.alias)? {
        run.output.line("config", "read by ssh in Backrest's container", "");
    }
    report.start_tailscale_first = entry.sections.first().is_some_and(|first| {
        container::is_through_tailscale(&first.host_name, &container::ask(&first.host_name))
    });
    if Rotation::unfinished(run, entry).is_some() {
        report.warn(
            run.output,
            format!("a rotation was interrupted; finish it: ssh-key-setup {}", entry.alias),
        );
    }
    stage::prove_and_close(run, entry, report)
}
