//! The temporary home of the demo: its folders, its files, and commands that see nothing but it.
//!
//! `restic` has to see the files at the paths that the patterns name. In Backrest's container these lie below
//! `/userdata`; here the mount is the home itself, whose `data` and `containers` are named the same.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::exit::HintExt;
use common::process::{self, Limits};
use common::text::escape_path;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use tempfile::TempDir;

use super::services::{Content, Planted, Service};
use crate::trees;

/// The same bytes in every run.
const SEED: u64 = 20_260_301;

/// Where the demo works.
pub(crate) struct Place {
    root: PathBuf,
    /// Removes everything when dropped; `None` if it is to be kept.
    _folder: Option<TempDir>,
}

impl Place {
    /// A temporary folder, or `keep`, which must be empty or not exist yet.
    pub(crate) fn make(keep: Option<&Path>) -> Result<Place> {
        let place = match keep {
            None => {
                let folder = tempfile::Builder::new().prefix("backrest-demo-").tempdir();
                let folder = folder.context("make a temporary folder")?;
                Place { root: folder.path().to_path_buf(), _folder: Some(folder) }
            }
            Some(keep) => {
                let naming = || format!("make the folder to keep: {}", escape_path(keep));
                fs::create_dir_all(keep).with_context(naming)?;
                if fs::read_dir(keep).with_context(naming)?.next().is_some() {
                    return Err(anyhow::anyhow!("{}: it is not empty", naming()))
                        .hint("name a folder that does not exist yet");
                }
                Place { root: keep.canonicalize().with_context(naming)?, _folder: None }
            }
        };
        for folder in ["home/data/backrest", "home/containers/backrest", "tmp"] {
            let folder = place.root.join(folder);
            fs::create_dir_all(&folder)
                .with_context(|| format!("make a folder: {}", escape_path(&folder)))?;
        }
        Ok(place)
    }

    /// The home.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// `path` below the home.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.home().join(path)
    }

    /// A folder beside the home: the repository, what was restored.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Puts the programs where an installation has them.
    pub(crate) fn install(&self, programs: &[PathBuf]) -> Result<()> {
        let bin = self.at(".local/bin");
        fs::create_dir_all(&bin).context("make the folder of the programs")?;
        for program in programs {
            let name = program.file_name().context("a program without a name")?;
            fs::copy(program, bin.join(name)).with_context(|| format!("copy: {}", escape_path(program)))?;
        }
        Ok(())
    }

    /// `text` with the home written as `~`.
    pub(crate) fn short(&self, text: &str) -> String {
        text.replace(&*self.home().to_string_lossy(), "~")
    }

    /// A command in an environment that knows this home only.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.home()).env("HOME", self.home());
        let bin = self.at(".local/bin").to_string_lossy().into_owned();
        command.env("PATH", format!("{bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"));
        command.env("TMPDIR", self.beside("tmp")).env("LC_ALL", "C.UTF-8").env("USER", "demo");
        command.env("RESTIC_REPOSITORY", self.beside("repository")).env("RESTIC_PASSWORD", "demo");
        command.env("RESTIC_CACHE_DIR", self.beside("cache"));
        command
    }

    /// Runs `command` and returns its output; fails if it does.
    pub(crate) fn run(&self, command: &mut Command, input: &[u8], cancel: &Cancel) -> Result<String> {
        let limits = Limits::within(Duration::from_secs(300));
        let output = process::capture(command, input, limits, Some(cancel))?.success()?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Writes Backrest's `.env` and every file of `services`.
    pub(crate) fn fill(&self, services: &[Service], cancel: &Cancel) -> Result<()> {
        let quoted = |path: PathBuf| format!("'{}'", path.to_string_lossy().replace('\'', "\\'"));
        let env = format!(
            "CONTAINER_DIR={}\nDATA_DIR={}\n# /userdata in Backrest's container.\nBACKUP_MOUNT={}\n",
            quoted(self.at("containers/backrest")),
            quoted(self.at("data/backrest")),
            quoted(self.home()),
        );
        trees::write(&self.at("containers/backrest/.env"), env, 0o644)?;
        let mut random = SmallRng::seed_from_u64(SEED);
        for planted in services.iter().flat_map(|service| &service.files) {
            if cancel.is_cancelled() {
                bail!("interrupted");
            }
            self.plant(planted, &mut random, cancel)?;
        }
        Ok(())
    }

    fn plant(&self, planted: &Planted, random: &mut SmallRng, cancel: &Cancel) -> Result<()> {
        let path = self.at(&planted.path);
        match planted.content {
            Content::Random(size) => {
                let mut bytes = vec![0; size];
                random.fill_bytes(&mut bytes);
                trees::write(&path, bytes, 0o644)
            }
            Content::Text(text) => trees::write(&path, text, 0o644),
            Content::Script(text) => trees::write(&path, text, 0o755),
            Content::Database(statements) => {
                trees::write(&path, "", 0o644)?;
                self.run(self.command("sqlite3").arg(&path), statements.as_bytes(), cancel).map(drop)
            }
        }
    }
}
