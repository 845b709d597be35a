//! Which hosts a run is about: the one on the command line; otherwise those that are set up, those that an older
//! script wrote into `config`, and if there are none, those of the setting BACKREST_SSH_HOST.

use anyhow::Result;
use common::settings::Settings;

use crate::connection::access::Access;
use crate::names;
use crate::request::Request;
use crate::ssh_folder::config::{self, Entry, Target};

/// The hosts of a run, given the folder's config.
pub(crate) fn targets(request: &Request, settings: &Settings, config: &str) -> Result<Vec<Target>> {
    if let Some(host) = &request.host {
        return Ok(vec![host.clone()]);
    }
    let target = |entry: Entry| Target { access: entry.access, alias: entry.alias, key: None };
    let mut targets: Vec<Target> = config::entries(config)?.into_iter().map(target).collect();
    for foreign in config::foreign_hosts(config)? {
        if targets.iter().any(|target| target.alias == foreign.alias) {
            continue;
        }
        names::check(&foreign.access.host)?;
        targets.push(foreign);
    }
    if targets.is_empty() {
        let hosts = settings.other("BACKREST_SSH_HOST").unwrap_or_default();
        let hosts = hosts.split([' ', ',']).filter(|host| !host.is_empty());
        targets = hosts.map(|host| Target::named(host, None, Access::default())).collect::<Result<_>>()?;
    }
    Ok(targets)
}
