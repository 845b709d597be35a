//! Where this repository lies, where cargo puts what it builds, and cargo itself.
//!
//! The target folder is asked of cargo, because a user may have moved it in a configuration file as well as in the
//! environment.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::process::{self, Limits};

/// The repository and its target folder.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The folder that holds the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// The members, from `cargo metadata`.
    pub(crate) members: Vec<Member>,
}

/// One crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    /// The folder of its `Cargo.toml`.
    pub(crate) folder: PathBuf,
    /// The programs it builds.
    pub(crate) binaries: Vec<String>,
    /// The crates it names in its `Cargo.toml`, of every kind.
    pub(crate) dependencies: Vec<String>,
}

impl Workspace {
    /// Asks cargo. Needs no network.
    pub(crate) fn find() -> Result<Workspace> {
        let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|path| path.ends_with("xtask"));
        let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = own.parent().context("find the repository")?.to_path_buf();
        let mut command = cargo(&root);
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let text =
            process::capture(&mut command, b"", Limits::within(Duration::from_secs(60)), None)?.success()?;
        let metadata: serde_json::Value = serde_json::from_slice(&text).context("read cargo metadata")?;
        let target =
            metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
        let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
        let members = packages.iter().map(member).collect::<Result<_>>()?;
        Ok(Workspace { root, target: PathBuf::from(target), members })
    }
}

fn member(package: &serde_json::Value) -> Result<Member> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_string);
    let manifest = text(&package["manifest_path"]).context("a package without a manifest")?;
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let targets = package["targets"].as_array().into_iter().flatten();
    let is_binary = |target: &&serde_json::Value| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
    };
    Ok(Member {
        name: text(&package["name"]).context("a package without a name")?,
        folder: Path::new(&manifest).parent().context("a manifest without a folder")?.to_path_buf(),
        binaries: targets.filter(is_binary).filter_map(|target| text(&target["name"])).collect(),
        dependencies: dependencies.filter_map(|dependency| text(&dependency["name"])).collect(),
    })
}

/// The cargo that runs us, started in `root`.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// The compiler that cargo uses.
pub(crate) fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}
