//! A Docker engine of its own: `dockerd` with all its files in the temporary folder, ended when dropped.
//!
//! It runs in namespaces of its own for mounts, network and processes, so its mounts, its bridges and its containers
//! go away with it, and the machine's engine, firewall and interfaces are not touched. It is the first process of its
//! namespace: when it ends, the kernel ends every container. `setpriv --pdeathsig` and `unshare --kill-child` end it
//! should this process be killed. What stays then is empty folders of its control group, which are removed here.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, process};

use anyhow::{Context, Result};
use common::process::Limits;
use common::text::escape;
use walkdir::{DirEntry, WalkDir};

use super::world::World;
use crate::background::Background;

/// The longest that all scenarios may take.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Ends with this process, in namespaces of its own.
const NAMESPACES: &str =
    "--pdeathsig KILL unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private";

struct Engine {
    process: Option<Background>,
    /// The control group of its containers.
    group: String,
}

/// Starts the engine and waits until it answers. One that runs is stopped first, with all its containers, as by a restart
/// of the machine. Returns the engine's version.
pub(super) fn start(world: &World) -> Result<String> {
    world.keep_engine(None);
    let (engine, version) = Engine::start(world)?;
    world.keep_engine(Some(Box::new(engine)));
    Ok(version)
}

impl Engine {
    fn start(world: &World) -> Result<(Engine, String)> {
        let at = |name: &str| world.beside("engine").join(name).to_string_lossy().into_owned();
        let group = format!("backrest-e2e-{}", process::id());
        // A user's own settings of the machine's engine are not for this one.
        fs::write(at("daemon.json"), "{}\n").context("write the engine's settings")?;
        let mut command = world.command("setpriv");
        command.args(NAMESPACES.split(' '));
        // Ports are published on the loopback device, which a new network namespace has, but down.
        command.args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh", "dockerd"]);
        command.args(["--config-file", &at("daemon.json"), "--host", &world.docker_host()]);
        command.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        // Nothing here needs to reach the world, so there is nothing to be filtered or translated.
        command.args("--bridge none --iptables=false --ip6tables=false --shutdown-timeout 1".split(' '));
        command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", &format!("/{group}")]);
        let limits = Limits { grace: Duration::from_secs(30), ..Limits::within(DEADLINE) };
        let mut version = String::new();
        let process = Background::start(command, limits, &world.cancel, || {
            let asked = world.docker(&["version", "--format", "{{.Server.Version}}"])?;
            version = escape(asked.stdout.trim().as_bytes());
            Ok(asked.end.is_success())
        })?;
        Ok((Engine { process: Some(process), group }, version))
    }
}

impl Engine {
    /// The control groups of its containers, the innermost first.
    fn groups(&self) -> impl Iterator<Item = PathBuf> {
        let all = WalkDir::new("/sys/fs/cgroup").contents_first(true).into_iter().flatten();
        let folders = all.filter(|entry| entry.file_type().is_dir()).map(DirEntry::into_path);
        folders.filter(|path| path.iter().any(|part| part == self.group.as_str()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // What is paused can't be killed.
        for group in self.groups() {
            let _ = fs::write(group.join("freezer.state"), "THAWED");
        }
        drop(self.process.take());
        // A group can be removed once nothing runs in it and nothing is below it.
        for group in self.groups() {
            let _ = fs::remove_dir(group);
        }
    }
}
