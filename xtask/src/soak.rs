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

pub(crate) fn run(what: &Endurance) -> Result<Exit> {
    let cancel = Cancel::new().context("make a flag")?;
    let workspace = Workspace::find()?;
    needs::ensure(needs::TESTS, &cancel)?;
    let test = |package: &str, binary: &str, filters: &[&str]| {
        let mut cargo = workspace::cargo(&workspace.root);
        cargo.args(["test", "--quiet", "--all-features", "--package", package, "--test", binary]);
        cargo.args(["--", "--nocapture"]).args(filters);
        cargo
    };
    let mut tests = Vec::new();
    match what {
        Endurance::Ignore { minutes } => {
            let restic = needs::newest_restic(&workspace.tools(), &cancel)?;
            let mut ignore =
                test("build-ignore", "runner", &["property::nothing_is_lost_and_nothing_is_extra"]);
            ignore.env("IGNORE_MINUTES", minutes.to_string()).env("RESTIC_NEWEST", restic);
            tests.push(ignore);
        }
        Endurance::Bridge { kills } => {
            let mut bridge = test("pipe-listener", "runner", &["soak::"]);
            bridge.env("BRIDGE_SOAK_KILLS", kills.to_string());
            tests.push(bridge);
        }
        Endurance::Hostile => {
            let restic = needs::newest_restic(&workspace.tools(), &cancel)?;
            let mut files = test("build-ignore", "runner", &["hostile_files::"]);
            files.env("IGNORE_HOSTILE", "2150").env("RESTIC_NEWEST", restic);
            let mut clients = test("pipe-listener", "runner", &["siege::", "soak::", "--test-threads", "1"]);
            clients.env("BRIDGE_SIEGE", "1").env("BRIDGE_SOAK_KILLS", "250");
            tests.extend([files, clients]);
        }
        Endurance::Push => {
            needs::ensure(needs::UPTIME_KUMA, &cancel)?;
            let mut push = test("pipe-listener", "uptime_kuma", &[]);
            push.env("UPTIME_KUMA", needs::uptime_kuma(&workspace.tools(), &cancel)?);
            tests.push(push);
        }
    }
    for mut test in tests {
        // In the foreground: Ctrl-C reaches the test itself.
        if !process::foreground(&mut test).context("run the test")?.is_success() {
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Done)
}
