//! `cargo xtask build`: the tools as they are installed.
//!
//! In comes the workspace, out goes a list of finished binaries. `backrest-send` is built a second time, linked
//! statically, because it runs inside images that have another C library or none at all; and so is `pipe-listener`,
//! which stays in memory for months and is smaller that way. That build needs an explicit `--target`: without one,
//! `crt-static` would also apply to procedural macros, which can't be static.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::exit::{Exit, HintExt};
use common::out;
use common::process::{self, Limits};
use common::text::escape_path;

use crate::cli::BuildOptions;
use crate::workspace::{self, Member, Workspace};

const CLIENT: &str = "backrest-send";
const LISTENER: &str = "pipe-listener";

/// Builds and prints where the binaries are.
pub(crate) fn run(options: &BuildOptions) -> Result<Exit> {
    for path in binaries(&Workspace::find()?, options)? {
        out!("{}", escape_path(path));
    }
    Ok(Exit::Done)
}

/// Builds, and returns the path of each program that users run.
pub(crate) fn binaries(workspace: &Workspace, options: &BuildOptions) -> Result<Vec<PathBuf>> {
    let mut dynamic = workspace::cargo(&workspace.root);
    // Bare: without xtask, whose own running binary cargo would otherwise build anew.
    dynamic.args(["build", "--bins", "--workspace", "--exclude", "xtask"]);
    if !options.debug {
        dynamic.arg("--release");
    }
    cargo(&mut dynamic)?;
    let dynamic = workspace.target.join(if options.debug { "debug" } else { "release" });
    let fixed = both_ends_of_the_bridge(workspace, options)?;
    let is_fixed = |name: &str| name == CLIENT || name == LISTENER && !options.debug;
    let names = programs(workspace);
    names
        .iter()
        .map(|name| there(if is_fixed(name) { fixed.join(name) } else { dynamic.join(name) }))
        .collect()
}

/// The names of the programs that users run; each is a package.
pub(crate) fn programs(workspace: &Workspace) -> Vec<&str> {
    let tools = workspace.members.iter().filter(|member| member.name != "xtask");
    tools.flat_map(Member::binaries).collect()
}

/// The profile that each of the programs is built in for an archive: small for what stays in memory or goes into any
/// container.
pub(crate) fn profiles<'a>(debug: bool, names: &[&'a str]) -> Vec<(&'static str, Vec<&'a str>)> {
    let (small, fast): (Vec<_>, Vec<_>) =
        names.iter().copied().partition(|name| [CLIENT, LISTENER].contains(name));
    match debug {
        true => vec![("dev", names.to_vec())],
        false => vec![("small", small), ("release", fast)],
    }
}

/// The paths of what was built below `folder` in those profiles.
pub(crate) fn built(folder: &Path, debug: bool, names: &[&str]) -> Result<Vec<PathBuf>> {
    let all = profiles(debug, names).into_iter().flat_map(|(profile, names)| {
        let folder = folder.join(if profile == "dev" { "debug" } else { profile });
        names.into_iter().map(move |name| there(folder.join(name)))
    });
    all.collect()
}

fn there(path: PathBuf) -> Result<PathBuf> {
    path.is_file().then(|| path.clone()).with_context(|| format!("not built: {}", escape_path(path)))
}

/// Builds what the demo runs, as quickly as it can: in the profile that this program is built in, and returns the
/// programs' paths.
pub(crate) fn for_demo(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let names = ["build-ignore", "pre-backup-actions", LISTENER, CLIENT];
    let mut command = workspace::cargo(&workspace.root);
    command.arg("build");
    for name in names {
        command.args(["--package", name, "--bin", name]);
    }
    cargo(&mut command)?;
    Ok(names.map(|name| workspace.target.join("debug").join(name)).to_vec())
}

/// Builds the static programs (the client, and for use the listener) and returns the folder that holds them.
pub(crate) fn both_ends_of_the_bridge(workspace: &Workspace, options: &BuildOptions) -> Result<PathBuf> {
    let triple = host_triple(&workspace.root)?;
    let mut fixed = workspace::cargo(&workspace.root);
    fixed.args(["build", "--target", &triple, "--package", CLIENT]);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    fixed.env("RUSTFLAGS", format!("{flags} -Ctarget-feature=+crt-static").trim());
    if !options.debug {
        // Not what pushes to Uptime Kuma: that finds hosts as the machine does.
        fixed.args(["--profile", "small", "--package", LISTENER]);
    }
    cargo(&mut fixed)?;
    Ok(workspace.target.join(&triple).join(if options.debug { "debug" } else { "small" }))
}

/// Builds one binary for use, of the package of the same name, and returns its path.
pub(crate) fn released(name: &str) -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    let mut command = workspace::cargo(&workspace.root);
    cargo(command.args(["build", "--release", "--package", name, "--bin", name]))?;
    Ok(workspace.target.join("release").join(name))
}

/// Builds the benchmark `name` of `package` for use and returns the command that runs it.
pub(crate) fn benchmark(package: &str, name: &str) -> Result<Command> {
    let workspace = Workspace::find()?;
    let bench = || {
        let mut command = workspace::cargo(&workspace.root);
        command.args(["bench", "--quiet", "--package", package, "--bench", name]);
        command
    };
    cargo(bench().arg("--no-run"))?;
    Ok(bench())
}

/// Runs cargo in the foreground.
pub(crate) fn cargo(command: &mut Command) -> Result<()> {
    match process::foreground(command)? {
        end if end.is_success() => Ok(()),
        end => bail!("{}: {end}", process::command_name(command)),
    }
}

/// The triple of the machine that compiles, as `rustc -vV` names it.
pub(crate) fn host_triple(root: &Path) -> Result<String> {
    let mut rustc = workspace::rustc();
    rustc.arg("-vV").current_dir(root);
    let text = process::capture(&mut rustc, b"", Limits::within(Duration::from_secs(60)), None)?.success()?;
    let text = String::from_utf8_lossy(&text);
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_string);
    host.context("rustc -vV names no host").hint("update Rust: 1.85 or newer is needed")
}
