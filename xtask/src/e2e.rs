//! `cargo xtask e2e`: the whole way of a backup with a real Docker engine, and the ways in which it fails.
//!
//! In a temporary home with the tools installed: services that `new-container` made, PostgreSQL in a container, and a
//! container that replaces Backrest's, started with this repository's compose.yaml. Its hooks run in it as Backrest
//! runs them, and so does restic. Each scenario continues from the state the one before it left, and prints one line.
//!
//! Nothing outside the home is touched: the engine has namespaces of its own, and ends with this process in any case.

mod engine;
mod hooks;
mod images;
mod ran;
mod scenarios;
mod template;
mod world;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::exit::{Exit, HintExt, hint_of};
use common::out;
use common::text::{BAD, GOOD};
use common::units;
use nix::unistd::Uid;

use crate::cli::E2eOptions;
use crate::workspace::Workspace;
use crate::{install, needs};
use world::World;

/// Runs every scenario whose name contains the text that is asked for.
pub(crate) fn run(options: &E2eOptions) -> Result<Exit> {
    let cancel = Cancel::on_signals().context("listen to signals")?;
    if !Uid::effective().is_root() {
        return Err(anyhow::anyhow!("start a Docker engine: only root can")).hint("sudo -E cargo xtask e2e");
    }
    needs::ensure(needs::E2E, &cancel)?;
    needs::ensure(needs::DOCKER_CLIENT, &cancel)?;
    let workspace = Workspace::find()?;
    let plugin = needs::compose_plugin(&workspace.tools(), &cancel)?;

    let world = World::make(&workspace.root, &plugin, &cancel)?;
    let prefix = world.at(".local");
    world.run(&mut install::script(&prefix, &workspace, &options.build)?)?.success()?;
    let started = Instant::now();
    let version = engine::start(&world)?;
    images::make(&world, &workspace.tools())?;
    out!("A Docker engine {} with its images, in {}", version, units::duration(started.elapsed()));

    let (mut passed, mut failed) = (0, 0);
    for (name, holds) in scenarios::ALL.iter().filter(|(name, _)| name.contains(&options.only)) {
        let started = Instant::now();
        let result = holds(&world);
        if cancel.is_cancelled() {
            bail!("interrupted");
        }
        let time = units::duration(started.elapsed());
        match result {
            Ok(()) => {
                passed += 1;
                out!("{GOOD}✓{GOOD:#} {name} ({time})");
            }
            Err(error) => {
                failed += 1;
                out!("{BAD}✗ {name}{BAD:#} ({time})");
                print_error(&error);
            }
        }
    }
    drop(world);
    out!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// What was expected and seen; of an unexpected command, its whole output.
fn print_error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let (what, output) = text.split_once('\n').unwrap_or((&text, ""));
    out!("    {what}");
    output.lines().for_each(|line| out!("    | {line}"));
    if let Some(hint) = hint_of(error) {
        out!("    hint: {hint}");
    }
}
