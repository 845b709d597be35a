//! The two that take messages: the Bash loop and the listener as it is installed, each in a folder of its own.
//!
//! Both are stopped when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::process::Limits;
use nix::sys::stat::Mode;

use super::super::ignore;
use super::super::measure;
use super::super::tree::{EMPTY, Tree, service};
use super::doors::{Door, program};
use crate::background::{Background, listener_of};
use crate::build;
use crate::cli::BuildOptions;
use crate::home::{CLIENT, Home};
use crate::trees;
use crate::workspace::Workspace;

/// Longer than all of it takes.
const LIMIT: Duration = Duration::from_secs(3600);

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

pub(super) struct Bash {
    pub(super) fifo: Door,
    _process: Background,
}

impl Bash {
    /// Starts it in `folder`; `home` holds the services whose ignore file it makes.
    pub(super) fn start(folder: &Path, home: &Path, cancel: &Cancel) -> Result<Bash> {
        let build_ignore = format!("#!/bin/bash{}", ignore::LOOP);
        trees::write(&folder.join("build-ignorefile.sh"), build_ignore, 0o755)?;
        trees::write(&folder.join("pre-backup-actions.sh"), PREPARE, 0o755)?;
        let path = folder.join("bash-pipe");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).context("make a FIFO")?;
        let mut command = Command::new("bash");
        command.args(["-c", LOOP, "loop"]).args([&path, folder, home]);
        let fifo = Door::Fifo(path);
        let process =
            Background::start(command, Limits::within(LIMIT), cancel, || Ok(fifo.send("ping\n").is_ok()))?;
        Ok(Bash { fifo, _process: process })
    }
}

/// The listener, beside the tools that it starts, in a home of its own.
pub(super) struct Listener {
    pub(super) fifo: Door,
    pub(super) socket: Door,
    pub(super) client: PathBuf,
    pub(super) home: Home,
    process: u32,
    _process: Background,
}

impl Listener {
    /// Starts it in a home with that many services, the last of which has a prepare step; `folder` holds the program of
    /// the action `note`.
    pub(super) fn start(folder: &Path, services: usize, cancel: &Cancel) -> Result<Listener> {
        let mut tools = build::both_ends_of_the_bridge(&Workspace::find()?, &BuildOptions::default())?;
        let client = tools.remove(0);
        let home = Home::make(None, cancel)?;
        tools.extend([build::released("pre-backup-actions")?, build::released("build-ignore")?]);
        home.install(&tools)?;
        Tree { services, rules: ignore::LINES, ..EMPTY }.make(&home.at(""))?;
        let last = home.at("data").join(service(services - 1)).join("prepare-backup.sh");
        fs::copy(program(folder), last).context("add a prepare step")?;
        home.folder("home/containers/backrest/actions")?;
        fs::copy(program(folder), home.at("containers/backrest/actions/note")).context("add an action")?;
        let bridge = home.at("containers/backrest/bridge");
        let background = home.start_listener(&client)?;
        let socket = Door::Socket(bridge.join("backrest.sock"));
        let client = home.at(CLIENT);
        let fifo = Door::Fifo(bridge.join("backrest-pipe"));
        let process = listener_of(&home.at(""))?.unsigned_abs();
        Ok(Listener { fifo, socket, client, home, process, _process: background })
    }

    /// An unchanged file would not be written.
    pub(super) fn forget_the_ignore_file(&self) -> Result<()> {
        let file = self.home.at("containers/backrest/ignorefile.txt");
        if file.exists() { fs::remove_file(file).context("remove the ignore file") } else { Ok(()) }
    }

    /// What a line of a file of /proc/PROCESS counts, in bytes.
    pub(super) fn memory(&self, file: &str, line: &str) -> Result<u64> {
        measure::memory(self.process, file, line).with_context(|| format!("/proc has no {line}"))
    }
}
