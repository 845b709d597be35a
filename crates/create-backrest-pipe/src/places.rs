//! Where each thing that is put in place lies. Names only; nobody looks here whether they exist.

use std::ffi::OsString;
use std::path::PathBuf;

use common::settings::{Flags, Settings};

use crate::inspect::unit::UNIT;

/// The paths and the command that a set-up consists of.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Backrest's folder in the container root.
    pub(crate) container_dir: PathBuf,
    /// The folder that host and container share.
    pub(crate) bridge: PathBuf,
    /// The FIFO in it.
    pub(crate) pipe: PathBuf,
    /// Where the FIFO used to be, and where compose files still mount it from.
    pub(crate) old_pipe: PathBuf,
    /// The socket in it.
    pub(crate) socket: PathBuf,
    /// The client in the bridge.
    pub(crate) client: PathBuf,
    /// The client as it was installed beside this program.
    pub(crate) client_source: PathBuf,
    /// What the tools remember.
    pub(crate) state: PathBuf,
    /// The name that the state folder gets in the moment in which it is given up.
    pub(crate) retired_state: PathBuf,
    /// What they wrote down for people.
    pub(crate) logs: PathBuf,
    /// Held by the listener as long as it runs.
    pub(crate) listener_lock: PathBuf,
    /// What this tool has made here.
    pub(crate) record: PathBuf,
    /// The systemd user unit that can run the listener.
    pub(crate) unit: PathBuf,
    /// The listener's program and its arguments.
    pub(crate) listener: Vec<OsString>,
}

/// What the symlink at [`Places::old_pipe`] says: relative, so that the folder can be moved as a whole.
pub(crate) const OLD_PIPE_TARGET: &str = "bridge/backrest-pipe";

impl Places {
    pub(crate) fn of(settings: &Settings) -> Places {
        let bridge = settings.bridge_dir();
        let mut listener = vec![common::paths::tool("pipe-listener").into_os_string()];
        listener.extend(Flags::of(settings).to_arguments());
        Places {
            container_dir: settings.container_dir.clone(),
            pipe: bridge.join("backrest-pipe"),
            old_pipe: settings.container_dir.join("backrest-pipe"),
            socket: bridge.join("backrest.sock"),
            client: bridge.join("backrest-send"),
            client_source: common::paths::tool("backrest-send"),
            bridge,
            state: settings.state_dir(),
            retired_state: settings.container_dir.join(".state.removed"),
            logs: settings.logs_dir(),
            listener_lock: settings.state_dir().join("listener.lock"),
            record: settings.state_dir().join("setup.json"),
            unit: units_folder().join(UNIT),
            listener,
        }
    }
}

/// Where a user's own units lie (systemd.unit(5)).
fn units_folder() -> PathBuf {
    let given = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    // Without a home there is no service manager of the user's either; the path is then one that does not exist.
    let config = given.or_else(|| Some(common::paths::home().ok()?.join(".config"))).unwrap_or_default();
    config.join("systemd/user")
}
