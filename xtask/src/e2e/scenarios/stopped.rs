//! A service that is stopped during a backup, by the pair of scripts that `new-container --stop` writes.

use anyhow::{Result, ensure};

use super::super::images;
use super::super::world::World;

pub(super) const NAME: &str = "wiki";

pub(super) fn is_stopped_and_started(world: &World) -> Result<()> {
    world.tool("new-container", &[NAME, "--image", images::APP, "--stop", "--up"])?.success()?;
    let first = started_at(world)?;
    ensure!(is_up(world)?, "expected {NAME} to be up after new-container --up");
    world.tool("pre-backup-actions", &["--only", NAME])?.success()?;
    ensure!(!is_up(world)?, "expected {NAME} to be down after its prepare step");
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    ensure!(is_up(world)?, "expected {NAME} to be up after its after step");
    let second = started_at(world)?;
    ensure!(first != second, "expected another time of start than {first}");
    // Once more, as after a crash: it does nothing.
    world.tool("pre-backup-actions", &["--after", "--all"])?.success()?;
    ensure!(is_up(world)? && started_at(world)? == second, "expected that a second after step does nothing");
    Ok(())
}

pub(super) fn stays_down(world: &World) -> Result<()> {
    world.compose(NAME, &["stop"])?.success()?;
    for arguments in [["--only", NAME].as_slice(), &["--after"]] {
        world.tool("pre-backup-actions", arguments)?.success()?;
        ensure!(
            !is_up(world)?,
            "expected that {NAME} stays down: pre-backup-actions {}",
            arguments.join(" ")
        );
    }
    world.compose(NAME, &["start"])?.success()?;
    ensure!(is_up(world)?, "expected that {NAME} can be started by hand");
    Ok(())
}

pub(super) fn is_up(world: &World) -> Result<bool> {
    let running = world.docker(&["ps", "--quiet", "--filter", &project()])?.success()?;
    Ok(!running.stdout.trim().is_empty())
}

pub(super) fn expect_up(world: &World) -> Result<()> {
    ensure!(is_up(world)?, "expected that {NAME} is up again");
    Ok(())
}

fn started_at(world: &World) -> Result<String> {
    let ids = world.docker(&["ps", "--all", "--quiet", "--filter", &project()])?.success()?.stdout;
    Ok(world.docker(&["inspect", "--format", "{{.State.StartedAt}}", ids.trim()])?.success()?.stdout)
}

fn project() -> String {
    format!("label=com.docker.compose.project={NAME}")
}
