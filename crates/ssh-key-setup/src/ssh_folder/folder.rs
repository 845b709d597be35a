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
use common::exit::HintExt;
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
        let naming = || format!("open the folder: {}", escape_path(path));
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                return Err(anyhow!("it is a symlink")).with_context(naming).hint("put a real folder there");
            }
            Ok(found) if !found.is_dir() => {
                return Err(anyhow!("it is not a folder"))
                    .with_context(naming)
                    .hint("move it away and run this again");
            }
            Ok(found) if found.uid() != own_uid() => {
                // Works only if it is empty and its parent is ours.
                if own_uid() == 0 || fs::remove_dir(path).is_err() {
                    let shown = escape_path(path);
                    return Err(anyhow!(
                        "it belongs to user {}, not to you (user {})",
                        found.uid(),
                        own_uid()
                    ))
                    .with_context(naming)
                    .hint(format!(
                        "run this as that user, or give it to yourself: sudo chown -R {} {shown}",
                        own_uid()
                    ));
                }
                make(path).with_context(naming)?;
            }
            Ok(found) if found.mode() & 0o7777 != 0o700 => {
                fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(naming)?;
            }
            Ok(_) => {}
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
        let mode = |path: &Path| fs::metadata(path).map(|found| found.mode() & 0o7777);
        let mut open = Vec::new();
        if mode(&self.path).is_ok_and(|mode| mode != 0o700) {
            open.push(self.path.clone());
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            let allowed = if entry.file_name() == "config" { 0o027 } else { 0o077 };
            if path.is_file() && mode(&path).is_ok_and(|mode| mode & allowed != 0) {
                open.push(path);
            }
        }
        if let Some(first) = open.first() {
            return Err(anyhow!("check: {}: others than its owner may read or enter it", escape_path(first)))
                .hint("run ssh-key-setup without --check, which sets the modes");
        }
        match self.config_is_roots() || rootless {
            true => Ok(()),
            false => {
                let why = self.what_keeps_root_out();
                Err(anyhow!("check: {}", why.what)).hint(why.cure)
            }
        }
    }

    /// Where it lies.
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

    /// Makes root the owner of `config`, if that is needed and possible. Returns what is in the way.
    pub(crate) fn give_config_to_root(&self, rootless: bool) -> Result<Option<Hindrance>> {
        let path = self.path.join("config");
        if rootless || self.config_is_roots() || !path.exists() {
            return Ok(None);
        }
        fs::set_permissions(&path, Permissions::from_mode(0o640)).context("set the mode of config")?;
        let mut quiet = Command::new("sudo");
        quiet.args(["-n", "chown", "0"]).arg(&path);
        let given = process::capture(&mut quiet, b"", Limits::within(Duration::from_secs(20)), None);
        if given.is_ok_and(|given| given.end.is_success()) {
            return Ok(None);
        }
        if fs::File::open("/dev/tty").is_ok() {
            common::note!(
                "ssh in the container takes a config of root's only; sudo may ask for your password:"
            );
            let mut asking = Command::new("sudo");
            asking.args(["chown", "0"]).arg(&path);
            if process::foreground(&mut asking).is_ok_and(process::End::is_success) {
                return Ok(None);
            }
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).context("set the mode of config")?;
        Ok(Some(self.what_keeps_root_out()))
    }

    /// Whether ssh in the container, which runs as root, takes `config`.
    fn config_is_roots(&self) -> bool {
        fs::metadata(self.path.join("config")).is_ok_and(|found| found.uid() == 0)
    }

    fn what_keeps_root_out(&self) -> Hindrance {
        let config = escape_path(self.path.join("config"));
        Hindrance {
            what: format!(
                "{config}: it is not root's, so ssh in the container refuses it (Bad owner or permissions)"
            ),
            cure: format!(
                "chmod 640 {config} && sudo chown 0 {config}; or use --rootless if Docker runs rootless"
            ),
        }
    }
}

/// What keeps ssh in the container from using the folder.
#[derive(Clone, Debug)]
pub(crate) struct Hindrance {
    pub(crate) what: String,
    pub(crate) cure: String,
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
    fn it_is_made_closed_and_closed_again() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("data/backrest/ssh");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        Folder::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        fs::write(path.join("id_rsa"), "x").unwrap();
        fs::set_permissions(path.join("id_rsa"), Permissions::from_mode(0o644)).unwrap();
        Folder::open(&path).unwrap();
        assert_eq!((mode(&path), mode(&path.join("id_rsa"))), (0o700, 0o600));
    }

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
