//! The other keys of a server that was new and of which one key was confirmed.
//!
//! ssh itself, asked with `UpdateHostKeys`, has the server prove after the login that it holds the others too, under the
//! key that is trusted. So the folder ends up with every type of key, as if the person had used the server for a while,
//! and a server that later prefers another type is no stranger. What the person's own known_hosts holds is not added to.

use anyhow::Result;

use crate::output::HostReport;
use crate::route::route_connections::RouteConnections;
use crate::run::Run;
use crate::ssh_folder::config::Entry;
use crate::ssh_folder::known_hosts::{self, Line, Source};

/// Adds to the chain what its newly confirmed hosts prove. The folder's key has to get through to all of them.
pub(crate) fn other_keys(
    run: &Run,
    entry: &Entry,
    chain: &mut RouteConnections,
    report: &mut HostReport,
) -> Result<()> {
    for (index, section) in entry.sections.iter().enumerate() {
        if chain.keys().get(index).is_none_or(|(_, source)| *source != Source::Confirmed) {
            continue;
        }
        let lines = chain.lines();
        let connection = run.isolated(run.folder.path(), entry, &lines, &section.name)?;
        // The outcome of the session itself does not matter: the keys come before it.
        let proved = connection.proved_host_keys()?;
        let new: Vec<Line> = known_hosts::of_name(&section.key_name(), &proved)?
            .into_iter()
            .filter(|line| !lines.contains(line))
            .collect();
        run.show_host_keys(&new, "proved under the confirmed one", report);
        chain.add(index, new);
    }
    Ok(())
}
