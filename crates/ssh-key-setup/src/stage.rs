//! The steps that setting up, rotating, removing and checking a host share.
//!
//! Host keys first, a connection that has nothing but the folder, whether the server takes the key, the folder's files
//! written, and the proof at the end.

use anyhow::{Context, Result, anyhow};
use common::atomic::Change;
use common::text::{escape, escape_path};

use crate::connection::failure::{self, Kind, hinted};
use crate::connection::ssh::Connection;
use crate::keys_file::authorized_keys::{self, WantedLine};
use crate::keys_file::install;
use crate::prove::{self, Make};
use crate::request::Action;
use crate::route::resolve::Route;
use crate::route::route_connections::RouteConnections;
use crate::run::{Host, Run};
use crate::ssh_folder::config::{self, Entry};
use crate::ssh_folder::key::{self, Key};
use crate::ssh_folder::known_hosts::{self, Line};

pub(crate) fn settle_host_keys(host: &mut Host, route: &Route) -> Result<RouteConnections> {
    let chain = RouteConnections::new(host.run, route)?;
    for (lines, source) in chain.keys() {
        host.show_host_keys(lines, source.words());
    }
    Ok(chain)
}

/// A connection with nothing but the folder, as if it held this entry and these host keys.
pub(crate) fn staged(run: &Run, entry: &Entry, lines: &[Line]) -> Result<Connection> {
    run.isolated(run.folder.path(), entry, lines, &entry.alias)
}

/// How far a connection with the folder's key gets.
#[derive(Debug)]
pub(crate) enum Reach {
    Works,
    NotAccepted,
    /// The server takes the key, and SFTP does not work with it.
    Broken(anyhow::Error),
}

/// Tries SFTP; fails if something on the way to the server is in the way.
pub(crate) fn reach(connection: &Connection) -> Result<Reach> {
    let Err(error) = install::home(connection) else { return Ok(Reach::Works) };
    match failure::kind_of(&error) {
        Some(Kind::NotAccepted) => Ok(Reach::NotAccepted),
        Some(Kind::NoSftp | Kind::NotClean | Kind::Lost | Kind::Other) => Ok(Reach::Broken(error)),
        _ => Err(error),
    }
}

/// Whether the server lets in a key that it has never seen.
pub(crate) fn takes_any_key(run: &Run, entry: &Entry, lines: &[Line]) -> Result<bool> {
    let scratch = crate::connection::scratch::scratch()?;
    key::find_or_make(scratch.path(), &entry.key, None)?;
    let stranger = run.isolated(scratch.path(), entry, lines, &entry.alias)?;
    Ok(!matches!(reach(&stranger)?, Reach::NotAccepted))
}

pub(crate) fn any_key(alias: &str) -> anyhow::Error {
    hinted(
        anyhow!(
            "connect: {alias}: this server accepts any key (Tailscale SSH?): the folder's key proves nothing and \
             can't be limited"
        ),
        format!(
            "use sshd's own port there, or turn that off (tailscale set --ssh=false); to use it as it is: \
             ssh-key-setup {alias} --no-restrict"
        ),
    )
}

pub(crate) fn wanted(entry: &Entry, key: &Key) -> WantedLine {
    let options = || entry.options.clone().unwrap_or_else(|| authorized_keys::sftp_only(Some(&entry.path)));
    WantedLine { public_key: key.public.clone(), options: entry.restricted.then(options) }
}

pub(crate) fn write(host: &mut Host, entry: &Entry, lines: Vec<Line>) -> Result<()> {
    let (run, files) = (host.run, &host.files);
    let mut entries = files.entries.clone();
    entries.retain(|other| other.alias != entry.alias);
    entries.push(entry.clone());
    entries.sort_by(|a, b| a.alias.cmp(&b.alias));
    let config = config::with_entries(&files.config, &entries)?;
    let mut all = known_hosts::ours(&files.known_hosts)?;
    all.retain(|line| lines.iter().all(|new| new.name != line.name));
    all.extend(lines);
    let known_hosts = known_hosts::with_lines(&files.known_hosts, &all)?;
    // known_hosts first: a config without the keys it needs would be a host that can't be reached.
    let changes = [run.folder.write("known_hosts", &known_hosts)?, run.folder.write("config", &config)?];
    let changed = changes.contains(&Change::Written);
    host.report.changed |= changed;
    run.output.line("folder", &escape_path(run.folder.path()), if changed { "written" } else { "unchanged" });
    Ok(())
}

/// Proves the folder as it is on disk, and says what to do next.
pub(crate) fn prove_and_close(host: &mut Host, entry: &Entry) -> Result<()> {
    let Host { run, report, .. } = host;
    report.restricted = entry.restricted;
    report.repository = prove::repository(entry);
    report.mount = "${DATA_DIR}/ssh:/root/.ssh:ro".to_owned();
    let only_checks = run.request.action == Action::Check;
    let make = if only_checks { Make::Nothing } else { Make::Folder };
    let connection = on_disk(run, entry)?;
    let mut checks = Vec::new();
    let proof = prove::prove(&connection, entry, make, &mut |check| {
        run.output.check(check);
        checks.push(check.clone());
    });
    report.checks = checks;
    report.free_bytes = match proof {
        Err(error) if prove::is_about_restriction(&error) => {
            // A server that lets anyone in makes nothing of the key's line.
            let lines = known_hosts::ours(&run.files()?.known_hosts)?;
            return Err(if takes_any_key(run, entry, &lines)? { any_key(&entry.alias) } else { error });
        }
        Err(error) if failure::kind_of(&error) == Some(Kind::NotAccepted) => {
            return Err(connection.second_factor().unwrap_or(error));
        }
        proof => proof?,
    };
    if !only_checks {
        run.folder
            .give_config_to_root(run.request.rootless)
            .context("the server is ready, but the container can't use the folder yet")?;
    }
    let output = run.output;
    output.text(&format!("\nRepository in Backrest:   {}", escape(report.repository.as_bytes())));
    output.text(&format!("Volume in compose.yaml:   - {}", report.mount));
    if report.start_tailscale_first {
        output
            .text("Hooks in Backrest:        start-tailscale before the backup (create-backrest-pipe hooks)");
    }
    Ok(())
}

pub(crate) fn on_disk(run: &Run, entry: &Entry) -> Result<Connection> {
    let files = run.files()?;
    Connection::isolated(run.folder.path(), &files.config, &files.known_hosts, &entry.alias, &run.cancel)
}
