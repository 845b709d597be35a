//! `cargo xtask soak`: a property test that goes on for as long as wanted, or until it finds something.
//!
//! The test is the one that `cargo xtask test` runs for a short while; a failure prints its seed, and what it found
//! made as small as it can be.

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
    cargo.args(["test", "--quiet", "--all-features", "--test", "runner"]);
    match what {
        Endurance::Ignore { minutes } => {
            let restic = needs::newest_restic(&workspace.target, &cancel)?;
            cargo.args(["--package", "build-ignore", "--", "--nocapture"]);
            cargo.arg("property::nothing_is_lost_and_nothing_is_extra");
            cargo.env("IGNORE_MINUTES", minutes.to_string()).env("RESTIC_NEWEST", restic);
        }
        Endurance::Bridge { kills } => {
            cargo.args(["--package", "pipe-listener", "--", "--nocapture", "soak::"]);
            cargo.env("BRIDGE_SOAK_KILLS", kills.to_string());
        }
    }
    // In the foreground: Ctrl-C reaches the test itself.
    let end = process::foreground(&mut cargo).context("run the test")?;
    Ok(if end.is_success() { Exit::Done } else { Exit::Failed })
}
