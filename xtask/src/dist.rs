//! `cargo xtask dist`: archives that install without Rust, for any Linux of the architecture.
//!
//! Every program is linked statically, so neither the C library nor its version matters. The same source makes the same
//! bytes: no path of this machine, no time and no owner gets into an archive. `--prove` builds twice, compares, and tries
//! the archive in bare roots.

mod aarch64;
mod prove;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::cancel::Cancel;
use common::exit::Exit;
use common::out;
use common::text::escape_path;
use common::units;

use crate::cli::{Architecture, DistOptions};
use crate::workspace::{self, Workspace};
use crate::{background, build, needs, package};

pub(crate) fn run(options: &DistOptions) -> Result<Exit> {
    let cancel = Cancel::on_signals().context("listen to signals")?;
    let workspace = Workspace::find()?;
    needs::ensure(needs::DIST, &cancel)?;
    let dist = Dist { workspace: &workspace, tools: workspace.tools(), options, cancel: &cancel };
    let is_compared = options.prove && !options.debug;
    if is_compared {
        let mut git = Command::new("git");
        let changes = dist.capture(git.args(["status", "--porcelain"]).current_dir(&workspace.root))?;
        ensure!(changes.is_empty(), "build twice: there are changes that are not committed:\n{changes}");
    }
    let output = options.output.clone().unwrap_or_else(|| workspace.target.join("dist"));
    let archive = dist.archive(&output)?;
    if is_compared {
        dist.is_reproducible(&archive)?;
    }
    let sums = dist.sums(&archive)?;
    let size = archive.metadata().context("look at an archive")?.len();
    out!("{} ({})", escape_path(&archive), units::bytes(size));
    out!("{}", escape_path(&sums));
    if options.prove {
        prove::run(&dist, &archive)?;
    }
    Ok(Exit::Done)
}

/// What the name of each archive of this version starts with.
fn prefix() -> String {
    format!("backrest-helpers-{}-linux-", env!("CARGO_PKG_VERSION"))
}

/// What every step needs.
struct Dist<'a> {
    workspace: &'a Workspace,
    /// Where the roots are that are built in and tried in.
    tools: PathBuf,
    options: &'a DistOptions,
    cancel: &'a Cancel,
}

impl Dist<'_> {
    /// Builds and packs; returns the archive in `output`, which is made if it is missing.
    fn archive(&self, output: &Path) -> Result<PathBuf> {
        let (programs, architecture) = match self.options.architecture {
            Architecture::X86_64 => (self.build(&self.workspace.target.join("static"))?, "x86_64"),
            Architecture::Aarch64 => (aarch64::build(self)?, "aarch64"),
        };
        let name = prefix() + architecture;
        let folder = output.join(&name);
        package::fill(&folder, self.workspace, &programs)?;
        for page in ["LICENSE", "README.md", "CHANGELOG.md"] {
            fs::copy(self.workspace.root.join(page), folder.join(page))
                .with_context(|| format!("copy: {page}"))?;
        }
        let archive = self.pack(output, &name)?;
        fs::remove_dir_all(&folder).with_context(|| format!("remove: {}", escape_path(&folder)))?;
        Ok(archive)
    }

    /// Builds every program for this machine's architecture, below `target`.
    fn build(&self, target: &Path) -> Result<Vec<PathBuf>> {
        let triple = build::host_triple(&self.workspace.root)?;
        let time = self.time()?;
        build::for_archive(self.workspace, self.options.debug, &target.join(&triple), || {
            let mut command = workspace::cargo(&self.workspace.root);
            command.args(["build", "--locked", "--target", &triple]);
            command.env("CARGO_TARGET_DIR", target).env("RUSTFLAGS", self.flags(target));
            // What a C compiler takes for today: one of the libraries holds the time of its build.
            command.env("SOURCE_DATE_EPOCH", &time);
            command
        })
    }

    /// No path of this machine in a program: a panic would name it.
    fn flags(&self, target: &Path) -> String {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
        let mut flags = String::from(build::STATIC);
        if self.options.debug {
            // Several times as quick to link and to pack.
            flags.push_str(" -Cdebuginfo=0 -Cstrip=symbols");
        }
        // The last one that fits counts, so the folder inside another one comes after it.
        for (path, name) in
            [(home.as_deref(), "/cargo"), (Some(&*self.workspace.root), "/src"), (Some(target), "/target")]
        {
            if let Some(path) = path {
                flags.push_str(&format!(" --remap-path-prefix={}={name}", path.display()));
            }
        }
        flags
    }

    /// The time of the last commit, in seconds since 1970.
    fn time(&self) -> Result<String> {
        let mut git = Command::new("git");
        let time = self.capture(git.args(["log", "-1", "--format=%ct"]).current_dir(&self.workspace.root))?;
        Ok(time.trim().to_string())
    }

    /// Packs the folder `name` of `output`: sorted, with the time of the last commit, and owned by root.
    fn pack(&self, output: &Path, name: &str) -> Result<PathBuf> {
        let (plain, archive) = (output.join(format!("{name}.tar")), output.join(format!("{name}.tar.gz")));
        let mut tar = Command::new("tar");
        tar.args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
        tar.arg(format!("--mtime=@{}", self.time()?)).args(["--mode=go-w", "--file"]).arg(&plain);
        self.capture(tar.arg("--directory").arg(output).arg(name))?;
        let _ = fs::remove_file(&archive);
        self.capture(Command::new("gzip").args(["--best", "--no-name"]).arg(&plain))?;
        Ok(archive)
    }

    /// Writes the SHA-256 sums of all archives of this version beside them.
    fn sums(&self, archive: &Path) -> Result<PathBuf> {
        let folder = archive.parent().context("an archive without a folder")?;
        let names = fs::read_dir(folder).context("list archives")?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.retain(|name| {
            let name = name.to_string_lossy();
            name.starts_with(&prefix()) && name.ends_with(".tar.gz")
        });
        names.sort();
        let text = self.capture(Command::new("sha256sum").args(names).current_dir(folder))?;
        let path = folder.join("SHA256SUMS");
        common::atomic::write(&path, text.as_bytes(), 0o644)?;
        Ok(path)
    }

    /// Makes the archive once more, from a clone in another folder, and compares.
    fn is_reproducible(&self, archive: &Path) -> Result<()> {
        let again = tempfile::tempdir_in(&self.workspace.target).context("make a folder")?;
        let (root, target) = (again.path().join("another/folder"), again.path().join("target"));
        self.capture(Command::new("git").args(["clone", "--quiet"]).arg(&self.workspace.root).arg(&root))?;
        let workspace = Workspace { root, target, members: self.workspace.members.clone() };
        let second = Dist { workspace: &workspace, tools: self.tools.clone(), ..*self };
        let second = second.archive(&again.path().join("dist"))?;
        let read = |path: &Path| fs::read(path).with_context(|| format!("read: {}", escape_path(path)));
        ensure!(read(archive)? == read(&second)?, "build twice: {} differs", escape_path(archive));
        out!("two builds in two folders: the same bytes");
        Ok(())
    }

    fn capture(&self, command: &mut Command) -> Result<String> {
        background::output_of(command, b"", Some(self.cancel))
    }
}
