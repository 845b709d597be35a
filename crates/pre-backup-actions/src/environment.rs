//! The environment that scripts run in: the same under cron, systemd, the listener and a terminal.
//!
//! From our own only what a script needs to find programs, the user and Docker; then what says where it is. A
//! secret that the caller happened to export does not reach thirty scripts this way.

use std::env;
use std::ffi::OsString;

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

/// What all scripts of the run `run` have in common; its name becomes `BACKUP_RUN`.
pub(crate) fn of_run(run: &str) -> Vec<(OsString, OsString)> {
    let kept = KEPT.iter().filter_map(|name| Some((OsString::from(name), env::var_os(name)?)));
    kept.chain([("PATH".into(), paths::search_path()), ("BACKUP_RUN".into(), run.into())]).collect()
}
