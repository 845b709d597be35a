//! The environment that scripts run in: the same under cron, systemd, the listener and a terminal.
//!
//! From our own only what a script needs to find programs, the user and Docker; then what says where it is. A
//! secret that the caller happened to export does not reach thirty scripts this way.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use common::paths;
use common::settings::Settings;

/// Variables that are passed on where they are set. None of them says which Compose project is meant: with COMPOSE_FILE
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
    container_root: PathBuf,
    /// Backrest's own two folders, which may lie elsewhere.
    backrest: (PathBuf, PathBuf),
}

impl Environment {
    /// Taken from this process. `run` names the run; it becomes `BACKUP_RUN`.
    pub(crate) fn new(settings: &Settings, run: &str) -> Environment {
        let mut common: Vec<_> =
            KEPT.iter().filter_map(|name| Some((OsString::from(name), env::var_os(name)?))).collect();
        common.push(("PATH".into(), paths::search_path()));
        common.push(("BACKUP_RUN".into(), run.into()));
        let backrest = (settings.data_dir.clone(), settings.container_dir.clone());
        Environment { common, container_root: settings.container_root.clone(), backrest }
    }

    /// All variables for a script of the service `name` whose data lies in `folder`.
    pub(crate) fn of(&self, name: &OsStr, folder: &Path) -> Vec<(OsString, OsString)> {
        let container = self.container_folder(name, folder);
        let mut all = self.common.clone();
        all.push(("SERVICE".into(), name.into()));
        all.push(("DATA_DIR".into(), folder.into()));
        all.push(("CONTAINER_DIR".into(), container.into()));
        all
    }

    /// Where the service's compose.yaml lies, or would lie.
    fn container_folder(&self, name: &OsStr, folder: &Path) -> PathBuf {
        let (data, container) = &self.backrest;
        if folder == data { container.clone() } else { self.container_root.join(name) }
    }
}
