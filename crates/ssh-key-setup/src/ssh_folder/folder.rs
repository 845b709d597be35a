//! The folder `<DATA_DIR>/ssh` on this host: made, its modes set, its files read and written.
//!
//! What a reader gets wrong: ssh in the container runs as root and refuses a `config` that belongs to anyone but
//! root (keys and known_hosts it takes from anyone). So if this is run by an ordinary user, `config` is given to
//! root at the end; the user can still read it through its group, and still replace it, because the folder is theirs.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use common::atomic::{self, Change};
use common::exit::{HintExt, with_hint};
use common::process::{self, Limits};
use common::text::{escape_path, word};

/// The folder, which exists and is ours.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder; makes it if it is missing, or if Docker made an empty one of root's in its place.
    pub(crate) fn open(path: &Path) -> Result<Folder> {
        let (naming, own) = (|| format!("open the folder: {}", escape_path(path)), own_uid());
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_dir() => {
                let error = anyhow!("it is a symlink or not a folder");
                return Err(error).with_context(naming).hint("put a real folder there");
            }
            // Removing it works only if it is empty and its parent is ours.
            Ok(found) if found.uid() != own && (own == 0 || fs::remove_dir(path).is_err()) => {
                let error = anyhow!("it belongs to user {}, not to you (user {own})", found.uid());
                let shown = escape_path(path);
                return Err(error).with_context(naming).hint(format!(
                    "run this as that user, or give it to yourself: sudo chown -R {own} {shown}"
                ));
            }
            Ok(found) if found.uid() != own => make(path).with_context(naming)?,
            Ok(_) => fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(naming)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                with_cure(make(path).with_context(naming), path)?;
            }
            Err(error) => return with_cure(Err(error).with_context(naming), path),
        }
        let folder = Folder { path: path.to_path_buf() };
        folder.tighten()?;
        Ok(folder)
    }

    /// The folder as it is: nothing is made or changed. Fails if it is missing.
    pub(crate) fn look(path: &Path) -> Result<Folder> {
        let naming = || format!("open the folder: {}", escape_path(path));
        fs::read_dir(path).with_context(naming).hint("set a host up first: ssh-key-setup HOST")?;
        Ok(Folder { path: path.to_path_buf() })
    }

    /// Fails if others may read the keys, or ssh in the container would not take `config`.
    pub(crate) fn check(&self, rootless: bool) -> Result<()> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut paths = entries.filter(|path| path.is_file()).chain([self.path.clone()]);
        let open = paths.find(|path| {
            let closed = if path.ends_with("config") { 0o027 } else { 0o077 };
            fs::metadata(path).is_ok_and(|found| found.mode() & closed != 0)
        });
        if let Some(path) = open {
            return Err(anyhow!("check: {}: others than its owner may read or enter it", escape_path(path)))
                .hint("run ssh-key-setup without --check, which sets the modes");
        }
        if self.config_is_roots() || rootless { Ok(()) } else { Err(self.keeps_root_out()).context("check") }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file's text; empty if there is no such file.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("read: {}", escape_path(&path))),
        }
    }

    /// Makes a file hold `text`. An empty file that isn't there is not made.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<Change> {
        let path = self.path.join(name);
        if text.is_empty() && !path.exists() {
            return Ok(Change::Unchanged);
        }
        atomic::write(&path, text.as_bytes(), 0o600)
    }

    /// No other user may read what lies in it, and what a killed run was writing is removed.
    fn tighten(&self) -> Result<()> {
        // A half-written private key, for instance.
        common::leftover::clear(&self.path, "");
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_file() && found.uid() == own_uid() && found.mode() & 0o077 != 0 {
                let path = entry.path();
                fs::set_permissions(&path, Permissions::from_mode(0o600))
                    .with_context(|| format!("set the mode: {}", escape_path(&path)))?;
            }
        }
        Ok(())
    }

    /// Makes root the owner of `config`, if that is needed. Fails if it is not possible.
    pub(crate) fn give_config_to_root(&self, rootless: bool) -> Result<()> {
        let path = self.path.join("config");
        if rootless || self.config_is_roots() || !path.exists() {
            return Ok(());
        }
        fs::set_permissions(&path, Permissions::from_mode(0o640)).context("set the mode of config")?;
        let sudo = |options: &[&str]| {
            let mut command = Command::new("sudo");
            command.args(options).args(["chown", "0"]).arg(&path);
            command
        };
        let given = process::capture(&mut sudo(&["-n"]), b"", Limits::within(Duration::from_secs(20)), None);
        if given.is_ok_and(|given| given.end.is_success()) {
            return Ok(());
        }
        if fs::File::open("/dev/tty").is_ok() {
            common::note!(
                "ssh in the container takes a config of root's only; sudo may ask for your password:"
            );
            if process::foreground(&mut sudo(&[])).is_ok_and(process::End::is_success) {
                return Ok(());
            }
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).context("set the mode of config")?;
        Err(self.keeps_root_out())
    }

    /// Whether ssh in the container, which runs as root, takes `config`.
    fn config_is_roots(&self) -> bool {
        fs::metadata(self.path.join("config")).is_ok_and(|found| found.uid() == 0)
    }

    fn keeps_root_out(&self) -> anyhow::Error {
        let config = escape_path(self.path.join("config"));
        with_hint(
            anyhow!(
                "{config}: it is not root's, so ssh in the container refuses it (Bad owner or permissions)"
            ),
            format!("chmod 640 {config} && sudo chown 0 {config}; or use --rootless if Docker runs rootless"),
        )
    }
}

fn make(path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(DirBuilder::new().mode(0o700).create(path)?)
}

/// An error about `path` with the command that makes the folder above it the user's: Docker makes as root the folders
/// that a container mounts and that are missing.
pub(crate) fn with_cure<T>(result: Result<T>, path: &Path) -> Result<T> {
    let Err(error) = result else { return result };
    let above = path.ancestors().find_map(|folder| Some((folder, fs::metadata(folder).ok()?)));
    match above {
        Some((folder, found)) if found.uid() != own_uid() && own_uid() != 0 => {
            Err(error).hint(format!("sudo chown {}:{} {}", own_uid(), nix::unistd::getegid(), word(folder)))
        }
        _ => Err(error),
    }
}

fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_folder_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink(scratch.path(), scratch.path().join("link")).unwrap();
        for name in ["file", "link"] {
            assert!(Folder::open(&scratch.path().join(name)).is_err(), "{name}");
        }
    }
}
