//! The two that take messages: the Bash loop and the listener as it is installed, each in a folder of its own.
//!
//! Both are ended when dropped. The process that holds the listener's FIFO ends by itself ten seconds later.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::process::{self, Limits};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::super::{ignore, measure};
use super::doors::{Door, program};
use crate::background::wait_for;
use crate::build;
use crate::cli::BuildOptions;
use crate::workspace::Workspace;

/// Written from the description of the old script. It holds the FIFO open, which is faster than to open it for every
/// message, and loses none that way.
const LOOP: &str = r#"
exec 3<> "$1"
while IFS= read -r line <&3; do
    case $line in
        note) "$2/note" ;;
        pre-backups)
            "$2/build-ignorefile.sh" "$2/ignorefile.txt" "$3/data" "$3/containers"
            "$2/pre-backup-actions.sh" "$3/data"
            ;;
        build-ignore)
            "$2/build-ignorefile.sh" "$2/ignorefile.txt" "$3/data" "$3/containers"
            printf . > "$2/effects"
            ;;
        ping) : ;;
    esac
done
"#;

/// As the old script did: each service's prepare step, where there is one, in its folder.
const PREPARE: &str = r#"#!/bin/bash
for folder in "$1"/*/; do
    if [ -x "$folder/prepare-backup.sh" ]; then
        (cd "$folder" && ./prepare-backup.sh)
    fi
done
"#;

/// The Bash loop.
#[derive(Debug)]
pub(super) struct Bash {
    child: Child,
    pub(super) fifo: Door,
}

impl Bash {
    /// Starts it in `folder`; `home` holds the services whose ignore file it makes.
    pub(super) fn start(folder: &Path, home: &Path, cancel: &Cancel) -> Result<Bash> {
        let script = format!("#!/bin/bash{}", ignore::LOOP);
        common::atomic::write(&folder.join("build-ignorefile.sh"), script.as_bytes(), 0o755)?;
        common::atomic::write(&folder.join("pre-backup-actions.sh"), PREPARE.as_bytes(), 0o755)?;
        let fifo = folder.join("bash-pipe");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).context("make a FIFO")?;
        let mut command = Command::new("bash");
        command.args(["-c", LOOP, "loop"]).args([&fifo, folder, home]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("start bash")?;
        let bash = Bash { child, fifo: Door::Fifo(fifo) };
        wait_for("the Bash loop reads", cancel, || Ok(bash.fifo.send("ping\n").is_ok()))?;
        Ok(bash)
    }
}

impl Drop for Bash {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The listener, beside the tools that it starts, in a home of its own.
#[derive(Debug)]
pub(super) struct Listener {
    child: Child,
    pub(super) fifo: Door,
    pub(super) socket: Door,
    pub(super) home: PathBuf,
    client: PathBuf,
}

impl Listener {
    /// Starts it in `folder`, in a home with that many services.
    pub(super) fn start(folder: &Path, services: usize, cancel: &Cancel) -> Result<Listener> {
        let built = build::both_ends_of_the_bridge(&Workspace::find()?, &BuildOptions::default())?;
        let (home, tools) = (folder.join("home"), folder.join("tools"));
        let actions = home.join("containers/backrest/actions");
        for folder in [&home.join("data/backrest"), &actions, &tools] {
            fs::create_dir_all(folder).context("make a folder")?;
        }
        ignore::make_services(&home, services)?;
        let last = home.join(format!("data/service-{:04}/prepare-backup.sh", services - 1));
        fs::copy(program(folder), last).context("add a prepare step")?;
        let beside = [build::released("pre-backup-actions")?, build::released("build-ignore")?];
        for tool in beside.iter().chain(&[built.join("pipe-listener")]) {
            fs::copy(tool, tools.join(tool.file_name().unwrap_or_default())).context("copy a tool")?;
        }
        fs::copy(program(folder), actions.join("note")).context("add an action")?;
        let mut command = Command::new(tools.join("pipe-listener"));
        command.env_clear().env("HOME", &home).env("PATH", "/usr/bin:/bin");
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("start the listener")?;
        let bridge = home.join("containers/backrest/bridge");
        let client = bridge.join("backrest-send");
        let listener = Listener {
            child,
            fifo: Door::Fifo(bridge.join("backrest-pipe")),
            socket: Door::Socket(bridge.join("backrest.sock")),
            home,
            client,
        };
        let answers = || listener.socket.send("ping\n").is_ok_and(|answer| answer.read_to_its_end().is_ok());
        wait_for("the listener answers", cancel, || Ok(answers()))?;
        fs::copy(built.join("backrest-send"), &listener.client).context("copy the client")?;
        Ok(listener)
    }

    /// An unchanged file would not be written.
    pub(super) fn forget_the_ignore_file(&self) -> Result<()> {
        let file = self.home.join("containers/backrest/ignorefile.txt");
        if file.exists() { fs::remove_file(file).context("remove the ignore file") } else { Ok(()) }
    }

    /// The memory that it holds, in bytes, as the kernel counts it page by page.
    pub(super) fn resident(&self) -> Result<u64> {
        self.memory("smaps_rollup", "Rss:")
    }

    /// The most that it held at any time.
    pub(super) fn most_resident(&self) -> Result<u64> {
        self.memory("status", "VmHWM:")
    }

    fn memory(&self, file: &str, line: &str) -> Result<u64> {
        measure::memory(self.child.id(), file, line).with_context(|| format!("/proc has no {line}"))
    }

    /// `backrest-send ping`, as a hook calls it.
    pub(super) fn call_the_client(&self) -> Result<()> {
        let limits = Limits::within(Duration::from_secs(60));
        process::capture(Command::new(&self.client).arg("ping"), b"", limits, None)?.success()?;
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).unwrap_or(i32::MAX);
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
