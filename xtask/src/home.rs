//! A temporary home: its folders, its files, and commands that see nothing but it.
//!
//! `restic` has to see the files at the paths that the patterns name. In Backrest's container these are below
//! `/userdata`; where restic runs on the host, the mount is the home itself, whose `data` and `containers` are named the
//! same.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::HintExt;
use common::proc_stat;
use common::process::{self, Limits};
use common::text::escape_path;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::background::{self, Background};
use crate::trees;

/// Where the client is, below a home; create-backrest-pipe puts it there.
pub(crate) const CLIENT: &str = "containers/backrest/bridge/backrest-send";

pub(crate) struct Home {
    root: PathBuf,
    pub(crate) cancel: Cancel,
    /// Removes everything when dropped; `None` if it is to be kept.
    _folder: Option<TempDir>,
}

impl Home {
    /// A home with Backrest's two folders, in a temporary folder or in `keep`, which must be empty or not exist yet.
    pub(crate) fn make(keep: Option<&Path>, cancel: &Cancel) -> Result<Home> {
        let (root, folder) = match keep {
            None => {
                let folder = tempfile::Builder::new().prefix("backrest-home-").tempdir();
                let folder = folder.context("make a temporary folder")?;
                (folder.path().to_path_buf(), Some(folder))
            }
            Some(keep) => {
                let naming = || format!("make the folder to keep: {}", escape_path(keep));
                fs::create_dir_all(keep).with_context(naming)?;
                if fs::read_dir(keep).with_context(naming)?.next().is_some() {
                    return Err(anyhow::anyhow!("{}: it is not empty", naming()))
                        .hint("name a folder that does not exist yet");
                }
                (keep.canonicalize().with_context(naming)?, None)
            }
        };
        let home = Home { root, cancel: cancel.clone(), _folder: folder };
        ["home/data/backrest", "home/containers/backrest", "tmp"]
            .iter()
            .try_for_each(|path| home.folder(path))?;
        Ok(home)
    }

    /// Makes a folder beside the home or, after `home/`, in it.
    pub(crate) fn folder(&self, path: &str) -> Result<()> {
        let path = self.beside(path);
        fs::create_dir_all(&path).with_context(|| format!("make a folder: {}", escape_path(&path)))
    }

    /// `path` below the home.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join("home").join(path)
    }

    /// `path` beside the home: the repository, what was restored.
    pub(crate) fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Puts the programs where an installation has them.
    pub(crate) fn install(&self, programs: &[PathBuf]) -> Result<()> {
        self.folder("home/.local/bin")?;
        for program in programs {
            let name = program.file_name().context("a program without a name")?;
            fs::copy(program, self.at(".local/bin").join(name))
                .with_context(|| format!("copy: {}", escape_path(program)))?;
        }
        Ok(())
    }

    /// Starts the installed listener, with `client` in its bridge, where a container finds it.
    pub(crate) fn start_listener(&self, client: &Path) -> Result<Background> {
        let inside = self.at(CLIENT);
        trees::write(&inside, fs::read(client).context("read the client")?, 0o755)?;
        let command = self.command(self.at(".local/bin/pipe-listener"));
        Background::start(command, Limits::within(Duration::from_secs(3600)), &self.cancel, || {
            let limits = Limits::within(Duration::from_secs(10));
            let asked = process::capture(self.command(&inside).arg("ping"), b"", limits, Some(&self.cancel))?;
            Ok(asked.end.is_success())
        })
    }

    /// `text` with the home written as `~`.
    pub(crate) fn short(&self, text: &str) -> String {
        text.replace(self.at("").to_string_lossy().trim_end_matches('/'), "~")
    }

    /// A command in an environment that knows this home only. Debian's own programs come before what a user put into
    /// /usr/local.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.at("")).env("HOME", self.root.join("home"));
        let bin = self.at(".local/bin").to_string_lossy().into_owned();
        command.env("PATH", format!("{bin}:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"));
        command
            .env("TMPDIR", self.beside("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("USER", "demo");
        command.env("RESTIC_REPOSITORY", self.beside("repository")).env("RESTIC_PASSWORD", "demo");
        command.env("RESTIC_CACHE_DIR", self.beside("cache"));
        command
    }

    /// Runs `command` and returns its output; fails if it does.
    pub(crate) fn output_of(&self, command: &mut Command, input: &[u8]) -> Result<String> {
        background::output_of(command, input, Some(&self.cancel))
    }

    /// Writes a file below the home, with the folders above it.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        trees::write(&self.at(path), content, 0o644)
    }

    pub(crate) fn script(&self, path: &str, content: &str) -> Result<()> {
        trees::write(&self.at(path), content, 0o755)
    }

    pub(crate) fn read(&self, path: &str) -> Result<String> {
        let path = self.at(path);
        fs::read_to_string(&path).with_context(|| format!("read: {}", escape_path(&path)))
    }

    pub(crate) fn remove(&self, path: &str) -> Result<()> {
        let path = self.at(path);
        fs::remove_file(&path).with_context(|| format!("remove: {}", escape_path(&path)))
    }
}

/// What the tools leave running stops with its home: the listener's helper, which outlives it for a while on purpose. It
/// is known by the file that it runs, which has another path in a mount namespace.
impl Drop for Home {
    fn drop(&mut self) {
        let file = |path: PathBuf| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let programs = fs::read_dir(self.at(".local/bin")).into_iter().flatten().flatten();
        let programs: Vec<_> = programs.filter_map(|program| file(program.path())).collect();
        for (process, _) in proc_stat::all() {
            let runs = file(PathBuf::from(format!("/proc/{process}/exe")));
            if runs.is_some_and(|runs| programs.contains(&runs)) {
                let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
            }
        }
    }
}
