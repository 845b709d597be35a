//! The temporary home of the scenarios, and commands that see nothing but it and its Docker engine.
//!
//! Everything is found from the environment of those commands: the tools and the client `docker` on `PATH`, where
//! Debian's own comes before what a user put into /usr/local; the engine in `DOCKER_HOST`; the Compose plugin in the
//! home, where `docker` looks for it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::process::{self, End, Limits};
use common::text::escape_path;
use tempfile::TempDir;

use super::kuma::Kuma;
use super::ran::Ran;
use crate::{background, trees};

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(180);
/// A folder of ours over the one that holds the crontabs of all users.
const IN_OWN_CRONTABS: &str = r#"mount --bind "$1" /var/spool/cron/crontabs && shift && exec "$@""#;

/// The home, what lies beside it, and the server that takes pushes.
pub(super) struct World {
    folder: TempDir,
    pub(super) cancel: Cancel,
    pub(super) kuma: Kuma,
    engine: Mutex<Option<Box<dyn Send>>>,
    /// This repository.
    pub(super) repository: PathBuf,
}

impl World {
    /// A home with Backrest's two folders and its `.env`.
    pub(super) fn make(repository: &Path, plugin: &Path, cancel: &Cancel) -> Result<World> {
        let folder = tempfile::Builder::new().prefix("backrest-e2e-").tempdir();
        let world = World {
            folder: folder.context("make a temporary folder")?,
            cancel: cancel.clone(),
            kuma: Kuma::start()?,
            engine: Mutex::default(),
            repository: repository.to_path_buf(),
        };
        for path in [
            "containers/backrest",
            "data/backrest",
            ".docker/cli-plugins",
            "../tmp",
            "../engine",
            "../crontabs",
        ] {
            let path = world.at(path);
            fs::create_dir_all(&path).with_context(|| format!("make a folder: {}", escape_path(&path)))?;
        }
        symlink(plugin, world.at(".docker/cli-plugins/docker-compose")).context("put the plugin in place")?;
        Ok(world)
    }

    /// Keeps the engine that runs as long as this world, after the one before it has stopped.
    pub(super) fn keep_engine(&self, engine: Option<Box<dyn Send>>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// `path` below the home.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("home").join(path)
    }

    /// `path` beside the home.
    pub(super) fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A command in the home, whose environment knows this home only.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.at("")).env("HOME", self.at(""));
        let bin = self.at(".local/bin").to_string_lossy().into_owned();
        command.env("PATH", format!("{bin}:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"));
        command
            .env("TMPDIR", self.beside("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("USER", "root");
        command.env("DOCKER_HOST", self.docker_host());
        command
    }

    /// The address of the engine.
    pub(super) fn docker_host(&self) -> String {
        format!("unix://{}", self.beside("engine/docker.sock").display())
    }

    /// One of the installed tools.
    pub(super) fn tool(&self, name: &str, arguments: &[&str]) -> Result<Ran> {
        self.run(self.command(self.at(".local/bin").join(name)).args(arguments))
    }

    /// `create-backrest-pipe`, which sees crontabs of its own: `crontab` writes to one place for the whole machine.
    pub(super) fn create_backrest_pipe(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.command("unshare");
        command.args(["--mount", "sh", "-c", IN_OWN_CRONTABS, "sh"]).arg(self.beside("crontabs"));
        self.run(command.arg(self.at(".local/bin/create-backrest-pipe")).args(arguments))
    }

    /// The client `docker`.
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

    /// Waits until `is_so`.
    pub(super) fn wait_for(&self, what: &str, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        background::wait_for(what, &self.cancel, is_so)
    }

    /// Writes a file below the home, with the folders above it.
    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        trees::write(&self.at(path), content, 0o644)
    }

    /// Writes an executable file below the home.
    pub(super) fn script(&self, path: &str, content: &str) -> Result<()> {
        trees::write(&self.at(path), content, 0o755)
    }

    /// The text of a file below the home.
    pub(super) fn read(&self, path: &str) -> Result<String> {
        let path = self.at(path);
        fs::read_to_string(&path).with_context(|| format!("read: {}", escape_path(&path)))
    }

    /// Removes a file below the home.
    pub(super) fn remove(&self, path: &str) -> Result<()> {
        let path = self.at(path);
        fs::remove_file(&path).with_context(|| format!("remove: {}", escape_path(&path)))
    }
}
