//! Where this repository lies, where cargo puts what it builds, and cargo itself.
//!
//! The target folder is asked of cargo, because a user may have moved it in a configuration file as well as in the
//! environment.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::background;

/// The repository and its target folder, as `cargo metadata` prints them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Workspace {
    /// The folder that holds the workspace's `Cargo.toml`.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// The crates.
    #[serde(rename = "packages")]
    pub(crate) members: Vec<Member>,
}

/// One crate of the workspace.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    /// The crates it names in its `Cargo.toml`, of every kind.
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// A crate that another one names.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
}

impl Workspace {
    /// Where tools are kept that are fetched once.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Asks cargo. Needs no network.
    pub(crate) fn find() -> Result<Workspace> {
        let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|path| path.ends_with("xtask"));
        let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let mut command = cargo(&own);
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        serde_json::from_str(&background::output_of(&mut command, b"", None)?).context("read cargo metadata")
    }
}

impl Member {
    /// The folder of its `Cargo.toml`.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("/"))
    }

    /// The programs it builds.
    pub(crate) fn binaries(&self) -> impl Iterator<Item = &str> {
        let binaries = self.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
        binaries.map(|target| target.name.as_str())
    }
}

/// The cargo that runs us, started in `root`.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
