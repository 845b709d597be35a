//! The files of an image, taken from this machine: programs with the libraries that they need, as `ldd` names them.
//!
//! In come paths, out goes one archive for `docker import`. What is a symlink here becomes what it leads to there.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::text::escape_path;
use tempfile::TempDir;

use super::world::World;

/// An image that is being put together.
pub(super) struct ImageFiles<'world> {
    world: &'world World,
    /// What is made for it.
    made: TempDir,
    /// What is taken from this machine, where it lies there.
    taken: BTreeSet<PathBuf>,
}

impl<'world> ImageFiles<'world> {
    /// One with nothing in it.
    pub(super) fn empty(world: &'world World) -> Result<ImageFiles<'world>> {
        // It becomes the root folder of the image, where not only root has to come through.
        let mode = Permissions::from_mode(0o755);
        let made = tempfile::Builder::new().permissions(mode).tempdir_in(world.beside("tmp"));
        let made = made.context("make a folder for an image")?;
        Ok(ImageFiles { world, made, taken: BTreeSet::new() })
    }

    /// One with busybox as its shell and all its programs, as Alpine has it.
    pub(super) fn with_shell(world: &'world World) -> Result<ImageFiles<'world>> {
        let mut files = ImageFiles::empty(world)?;
        for folder in ["bin", "etc", "root", "tmp", "var/run"] {
            fs::create_dir_all(files.made.path().join(folder)).context("make a folder in an image")?;
        }
        let busybox = program("busybox")?;
        files.copy(&busybox, "bin/busybox")?;
        for applet in world.run(world.command(&busybox).arg("--list"))?.success()?.stdout.lines() {
            let link = files.made.path().join("bin").join(applet);
            if applet != "busybox" {
                symlink("busybox", &link).with_context(|| format!("link: {}", escape_path(&link)))?;
            }
        }
        files.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\npostgres:x:70:70::/tmp:/bin/sh\n")?;
        files.text("etc/group", "root:x:0:\npostgres:x:70:\n")?;
        Ok(files)
    }

    /// Copies `from` to the path `to`, with the libraries that it needs.
    pub(super) fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        self.libraries_of(from)?;
        let to = self.made.path().join(to);
        fs::copy(from, &to).with_context(|| format!("copy: {}", escape_path(from)))?;
        Ok(())
    }

    /// Takes the file or folder `path` as it lies here.
    pub(super) fn take(&mut self, path: &Path) {
        self.taken.insert(path.to_path_buf());
    }

    /// Takes the libraries that the program or library `path` needs.
    pub(super) fn libraries_of(&mut self, path: &Path) -> Result<()> {
        // It fails for what is linked statically, which needs none.
        let listed = self.world.run(self.world.command("ldd").arg(path))?;
        let words =
            listed.stdout.lines().filter(|line| !line.contains("not found")).flat_map(str::split_whitespace);
        self.taken.extend(words.filter(|word| word.starts_with('/')).map(PathBuf::from));
        Ok(())
    }

    /// Writes a file.
    pub(super) fn text(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.made.path().join(path), text).with_context(|| format!("write in an image: {path}"))
    }

    /// Makes the image `name` of it; `changes` are lines of a Dockerfile.
    pub(super) fn import(self, name: &str, changes: &[&str]) -> Result<()> {
        let archive = self.world.beside("tmp/image.tar");
        let tar = |arguments: &[&str]| {
            let mut tar = self.world.command("tar");
            tar.arg("--file").arg(&archive).args(arguments).arg("--directory");
            tar
        };
        self.world.run(tar(&["--create"]).arg(self.made.path()).arg("."))?.success()?;
        let taken: Vec<OsString> = self
            .taken
            .iter()
            .map(|path| path.strip_prefix("/").unwrap_or(path).as_os_str().to_os_string())
            .collect();
        if !taken.is_empty() {
            self.world.run(tar(&["--append", "--dereference"]).arg("/").args(taken))?.success()?;
        }
        let mut import = self.world.command("docker");
        import.arg("import").args(changes.iter().flat_map(|change| ["--change", change]));
        self.world.run(import.arg(&archive).arg(name))?.success()?;
        fs::remove_file(&archive).context("remove the archive of an image")
    }
}

/// Where a program of this machine lies.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    crate::needs::find(name).with_context(|| format!("find a program: {name}"))
}
