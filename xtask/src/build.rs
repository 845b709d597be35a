//! `cargo xtask build`: the tools as they are installed.
//!
//! In comes the workspace, out goes a list of finished binaries. `backrest-send` is linked statically because it runs
//! inside images that have another C library or none at all; for use, so are `pipe-listener`, which stays in memory for
//! months and is smaller that way, and the two tools that each backup starts: the dynamic linker takes a fifth of their
//! time at 30 services (`cargo xtask bench ignore`). Those builds need an explicit `--target`: without one, `crt-static`
//! would also apply to procedural macros, which can't be static.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use common::exit::{Exit, HintExt};
use common::out;
use common::process;
use common::text::escape_path;

use crate::background;
use crate::cli::BuildOptions;
use crate::workspace::{self, Member, Workspace};

const CLIENT: &str = "backrest-send";
const LISTENER: &str = "pipe-listener";
/// Each backup starts these.
const IN_HOOKS: [&str; 2] = ["build-ignore", "pre-backup-actions"];

/// Links a program statically, so that it starts another one in another folder without fork(2), as a dynamic program
/// does. The standard library uses posix_spawn(3) if the C library can change the folder there, and asks for that
/// function in a way that takes nothing out of a static archive. A fork copies the program's page tables first.
pub(crate) const STATIC: &str =
    "-Ctarget-feature=+crt-static -Clink-arg=-Wl,-u,posix_spawn_file_actions_addchdir_np";

pub(crate) fn run(options: &BuildOptions) -> Result<Exit> {
    for path in binaries(&Workspace::find()?, options)? {
        out!("{}", escape_path(path));
    }
    Ok(Exit::Done)
}

/// Builds, and returns the path of each program that users run.
pub(crate) fn binaries(workspace: &Workspace, options: &BuildOptions) -> Result<Vec<PathBuf>> {
    let mut built = both_ends_of_the_bridge(workspace, options)?;
    let mut dynamic = workspace::cargo(&workspace.root);
    // Bare: without xtask, whose own running binary cargo would otherwise build anew.
    dynamic.args(["build", "--bins", "--workspace", "--exclude", "xtask"]);
    if !options.debug {
        built.extend(fixed(workspace, "release", &IN_HOOKS)?);
        dynamic.arg("--release").args(IN_HOOKS.map(|name| ["--exclude", name]).as_flattened());
    }
    cargo(&mut dynamic)?;
    let folder = workspace.target.join(if options.debug { "debug" } else { "release" });
    let names = programs(workspace);
    let is_built = |name: &&str| built.iter().any(|path| path.ends_with(name));
    let others: Vec<_> = names.into_iter().filter(|name| !is_built(name)).collect();
    built.extend(others.into_iter().map(|name| folder.join(name)));
    built.into_iter().map(there).collect()
}

/// The names of the programs that users run; each is a package.
pub(crate) fn programs(workspace: &Workspace) -> Vec<&str> {
    let tools = workspace.members.iter().filter(|member| member.name != "xtask");
    tools.flat_map(Member::binaries).collect()
}

/// Builds every program for an archive with `command`, which builds into `folder`, and returns their paths: small what
/// stays in memory or goes into any container, fast the others.
pub(crate) fn for_archive(
    workspace: &Workspace,
    debug: bool,
    folder: &Path,
    command: impl Fn() -> Command,
) -> Result<Vec<PathBuf>> {
    let profile = |name: &str| match [CLIENT, LISTENER].contains(&name) {
        _ if debug => "dev",
        true => "small",
        false => "release",
    };
    let mut names = programs(workspace);
    names.sort_by_key(|name| profile(name));
    let mut built = Vec::new();
    for names in names.chunk_by(|one, other| profile(one) == profile(other)) {
        let profile = profile(names[0]);
        let mut command = command();
        command.args(["--profile", profile]).args(names.iter().flat_map(|name| ["--package", name]));
        cargo(&mut command)?;
        let folder = folder.join(if debug { "debug" } else { profile });
        built.extend(names.iter().map(|name| folder.join(name)));
    }
    built.into_iter().map(there).collect()
}

fn there(path: PathBuf) -> Result<PathBuf> {
    path.is_file().then(|| path.clone()).with_context(|| format!("not built: {}", escape_path(path)))
}

/// Builds what the demo runs, as quickly as it can: in the profile that this program is built in, and returns the
/// programs' paths.
pub(crate) fn for_demo(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    bare(workspace, "debug", &["build-ignore", "pre-backup-actions", LISTENER, CLIENT])
}

/// Builds one binary for use, as it is installed, and returns its path.
pub(crate) fn released(name: &str) -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    let built = match IN_HOOKS.contains(&name) {
        true => fixed(&workspace, "release", &[name])?,
        false => bare(&workspace, "release", &[name])?,
    };
    there(built.into_iter().next().context("a program")?)
}

/// Builds each of `names`, a program and its package, as cargo does by itself, and returns their paths.
fn bare(workspace: &Workspace, profile: &str, names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut command = workspace::cargo(&workspace.root);
    command.arg("build").args((profile == "release").then_some("--release"));
    cargo(command.args(names.iter().flat_map(|name| ["--package", name, "--bin", name])))?;
    names.iter().map(|name| there(workspace.target.join(profile).join(name))).collect()
}

/// Builds the client, and for use the listener, and returns their paths.
pub(crate) fn both_ends_of_the_bridge(workspace: &Workspace, options: &BuildOptions) -> Result<Vec<PathBuf>> {
    match options.debug {
        true => fixed(workspace, "dev", &[CLIENT]),
        // Not what pushes to Uptime Kuma: that finds hosts as the machine does.
        false => fixed(workspace, "small", &[CLIENT, LISTENER]),
    }
}

/// Builds the programs `names` in `profile`, linked statically, and returns their paths.
fn fixed(workspace: &Workspace, profile: &str, names: &[&str]) -> Result<Vec<PathBuf>> {
    let triple = host_triple(&workspace.root)?;
    let mut command = workspace::cargo(&workspace.root);
    command.args(["build", "--target", &triple, "--profile", profile]);
    command.args(names.iter().flat_map(|name| ["--package", name]));
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    cargo(command.env("RUSTFLAGS", format!("{flags} {STATIC}").trim()))?;
    let folder = workspace.target.join(&triple).join(if profile == "dev" { "debug" } else { profile });
    Ok(names.iter().map(|name| folder.join(name)).collect())
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

pub(crate) fn cargo(command: &mut Command) -> Result<()> {
    match process::foreground(command)? {
        end if end.is_success() => Ok(()),
        end => bail!("{}: {end}", process::command_name(command)),
    }
}

/// The triple of the machine that compiles, as `rustc -vV` names it.
pub(crate) fn host_triple(root: &Path) -> Result<String> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.arg("-vV").current_dir(root);
    let text = background::output_of(&mut rustc, b"", None)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_string);
    host.context("rustc -vV names no host").hint("update Rust: 1.85 or newer is needed")
}
