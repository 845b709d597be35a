//! The environment that scripts run in: the same under cron, systemd, the listener and a terminal.
//!
//! From our own only what a script needs to find programs, the user and Docker; then what says where it is. A
//! secret that the caller happened to export does not reach thirty scripts this way.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use common::paths;

/// Variables that are passed on if they are set. None of them names a Compose project: with COMPOSE_FILE
/// every script would dump the database of the same one.
const KEPT: [&str; 16] = [
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
];

/// What all scripts of a run have in common.
#[derive(Debug)]
pub(crate) struct Environment {
    common: Vec<(OsString, OsString)>,
}

impl Environment {
    /// Taken from this process. `run` names the run; it becomes `BACKUP_RUN`.
    pub(crate) fn new(run: &str) -> Environment {
        let mut common: Vec<_> =
            KEPT.iter().filter_map(|name| Some((OsString::from(name), env::var_os(name)?))).collect();
        common.push(("PATH".into(), paths::search_path()));
        common.push(("BACKUP_RUN".into(), run.into()));
        Environment { common }
    }

    /// All variables for a script of the service `name` with these folders in the data root and the container root.
    pub(crate) fn of(&self, name: &OsStr, data: &Path, container: &Path) -> Vec<(OsString, OsString)> {
        let mut all = self.common.clone();
        all.push(("SERVICE".into(), name.into()));
        all.push(("DATA_DIR".into(), data.into()));
        all.push(("CONTAINER_DIR".into(), container.into()));
        all
    }
}
