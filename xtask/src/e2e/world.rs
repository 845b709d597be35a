//! The temporary home of the scenarios, and commands that see nothing but it and its Docker engine.
//!
//! Everything is found from the environment of those commands: the tools and the client `docker` on `PATH`, where
//! Debian's own comes before what a user put into /usr/local; the engine in `DOCKER_HOST`; the Compose plugin in the
//! home, where `docker` looks for it.

use std::ffi::OsStr;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::process::{self, End, Limits};

use super::ran::Ran;
use crate::background;
use crate::backrest_api::kuma::Kuma;
use crate::home::Home;

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(180);
/// A folder of ours over the one that holds the crontabs of all users.
const IN_OWN_CRONTABS: &str = r#"mount --bind "$1" /var/spool/cron/crontabs && shift && exec "$@""#;

/// The home, its engine, and the server that takes pushes.
pub(super) struct World {
    home: Home,
    pub(super) kuma: Kuma,
    engine: Mutex<Option<Box<dyn Send>>>,
    pub(super) repository: PathBuf,
}

impl Deref for World {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl World {
    /// A home with Docker's plugin and folders for the engine and the crontabs beside it.
    pub(super) fn make(repository: &Path, plugin: &Path, cancel: &Cancel) -> Result<World> {
        let home = Home::make(None, cancel)?;
        ["home/.docker/cli-plugins", "engine", "crontabs"].iter().try_for_each(|path| home.folder(path))?;
        symlink(plugin, home.at(".docker/cli-plugins/docker-compose")).context("put the plugin in place")?;
        let repository = repository.to_path_buf();
        Ok(World { home, kuma: Kuma::start()?, engine: Mutex::default(), repository })
    }

    /// Keeps the engine that runs as long as this world, after the one before it has stopped.
    pub(super) fn keep_engine(&self, engine: Option<Box<dyn Send>>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// A command in the home, whose environment knows this home and its engine only.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.home.command(program);
        command.env("DOCKER_HOST", self.docker_host()).env("USER", "root");
        command
    }

    pub(super) fn docker_host(&self) -> String {
        format!("unix://{}", self.beside("engine/docker.sock").display())
    }

    pub(super) fn tool(&self, name: &str, arguments: &[&str]) -> Result<Ran> {
        self.run(self.command(self.at(".local/bin").join(name)).args(arguments))
    }

    /// `create-backrest-pipe`, which sees crontabs of its own: `crontab` writes to one place for the whole machine.
    pub(super) fn create_backrest_pipe(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.command("unshare");
        command.args(["--mount", "sh", "-c", IN_OWN_CRONTABS, "sh"]).arg(self.beside("crontabs"));
        self.run(command.arg(self.at(".local/bin/create-backrest-pipe")).args(arguments))
    }

    pub(super) fn docker(&self, arguments: &[&str]) -> Result<Ran> {
        self.run(self.command("docker").args(arguments))
    }

    /// `docker compose` in the container folder of `service`.
    pub(super) fn compose(&self, service: &str, arguments: &[&str]) -> Result<Ran> {
        self.compose_with_input(service, arguments, b"")
    }

    /// [`World::compose`] with something on standard input.
    pub(super) fn compose_with_input(&self, service: &str, arguments: &[&str], input: &[u8]) -> Result<Ran> {
        let mut command = self.command("docker");
        command.current_dir(self.at("containers").join(service)).arg("compose").args(arguments);
        self.run_with_input(&mut command, input)
    }

    /// Runs `program` in the container that replaces Backrest.
    pub(super) fn inside(&self, program: &[&str], input: &[u8]) -> Result<Ran> {
        let mut command = self.command("docker");
        command
            .arg("exec")
            .args((!input.is_empty()).then_some("--interactive"))
            .arg("backrest")
            .args(program);
        self.run_with_input(&mut command, input)
    }

    /// Runs `command` to its end, whatever that is.
    pub(super) fn run(&self, command: &mut Command) -> Result<Ran> {
        self.run_with_input(command, b"")
    }

    /// [`World::run`] with something on standard input.
    pub(super) fn run_with_input(&self, command: &mut Command, input: &[u8]) -> Result<Ran> {
        let name = process::command_name(command);
        let captured = process::capture(command, input, Limits::within(DEADLINE), Some(&self.cancel))?;
        if captured.end == End::Cancelled {
            bail!("interrupted");
        }
        Ok(Ran::new(name, &captured))
    }

    pub(super) fn wait_for(&self, what: &str, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        background::wait_for(what, &self.cancel, is_so)
    }
}
