//! What a run is asked for: the command line, checked and put into the terms of the program.
//!
//! Nothing behind this reads a flag.

use anyhow::Result;

use crate::cli::Cli;
use crate::connection::access::Access;
use crate::names;
use crate::ssh_folder::config::{Entry, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    SetUp,
    Check,
    Rotate,
    Remove {
        /// The server is gone: only the folder is cleaned.
        offline: bool,
    },
}

impl Action {
    /// Whether the folder has to be there already, and stays as it is but for what is taken out.
    pub(crate) fn needs_folder(self) -> bool {
        matches!(self, Action::Check | Action::Remove { .. })
    }
}

/// What a run is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) action: Action,
    /// The one host of the run; without it, the run is about all of them.
    pub(crate) host: Option<Target>,
    pub(crate) path: Option<String>,
    /// The key may do more than SFTP. Otherwise that stays as it is.
    pub(crate) unrestricted: bool,
    /// The server's file for the account's keys.
    pub(crate) keys_file: Option<String>,
    pub(crate) accept_new_host_key: bool,
    pub(crate) install_on_jump_hosts: bool,
    pub(crate) rootless: bool,
    pub(crate) json: bool,
}

impl Request {
    /// Checks the command line. Fails if a host, an alias or a path can't be one.
    pub(crate) fn of(cli: Cli) -> Result<Request> {
        let action = match (cli.check, cli.rotate, cli.remove) {
            (true, ..) => Action::Check,
            (_, true, _) => Action::Rotate,
            (.., true) => Action::Remove { offline: cli.offline },
            _ => Action::SetUp,
        };
        let access = Access { user: cli.user, port: cli.port, identity: cli.identity, ..Access::default() };
        let host = cli.host.as_deref().map(|host| Target::named(host, cli.alias, access)).transpose()?;
        cli.path.as_deref().map_or(Ok(()), names::check_path)?;
        Ok(Request {
            action,
            host,
            path: cli.path,
            unrestricted: cli.no_restrict,
            keys_file: cli.authorized_keys,
            accept_new_host_key: cli.accept_new_host_key,
            install_on_jump_hosts: cli.install_on_jump_hosts,
            rootless: cli.rootless,
            json: cli.json,
        })
    }
}

impl Target {
    /// A host as it is typed after `ssh`.
    pub(crate) fn named(host: &str, alias: Option<String>, access: Access) -> Result<Target> {
        names::check(host)?;
        let alias = alias.unwrap_or_else(|| names::alias(host));
        names::check_alias(&alias)?;
        Ok(Target { access: Access { host: host.to_owned(), ..access }, alias, key: None })
    }

    /// Takes from an entry of the same name what the command line leaves open: `nas` after `nas --port 2222` means the
    /// same host.
    pub(crate) fn completed(mut self, entry: &Entry) -> Target {
        let (asked, known) = (self.access, entry.access.clone());
        let is_known = asked.host == known.host || asked.host == entry.alias;
        self.access = match is_known {
            true => Access {
                user: asked.user.or(known.user),
                port: asked.port.or(known.port),
                identity: asked.identity.or(known.identity),
                ..known
            },
            false => asked,
        };
        self
    }
}
