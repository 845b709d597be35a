//! The real Uptime Kuma, for the test that pushes to it: npm puts its package below the target folder.
//!
//! The package has some steps of its database in another folder than the one that its server reads; they are copied
//! there, otherwise it does not start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::out;
use common::process::{self, Limits};
use common::text::escape_path;

const PACKAGE: &str = "uptime-kuma@2.0.0-dev.0";

/// The folder of its package, installed first if it is missing.
pub(crate) fn uptime_kuma(target: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let prefix = target.join("tools/uptime-kuma");
    let package = prefix.join("node_modules/uptime-kuma");
    if !package.join("package.json").exists() {
        out!("Fetching {PACKAGE} and what it needs, about 700 packages");
        fs::create_dir_all(&prefix).with_context(|| format!("make a folder: {}", escape_path(&prefix)))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&prefix).arg(PACKAGE);
        process::capture(&mut npm, b"", Limits::within(Duration::from_secs(900)), Some(cancel))?.success()?;
    }
    let database = package.join("db");
    copy_steps(&database, &database.join("old_migrations"))
        .context("put the steps of its database in place")?;
    Ok(package)
}

fn copy_steps(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_step = name.as_encoded_bytes().starts_with(b"patch-");
        if is_step && Path::new(&name).extension().is_some_and(|ending| ending == "sql") {
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}
