//! The name of every file that the tools keep in Backrest's folder of the container root.
//!
//! One tool writes a file, another reads or removes it: the name is defined here alone. Nothing here touches the disk.

use std::path::{Path, PathBuf};

/// The folders that the tools keep in Backrest's: the bridge, the state and the logs.
pub const FOLDERS: [&str; 3] = ["bridge", "state", "logs"];
/// How the name of each of the listener's logs begins.
pub const LISTENER_LOGS: &str = "listener.";
/// In the queue's folder: the accepted messages that have not ended.
pub const QUEUE_JOURNAL: &str = "journal";
/// In the queue's folder: what was read from the FIFO.
pub const QUEUE_SPOOL: &str = "spool";
/// How the names begin of damaged journals that are kept beside [`Layout::actions_journal`].
pub const DAMAGED_JOURNAL: &str = "journal.damaged-";
/// What the symlink at [`Layout::old_fifo`] holds.
pub const OLD_FIFO_TARGET: &str = "bridge/backrest-pipe";

/// The files below one `CONTAINER_DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    container_dir: PathBuf,
}

/// Where the file at `path` is kept if it can't be read: `NAME.old`.
pub fn kept_aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

impl Layout {
    /// The files below `container_dir`.
    pub fn new(container_dir: impl Into<PathBuf>) -> Layout {
        Layout { container_dir: container_dir.into() }
    }

    /// Backrest's folder in the container root.
    pub fn container_dir(&self) -> &Path {
        &self.container_dir
    }

    /// What the tools remember between runs. Only the user may enter it.
    pub fn state(&self) -> PathBuf {
        self.container_dir.join(FOLDERS[1])
    }

    /// Where `create-backrest-pipe remove` puts the state before it takes it away.
    pub fn retired_state(&self) -> PathBuf {
        self.container_dir.join(".state.removed")
    }

    /// Held by the listener as long as it runs.
    pub fn listener_lock(&self) -> PathBuf {
        self.state().join("listener.lock")
    }

    /// Held by a run of `ssh-key-setup`.
    pub fn ssh_lock(&self) -> PathBuf {
        self.state().join("ssh-key-setup.lock")
    }

    /// Which process keeps the FIFO open for the listener.
    pub fn fifo_keeper(&self) -> PathBuf {
        self.state().join("holder")
    }

    /// Whether Tailscale was up before an action brought it up.
    pub fn tailscale(&self) -> PathBuf {
        self.state().join("tailscale.json")
    }

    /// How the last push to each address was answered.
    pub fn pushes(&self) -> PathBuf {
        self.state().join("pushes.json")
    }

    /// How many messages of each name came in on each day.
    pub fn message_counts(&self) -> PathBuf {
        self.logs().join("messages.txt")
    }

    /// The folder of accepted messages.
    pub fn queue(&self) -> PathBuf {
        self.state().join("queue")
    }

    /// What `create-backrest-pipe` put in place, and what it replaced.
    pub fn setup_record(&self) -> PathBuf {
        self.state().join("setup.json")
    }

    /// Everything that the set-up and the listener keep in the state folder.
    pub fn listener_state(&self) -> Vec<PathBuf> {
        vec![
            self.listener_lock(),
            self.fifo_keeper(),
            self.tailscale(),
            self.pushes(),
            self.queue(),
            self.setup_record(),
        ]
    }

    /// The folder that `pre-backup-actions` remembers things in.
    pub fn actions_state(&self) -> PathBuf {
        self.state().join("actions")
    }

    /// Services whose after step has to run.
    pub fn actions_journal(&self) -> PathBuf {
        self.actions_state().join("journal")
    }

    /// Held by a run of `pre-backup-actions`.
    pub fn actions_lock(&self) -> PathBuf {
        self.actions_state().join("lock")
    }

    /// What earlier runs of each service were like.
    pub fn actions_history(&self) -> PathBuf {
        self.actions_state().join("history")
    }

    /// Folders of services that could not be looked into at the last run.
    pub fn actions_unreadable(&self) -> PathBuf {
        self.actions_state().join("unreadable")
    }

    /// What was wrong with the last preparation.
    pub fn actions_trouble(&self) -> PathBuf {
        self.actions_state().join("trouble")
    }

    /// What `build-ignore` saw at its last run.
    pub fn ignore_picture(&self) -> PathBuf {
        self.state().join("ignore-picture.json")
    }

    /// How the last verification of a backup went.
    pub fn verification(&self) -> PathBuf {
        self.state().join("verification.json")
    }

    /// What the tools wrote down for people.
    pub fn logs(&self) -> PathBuf {
        self.container_dir.join(FOLDERS[2])
    }

    /// What the listener did.
    pub fn listener_log(&self) -> PathBuf {
        self.logs().join(LISTENER_LOGS.to_string() + "log")
    }

    /// What a listener printed while it was started.
    pub fn listener_start_log(&self) -> PathBuf {
        self.logs().join(LISTENER_LOGS.to_string() + "start.log")
    }

    /// The folder of what the scripts printed.
    pub fn script_logs(&self) -> PathBuf {
        self.logs().join("actions")
    }

    /// The folder that host and container share.
    pub fn bridge(&self) -> PathBuf {
        self.container_dir.join(FOLDERS[0])
    }

    /// The door without an answer.
    pub fn fifo(&self) -> PathBuf {
        self.bridge().join(bridge::FIFO)
    }

    /// The FIFO's place in the days of the Bash scripts.
    pub fn old_fifo(&self) -> PathBuf {
        self.container_dir.join(bridge::FIFO)
    }

    /// The door with an answer.
    pub fn socket(&self) -> PathBuf {
        self.bridge().join(bridge::SOCKET)
    }

    /// The container's client.
    pub fn client(&self) -> PathBuf {
        self.bridge().join(bridge::CLIENT)
    }

    /// The folder of the user's own actions.
    pub fn own_actions(&self) -> PathBuf {
        self.container_dir.join("actions")
    }
}
