//! Which hosts a run is about: the one on the command line; else those that are set up, those that an older script
//! wrote into `config`, and those of the setting BACKREST_SSH_HOST.

use anyhow::Result;
use common::settings::Settings;

use crate::cli::Cli;
use crate::connection::access::Access;
use crate::host_name;
use crate::ssh_folder::config::{self, Entry};

/// What one host is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// How the user's own ssh is called for it.
    pub(crate) access: Access,
    /// Its name in the container.
    pub(crate) alias: String,
    /// `--path`.
    pub(crate) path: Option<String>,
    /// The key file that an older script used for it.
    pub(crate) key: Option<String>,
    /// Only SFTP; `None` where nobody said, so it stays as it is.
    pub(crate) restricted: Option<bool>,
}

/// The hosts of a run, given the folder's config.
pub(crate) fn targets(cli: &Cli, settings: &Settings, config: &str) -> Result<Vec<Target>> {
    if let Some(host) = &cli.host {
        return Ok(vec![typed(cli, host)?]);
    }
    let mut targets: Vec<Target> =
        config::entries(config)?.iter().map(|entry| of_entry(cli, entry)).collect();
    for foreign in config::foreign_hosts(config)? {
        if targets.iter().any(|target| target.alias == foreign.alias) {
            continue;
        }
        let host = foreign.host_name.unwrap_or_else(|| foreign.alias.clone());
        host_name::check(&host)?;
        targets.push(Target {
            access: Access { host, user: foreign.user, port: foreign.port, ..Access::default() },
            alias: foreign.alias,
            path: cli.path.clone(),
            key: foreign.key,
            restricted: cli.no_restrict.then_some(false),
        });
    }
    if targets.is_empty() {
        let hosts = settings.other("BACKREST_SSH_HOST").unwrap_or_default();
        let hosts = hosts.split([' ', ',']).filter(|host| !host.is_empty());
        targets = hosts.map(|host| typed(cli, host)).collect::<Result<_>>()?;
    }
    Ok(targets)
}

fn typed(cli: &Cli, host: &str) -> Result<Target> {
    host_name::check(host)?;
    let alias = cli.alias.clone().unwrap_or_else(|| host_name::alias(host));
    host_name::check_alias(&alias)?;
    Ok(Target {
        access: Access {
            host: host.to_owned(),
            user: cli.user.clone(),
            port: cli.port,
            identity: cli.identity.clone(),
            ..Access::default()
        },
        alias,
        path: cli.path.clone(),
        key: None,
        restricted: cli.no_restrict.then_some(false),
    })
}

fn of_entry(cli: &Cli, entry: &Entry) -> Target {
    Target {
        access: entry.access(),
        alias: entry.alias.clone(),
        path: cli.path.clone(),
        key: None,
        restricted: cli.no_restrict.then_some(false),
    }
}

impl Target {
    /// Takes from an entry of the same name what the command line leaves open: `nas` after `nas --port 2222` means the
    /// same host.
    pub(crate) fn completed(mut self, entry: &Entry) -> Target {
        if self.access.host == entry.typed || self.access.host == entry.alias {
            self.access.host.clone_from(&entry.typed);
            self.access.user = self.access.user.or_else(|| entry.user.clone());
            self.access.port = self.access.port.or(entry.port);
            self.access.identity = self.access.identity.or_else(|| entry.identity.clone());
        }
        self.restricted = self.restricted.or(Some(entry.restricted));
        self
    }
}
