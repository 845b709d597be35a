//! A Docker engine of its own: `dockerd` with all its files in the temporary folder, ended when dropped.
//!
//! It runs in namespaces of its own for mounts, network and processes, so its mounts, its bridges and its containers
//! go away with it, and the machine's engine, firewall and interfaces are not touched. It is the first process of its
//! namespace: when it ends, the kernel ends every container. `setpriv --pdeathsig` and `unshare --kill-child` end it
//! should this process be killed. What stays then is empty folders of its control group, which are removed here.

use std::fs;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::process::{Finished, Limits};
use common::text::escape;
use walkdir::WalkDir;

use super::world::World;

/// How long it may take until it answers.
const UNTIL_READY: Duration = Duration::from_secs(60);
/// The longest that all scenarios may take.
const DEADLINE: Duration = Duration::from_secs(3600);

/// An engine that runs.
pub(super) struct Engine {
    stop: Cancel,
    thread: Option<JoinHandle<Result<Finished>>>,
    /// The control group of its containers.
    group: String,
    /// What it is.
    pub(super) version: String,
}

impl Engine {
    /// Starts it and waits until it answers.
    pub(super) fn start(world: &World) -> Result<Engine> {
        let at = |name: &str| world.beside("engine").join(name).to_string_lossy().into_owned();
        let group = format!("backrest-e2e-{}", process::id());
        // A user's own settings of the machine's engine are not for this one.
        fs::write(at("daemon.json"), "{}\n").context("write the engine's settings")?;
        let mut command = world.command("setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
        ]);
        command.args(["--mount-proc", "--propagation", "private"]);
        // Ports are published on the loopback device, which a new network namespace has, but down.
        command.args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh", "dockerd"]);
        command.args(["--config-file", &at("daemon.json"), "--host", &world.docker_host()]);
        command.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        // Nothing here needs to reach the world, so there is nothing to be filtered or translated.
        command.args([
            "--bridge",
            "none",
            "--iptables=false",
            "--ip6tables=false",
            "--shutdown-timeout",
            "1",
        ]);
        command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", &format!("/{group}")]);
        let stop = Cancel::new().context("make a flag")?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (own_stop, own_said) = (stop.clone(), Arc::clone(&said));
        let thread = thread::spawn(move || {
            let limits = Limits { grace: Duration::from_secs(30), ..Limits::within(DEADLINE) };
            common::process::run(&mut command, limits, Some(&own_stop), &mut |line| {
                own_said.lock().unwrap_or_else(PoisonError::into_inner).push(escape(line));
            })
        });
        let mut engine = Engine { stop, thread: Some(thread), group, version: String::new() };
        let end = Instant::now() + UNTIL_READY;
        loop {
            let asked = world.docker(&["version", "--format", "{{.Server.Version}}"])?;
            if asked.end.is_success() {
                engine.version = escape(asked.stdout.trim().as_bytes());
                return Ok(engine);
            }
            if world.cancel.is_cancelled() {
                bail!("interrupted");
            }
            if engine.thread.as_ref().is_none_or(JoinHandle::is_finished) || Instant::now() > end {
                let said = said.lock().unwrap_or_else(PoisonError::into_inner);
                let last = said.len().saturating_sub(5);
                bail!("start a Docker engine: it does not answer: {}", said[last..].join("; "));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // How it ended is of no interest any more.
            let _ = thread.join();
        }
        // The folder of a control group can be removed once nothing runs in it and nothing lies below it.
        for entry in WalkDir::new("/sys/fs/cgroup").contents_first(true).into_iter().flatten() {
            if entry.file_type().is_dir() && entry.path().iter().any(|part| part == self.group.as_str()) {
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}
