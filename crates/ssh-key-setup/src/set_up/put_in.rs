//! The key's line onto a server, with the strongest restriction under which SFTP works there.
//!
//! The strictest line that the server takes and that leaves SFTP working; what did not work is taken back.

use anyhow::{Result, anyhow};
use common::text::{escape, escape_path};

use super::path::{over_sftp, root_over_ssh, server_path};
use crate::connection::failure::hinted;
use crate::connection::ssh::Connection;
use crate::keys_file::authorized_keys::Edit;
use crate::keys_file::install;
use crate::keys_file::rejection;
use crate::prove;
use crate::route::route_connections::RouteConnections;
use crate::run::{Host, Run};
use crate::ssh_folder::config::Entry;
use crate::ssh_folder::key::{self, Key};
use crate::stage::{self, Reach};

pub(super) struct Goal<'a> {
    pub(super) key: &'a Key,
    pub(super) existing: Option<&'a Entry>,
}

/// Puts the key on the server, with the strongest restriction under which SFTP works there. What does not work is taken
/// back.
pub(super) fn install_on_server(
    host: &mut Host,
    entry: &mut Entry,
    goal: &Goal,
    isolated: &Connection,
    chain: &mut RouteConnections,
) -> Result<()> {
    let run = host.run;
    let yours = chain.server()?;
    if yours.software().is_some_and(|software| software.to_ascii_lowercase().starts_with("mod_sftp")) {
        return Err(for_mod_sftp(run, entry, goal.key)?);
    }
    entry.home = install::home(yours)?;
    entry.authorized_keys = install::keys_file(yours, run.request.keys_file.as_deref())?;
    let named = yours.keys_file();
    let typed = server_path(&entry.path, &entry.home)?;
    entry.path = over_sftp(yours, typed.clone(), named.as_deref(), &entry.authorized_keys)?;
    let over_ssh = match root_over_ssh(named.as_deref(), &entry.authorized_keys) {
        Some(root) => format!("{root}{}", entry.path),
        None => typed,
    };
    if over_ssh != entry.path {
        let aside = format!("as SFTP and Backrest see it; over SSH it is {}", escape(over_ssh.as_bytes()));
        run.output.line("path", &escape(entry.path.as_bytes()), &aside);
    }
    let attempts: Vec<Option<String>> = match entry.restricted {
        true => install::restrictions(yours, &entry.path)?.into_iter().map(Some).collect(),
        false => vec![None],
    };
    let mut broken = None;
    for options in attempts {
        entry.options = options;
        let installed = install::install(yours, &entry.authorized_keys, &stage::wanted(entry, goal.key))?;
        match stage::reach(isolated)? {
            // OpenSSH does what a line says. If more is allowed all the same, the proof reports by what.
            Reach::Works if trusts_line(yours, entry) || prove::restriction_holds(isolated, entry)? => {
                host.report.changed |= matches!(installed, Edit::Write(_));
                let news = escape(entry.authorized_keys.as_bytes());
                run.output.line("server", &news, &installed_words(entry, &installed));
                return Ok(());
            }
            Reach::Works => broken = Some(anyhow!("the server ignores the key's options")),
            Reach::Broken(error) => broken = Some(error),
            // Another server than OpenSSH may drop a line for one word in it.
            Reach::NotAccepted if broken.is_some() || !install::is_openssh(yours) => {
                broken.get_or_insert_with(|| anyhow!("the server does not take the key's line"));
            }
            Reach::NotAccepted => return Err(not_accepted(yours, entry, goal, isolated, &installed)?),
        }
        if matches!(installed, Edit::PresentWithOptions(_)) {
            break;
        }
    }
    take_back(yours, entry, goal)?;
    let why = broken.unwrap_or_else(|| anyhow!("the server does not take the key's line"));
    Err(match entry.restricted {
        true => hinted(
            anyhow!(
                "connect: {}: SFTP works for you, but not with a restricted key; nothing was left there: {}",
                entry.alias,
                common::exit::one_line(&why)
            ),
            format!(
                "let the key do everything that you can: ssh-key-setup {} --no-restrict",
                entry.access.host
            ),
        ),
        false => why,
    })
}

/// Whether the entry's line needs no trial: it asks for nothing, or for something that this server is known to do.
fn trusts_line(yours: &Connection, entry: &Entry) -> bool {
    !entry.restricted || (install::is_openssh(yours) && !entry.keeps_a_shell())
}

fn installed_words(entry: &Entry, installed: &Edit) -> String {
    match installed {
        Edit::Write(_) if entry.restricted && entry.keeps_a_shell() => {
            "put in, without forwards; this server can't limit it to SFTP".to_owned()
        }
        Edit::Write(_) if entry.restricted => "put in, for SFTP only".to_owned(),
        Edit::Write(_) => "put in, with a shell".to_owned(),
        Edit::Present => "it was there".to_owned(),
        Edit::PresentWithOptions(options) => {
            format!("it was there with options of another origin, which stay: {}", escape(options.as_bytes()))
        }
    }
}

/// The server's file as it was before: with the line of an earlier run, or without one.
fn take_back(yours: &Connection, entry: &Entry, goal: &Goal) -> Result<()> {
    let before = goal.existing.filter(|existing| existing.authorized_keys == entry.authorized_keys);
    match before {
        Some(before) => {
            install::install(yours, &entry.authorized_keys, &stage::wanted(before, goal.key)).map(drop)
        }
        None => install::uninstall(yours, &entry.authorized_keys, &goal.key.public).map(drop),
    }
}

/// Why sshd does not take a key that is in its file.
fn not_accepted(
    yours: &Connection,
    entry: &Entry,
    goal: &Goal,
    isolated: &Connection,
    installed: &Edit,
) -> Result<anyhow::Error> {
    if let Some(error) = isolated.second_factor() {
        if matches!(installed, Edit::Write(_)) {
            take_back(yours, entry, goal)?;
        }
        return Ok(error);
    }
    let user = entry.sections.last().map_or("", |section| section.user.as_str());
    let reasons = rejection::not_accepted(yours, &entry.home, &entry.authorized_keys, user)?;
    Ok(hinted(
        anyhow!(
            "connect: {}: the key is in {} but is not accepted",
            entry.alias,
            escape(entry.authorized_keys.as_bytes())
        ),
        reasons.join("; or: "),
    ))
}

/// ProFTPD's mod_sftp reads keys of another form, from a file that only its configuration names.
fn for_mod_sftp(run: &Run, entry: &Entry, key: &Key) -> Result<anyhow::Error> {
    run.output.text("\nProFTPD reads keys in the form of RFC 4716. These lines are the key:\n");
    run.output.text(&key.rfc4716()?);
    Ok(hinted(
        anyhow!("connect: {}: ProFTPD (mod_sftp) does not have the key yet", entry.alias),
        format!(
            "put the key into the file that SFTPAuthorizedUserKeys names, and run this again: ssh-keygen -e -f {}",
            escape_path(key::beside(&key.path, ".pub"))
        ),
    ))
}
