//! `cargo xtask soak`: what takes longer than every change can wait for.
//!
//! `ignore`, `bridge` and `hostile` are tests that `cargo xtask test` runs for a short while, here for as long as wanted; a failure
//! prints its seed, and what it found made as small as it can be. `push` needs a server that takes minutes to fetch.

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::Exit;
use common::process;

use crate::cli::Endurance;
use crate::needs;
use crate::workspace::{self, Workspace};

/// Runs the test that `what` names.
pub(crate) fn run(what: &Endurance) -> Result<Exit> {
    let cancel = Cancel::new().context("make a flag")?;
    let workspace = Workspace::find()?;
    needs::ensure(needs::TESTS, &cancel)?;
    let mut cargo = workspace::cargo(&workspace.root);
    cargo.args(["test", "--quiet", "--all-features"]);
    match what {
        Endurance::Ignore { minutes } => {
            let restic = needs::newest_restic(&workspace.target, &cancel)?;
            cargo.args(["--package", "build-ignore", "--test", "runner", "--", "--nocapture"]);
            cargo.arg("property::nothing_is_lost_and_nothing_is_extra");
            cargo.env("IGNORE_MINUTES", minutes.to_string()).env("RESTIC_NEWEST", restic);
        }
        Endurance::Bridge { kills } => {
            cargo.args(["--package", "pipe-listener", "--test", "runner", "--", "--nocapture", "soak::"]);
            cargo.env("BRIDGE_SOAK_KILLS", kills.to_string());
        }
        Endurance::Hostile => {
            let restic = needs::newest_restic(&workspace.target, &cancel)?;
            let mut files = workspace::cargo(&workspace.root);
            files.args([
                "test",
                "--quiet",
                "--all-features",
                "--package",
                "build-ignore",
                "--test",
                "runner",
            ]);
            files.args(["--", "--nocapture", "hostile_files::"]);
            files.env("IGNORE_HOSTILE", "2150").env("RESTIC_NEWEST", restic);
            if !process::foreground(&mut files).context("run the test")?.is_success() {
                return Ok(Exit::Failed);
            }
            cargo.args(["--package", "pipe-listener", "--test", "runner", "--", "--nocapture"]);
            cargo.args(["siege::", "soak::", "--test-threads", "1"]);
            cargo.env("BRIDGE_SIEGE", "1").env("BRIDGE_SOAK_KILLS", "250");
        }
        Endurance::Push => {
            needs::ensure(needs::UPTIME_KUMA, &cancel)?;
            let package = needs::uptime_kuma(&workspace.target, &cancel)?;
            cargo.args(["--package", "pipe-listener", "--test", "uptime_kuma", "--", "--nocapture"]);
            cargo.env("UPTIME_KUMA", package);
        }
    }
    // In the foreground: Ctrl-C reaches the test itself.
    let end = process::foreground(&mut cargo).context("run the test")?;
    Ok(if end.is_success() { Exit::Done } else { Exit::Failed })
}
