//! The hosts of a route, one after the other: their trusted keys, and the user's own connections to them.
//!
//! Connections are opened only when something needs one, each through the one before it, and stay open: a password is
//! asked once per host. The keys of a host are settled before anything logs in there.

use anyhow::Result;
use common::cancel::Cancel;

use crate::connection::ssh::Connection;
use crate::route::resolve::{Endpoint, Route};
use crate::run::{Host, Run};
use crate::ssh_folder::config::Entry;
use crate::ssh_folder::known_hosts::{self, Line, Source};

/// A route on which host keys are settled.
#[derive(Debug)]
pub(crate) struct RouteConnections {
    endpoints: Vec<Endpoint>,
    keys: Vec<(Vec<Line>, Source)>,
    connections: Vec<Connection>,
    cancel: Cancel,
}

impl RouteConnections {
    /// Settles the host keys of the whole route.
    pub(crate) fn new(run: &Run, route: &Route) -> Result<RouteConnections> {
        let endpoints: Vec<Endpoint> = route.jump_hosts.iter().chain([&route.target]).cloned().collect();
        let cancel = run.cancel.clone();
        let mut chain = RouteConnections {
            endpoints: endpoints.clone(),
            keys: Vec::new(),
            connections: Vec::new(),
            cancel,
        };
        let folder_file = run.folder.path().join("known_hosts");
        for (index, endpoint) in endpoints.iter().enumerate() {
            let keys = match known_hosts::known(endpoint, &folder_file)? {
                Some(known) => known,
                None => {
                    let through = if index > 0 { Some(chain.connection(index - 1)?) } else { None };
                    let accept = run.request.accept_new_host_key;
                    (known_hosts::ask(endpoint, through, accept, &run.cancel)?, Source::Confirmed)
                }
            };
            chain.keys.push(keys);
        }
        Ok(chain)
    }

    pub(crate) fn keys(&self) -> &[(Vec<Line>, Source)] {
        &self.keys
    }

    /// Adds the other keys of the hosts of which one was confirmed just now. ssh itself, asked with `UpdateHostKeys`, has
    /// the server prove that it holds them, under the key that is trusted: the folder ends up with every type of key, as
    /// if the person had used the server for a while. What the person's own known_hosts holds is not added to.
    ///
    /// The folder's key has to get through to all of the hosts.
    pub(crate) fn learn_other_keys(&mut self, host: &mut Host, entry: &Entry) -> Result<()> {
        for (index, section) in entry.sections.iter().enumerate() {
            if self.keys[index].1 != Source::Confirmed {
                continue;
            }
            let lines = self.lines();
            let folder = host.run.folder.path();
            let connection = host.run.isolated(folder, entry, &lines, &section.name)?;
            // The outcome of the session itself does not matter: the keys come before it.
            let proved = connection.proved_host_keys()?;
            let name = section.key_name();
            let mut new = known_hosts::find(&name, &name, &[proved])?;
            new.retain(|line| !lines.contains(line));
            host.show_host_keys(&new, "proved under the confirmed one");
            self.keys[index].0.extend(new);
        }
        Ok(())
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.keys.iter().flat_map(|(lines, _)| lines).cloned().collect()
    }

    /// The user's own connection to host `index`, opened now if it isn't yet, with all before it.
    pub(crate) fn connection(&mut self, index: usize) -> Result<&Connection> {
        while self.connections.len() <= index {
            let next = self.connections.len();
            let endpoint = &self.endpoints[next];
            let trusted = known_hosts::with_lines("", &self.keys[next].0)?;
            let through = next.checked_sub(1).map(|before| &self.connections[before]);
            let opened =
                Connection::open(&endpoint.access, &trusted, &endpoint.known_hosts, through, &self.cancel)?;
            self.connections.push(opened);
        }
        Ok(&self.connections[index])
    }

    /// The user's own connection to the server.
    pub(crate) fn server(&mut self) -> Result<&Connection> {
        self.connection(self.endpoints.len() - 1)
    }
}

/// Those behind go first: they run through those before them.
impl Drop for RouteConnections {
    fn drop(&mut self) {
        while self.connections.pop().is_some() {}
    }
}
