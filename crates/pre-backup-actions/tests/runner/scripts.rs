//! A home with services, and the tool in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::contract::trouble::Trouble;
use common::proc_stat;
use common::testing::{Ran, Sandbox, wait_until, wait_within};

/// A sandbox with short ways to services and the tool.
pub(crate) struct Home {
    pub(crate) sandbox: Sandbox,
}

impl Home {
    #[track_caller]
    pub(crate) fn new() -> Home {
        Home { sandbox: Sandbox::new() }
    }

    /// Writes a prepare script of `service` with this text after `#!/bin/sh`.
    #[track_caller]
    pub(crate) fn prepare(&self, service: &str, text: &str) -> PathBuf {
        self.sandbox.script(format!("data/{service}/prepare-backup.sh"), format!("#!/bin/sh\n{text}\n"))
    }

    /// Likewise the after script.
    #[track_caller]
    pub(crate) fn after(&self, service: &str, text: &str) -> PathBuf {
        self.sandbox.script(format!("data/{service}/after-backup.sh"), format!("#!/bin/sh\n{text}\n"))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_pre-backup-actions"));
        command.args(arguments);
        command
    }

    #[must_use]
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(&mut self.command(arguments))
    }

    /// Starts the tool and leaves it running; what it says is dropped.
    #[track_caller]
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("start pre-backup-actions")
    }

    /// The lines of a file below the home; none where it isn't there.
    pub(crate) fn lines(&self, path: &str) -> Vec<String> {
        fs::read_to_string(self.sandbox.path(path)).unwrap_or_default().lines().map(String::from).collect()
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.sandbox.path(path).exists()
    }

    #[track_caller]
    pub(crate) fn trouble(&self) -> Trouble {
        Trouble::load(&self.sandbox.path("containers/backrest/state/actions/trouble")).unwrap()
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.sandbox.path("containers/backrest/state/actions/journal")
    }
}

/// Waits until `path` is there, twenty seconds at most.
#[track_caller]
pub(crate) fn wait_for(path: &Path) {
    wait_until(&format!("{} appears", path.display()), || path.exists());
}

/// The last line of a text.
pub(crate) fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or("")
}

/// Waits until no process of the group runs; zombies don't count.
#[track_caller]
pub(crate) fn wait_for_end_of(group: i32) {
    let runs = || proc_stat::all().iter().any(|(_, process)| process.group == group && !process.is_zombie);
    // What only a limit of processor time stops takes longer on a busy machine.
    wait_within(Duration::from_secs(120), || format!("the end of group {group}"), || !runs());
}
