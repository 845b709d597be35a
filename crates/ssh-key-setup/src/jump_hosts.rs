//! Jump hosts: the container's key has to get through each of them.
//!
//! On a jump host the key may do one thing: pass a connection on to the next host's address. Whether it does is tried
//! first; if it does not, the key is put there as on the server, after the person has agreed to that.

use anyhow::{Result, anyhow};
use common::exit::HintExt;
use common::text::escape;

use crate::connection::failure::{self, Kind, hinted};
use crate::connection::ssh::Connection;
use crate::keys_file::authorized_keys::{self, Edit, WantedLine};
use crate::keys_file::install;
use crate::question;
use crate::rotate::sharing;
use crate::route::resolve::Section;
use crate::route::route_connections::RouteConnections;
use crate::run::{Host, Run};
use crate::ssh_folder::config::Entry;
use crate::ssh_folder::key::Key;

/// Makes every jump host of the entry pass the key's connections on.
pub(crate) fn let_in(host: &mut Host, entry: &Entry, key: &Key, chain: &mut RouteConnections) -> Result<()> {
    let run = host.run;
    let lines = chain.lines();
    for (index, pair) in entry.sections.windows(2).enumerate() {
        let [jump_host, next] = pair else { continue };
        let isolated = run.isolated(run.folder.path(), entry, &lines, &jump_host.name)?;
        let shown = escape(format!("{}@{}", jump_host.user, jump_host.host_name).as_bytes());
        if passes_on(&isolated, jump_host, next)?.is_none() {
            run.output.line("jump", &shown, "passes the key on");
            continue;
        }
        agree(run, &shown)?;
        let yours = chain.connection(index)?;
        let knows_restrict = install::knows_restrict(yours);
        let options = Some(authorized_keys::jump_only(&next.host_name, next.port, knows_restrict));
        let wanted = WantedLine { public_key: key.public.clone(), options };
        let file = install::keys_file(yours, None).map_err(|error| match failure::kind_of(&error) {
            // It need not have SFTP: routers have none.
            Some(Kind::NoSftp) => hinted(
                error,
                format!(
                    "put this line into authorized_keys there by hand, and run this again: {}",
                    wanted.line()
                ),
            ),
            _ => error,
        })?;
        host.report.changed |= matches!(install::install(yours, &file, &wanted)?, Edit::Write(_));
        if let Some(refused) = passes_on(&isolated, jump_host, next)? {
            return Err(refused);
        }
        run.output.line("jump", &shown, &format!("{}, put in, for passing on only", escape(file.as_bytes())));
    }
    Ok(())
}

/// Takes the key off every jump host of the chain but those that another host needs.
pub(crate) fn take_off(run: &Run, entry: &Entry, key: &Key, chain: &mut RouteConnections) -> Result<()> {
    let files = run.files()?;
    for index in 0..entry.sections.len().saturating_sub(1) {
        if key.name == entry.key && sharing::at_same_account(&files, entry, index)?.is_some() {
            continue;
        }
        let yours = chain.connection(index)?;
        let file = install::keys_file(yours, None)?;
        install::uninstall(yours, &file, &key.public)?;
    }
    Ok(())
}

/// Tries to reach the next host's sshd through the jump host. Returns the error if that does not take the key, and fails
/// if anything else is in the way.
fn passes_on(connection: &Connection, jump_host: &Section, next: &Section) -> Result<Option<anyhow::Error>> {
    let address = authorized_keys::address(&next.host_name, next.port);
    let ran = connection.capture(&mut connection.ssh(&["-W", &address], &[]), b"")?;
    if ran.stdout.starts_with(b"SSH-") {
        return Ok(None);
    }
    let failure = failure::of_ssh(&ran.stderr, ran.end);
    let error = failure.about(&jump_host.host_name, failure::Login::Folder);
    if failure.kind == Kind::NotAccepted { Ok(Some(error)) } else { Err(error) }
}

fn agree(run: &Run, shown: &str) -> Result<()> {
    if run.request.install_on_jump_hosts {
        return Ok(());
    }
    common::note!("The jump host {shown} needs the key too, to pass connections on and nothing else.");
    if question::is_yes("Put it there? Type yes: ", &run.cancel)? {
        return Ok(());
    }
    Err(anyhow!("jump host: {shown}: it needs the key too, and you did not agree to put it there"))
        .hint("answer yes, or add --install-on-jump-hosts, or let the container reach the server without it")
}
