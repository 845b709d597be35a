//! `cargo xtask install` and `cargo xtask uninstall`: build the programs and let `install.sh` put them below a prefix,
//! or take away what it put there.
//!
//! The script does all of it, the same for a clone as for an unpacked archive; what it prints is what a person reads.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use common::exit::Exit;
use common::{paths, process};

use crate::cli::{BuildOptions, InstallOptions, UninstallOptions};
use crate::workspace::Workspace;
use crate::{build, package};

pub(crate) fn run(options: &InstallOptions) -> Result<Exit> {
    let mut script = script(&prefix(&options.place)?, &Workspace::find()?, &options.build)?;
    finish(&mut script)
}

pub(crate) fn uninstall(options: &UninstallOptions) -> Result<Exit> {
    let mut script = installer(&Workspace::find()?.root.join("xtask"), &prefix(options)?);
    finish(script.arg("--uninstall"))
}

/// Builds, and returns the command that puts everything below `prefix`.
pub(crate) fn script(prefix: &Path, workspace: &Workspace, options: &BuildOptions) -> Result<Command> {
    let folder = workspace.target.join("package");
    package::fill(&folder, workspace, &build::binaries(workspace, options)?)?;
    Ok(installer(&folder, prefix))
}

fn installer(folder: &Path, prefix: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg(folder.join("install.sh")).arg("--prefix").arg(prefix);
    command
}

fn finish(script: &mut Command) -> Result<Exit> {
    match process::foreground(script)? {
        end if end.is_success() => Ok(Exit::Done),
        process::End::Exited(_) => Ok(Exit::Failed),
        end => bail!("install.sh: {end}"),
    }
}

fn prefix(options: &UninstallOptions) -> Result<PathBuf> {
    let here = env::current_dir().context("find the working directory")?;
    let given = options.prefix.clone().unwrap_or_else(|| PathBuf::from("~/.local"));
    paths::absolute(&given, &here)
}
