//! The ways in which a backup fails. Each leaves no snapshot that should not be there, and no service stopped.
//!
//! What was broken is fixed before anything is expected, so that the scenarios after a failed one can go on.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use super::super::hooks::{Firing, Hooks, restic, snapshots};
use super::super::ran::all_succeed;
use super::super::world::World;
use super::backup::expect_push;
use super::{bridge, database, stopped};
use crate::background::listener_of;

/// A hook has to notice within this time that no answer will come.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Before Backrest 1.11 no hook runs after the one that failed, so the host undoes and pushes by itself.
pub(super) fn database_is_down(world: &World, firing: Firing) -> Result<()> {
    let (hooks, before) = (Hooks::printed(world)?, snapshots(world)?);
    world.kuma.take();
    world.compose("paperless", &["stop", "database"])?.success()?;
    let backup = hooks.back_up_as(firing, world, &[])?;
    world.compose("paperless", &["start", "database"])?.success()?;
    database::wait_until_up(world)?;
    backup.start.code(1)?.prints("1 failed: paperless")?;
    ensure!(backup.restic.is_none(), "expected that restic does not run");
    ensure!(backup.after.is_empty() == (firing == Firing::Before1_11), "expected other hooks");
    match firing {
        Firing::Before1_11 => comes_up(world)?,
        _ => all_succeed(backup.after).and_then(|()| stopped::expect_up(world))?,
    }
    ensure!(snapshots(world)? == before, "expected no further snapshot");
    expect_push(world, "status=down", "paperless")
}

pub(super) fn restic_fails(world: &World) -> Result<()> {
    let (hooks, before) = (Hooks::printed(world)?, snapshots(world)?);
    world.kuma.take();
    let (keys, aside) = (world.at("backups/e2e/keys"), world.at("backups/keys-aside"));
    fs::rename(&keys, &aside).context("take the repository's keys away")?;
    let backup = hooks.back_up(world, &[])?;
    fs::rename(&aside, &keys).context("give the repository its keys back")?;
    backup.start.success()?;
    backup.restic.context("restic ran")?.failure()?;
    all_succeed(backup.after)?;
    ensure!(snapshots(world)? == before, "expected no further snapshot");
    stopped::expect_up(world)?;
    expect_push(world, "status=down", "nightly")
}

/// The monitor stays down, also if the backup is then reported as a success.
pub(super) fn files_are_missing(world: &World) -> Result<()> {
    for firing in [Firing::Before1_9, Firing::Before1_11, Firing::From1_11] {
        let hooks = Hooks::printed(world)?;
        world.kuma.take();
        // Its beginning can't be read.
        let backup = hooks.back_up_as(firing, world, &["/proc/1/mem"])?;
        backup.start.success()?;
        backup.restic.context("restic ran")?.code(3)?;
        all_succeed(backup.after)?;
        stopped::expect_up(world)?;
        let pushes = world.kuma.take();
        let is_down = |push: &String| push.contains("status=down") && push.contains("partial%20backup");
        ensure!(!pushes.is_empty() && pushes.iter().all(is_down), "{firing:?}: seen {pushes:?}");
    }
    Ok(())
}

pub(super) fn listener_is_killed(world: &World) -> Result<()> {
    let hooks = Hooks::printed(world)?;
    world.kuma.take();
    world.script(
        "data/slow/prepare-backup.sh",
        "#!/bin/sh\n[ -e wait ] || exit 0\ntouch here\nwhile [ -e wait ]; do sleep 0.1; done\n",
    )?;
    world.write("data/slow/wait", "")?;
    let (hook, time) = thread::scope(|scope| {
        let hook = scope.spawn(|| hooks.fire(world, &["SNAPSHOT_START"], ""));
        let waited = world.wait_for("both services are being prepared", || {
            Ok(world.at("data/slow/here").exists() && !stopped::is_up(world)?)
        });
        let killed = waited.and_then(|()| kill_listener(world));
        let started = Instant::now();
        let hook = hook.join().map_err(|_| anyhow!("run a hook"))?;
        Ok::<_, anyhow::Error>((killed.and(hook)?, started.elapsed()))
    })?;
    let after = hooks.fire(world, &["ANY_ERROR", "SNAPSHOT_ERROR"], "hook failed")?;
    world.create_backrest_pipe(&[])?.success()?;
    world.remove("data/slow/wait")?;
    for hook in hook {
        hook.failure()?.prints("the listener")?;
    }
    ensure!(time < AT_ONCE, "expected the end of the hook within {AT_ONCE:?}, seen {time:?}");
    // No listener was running, so the messages waited for it.
    for hook in after {
        hook.code(75)?;
    }
    comes_up(world)?;
    expect_push(world, "status=down", "the%20listener%20was%20stopped")
}

pub(super) fn container_is_killed(world: &World) -> Result<()> {
    let (hooks, before) = (Hooks::printed(world)?, snapshots(world)?);
    let env = world.read("containers/backrest/.env")?;
    world.write("containers/backrest/.env", format!("{env}AFTER_DEADLINE=15s\n"))?;
    // So slow that it is in the middle whenever it is looked at.
    let mut film = vec![0; 4 << 20];
    SmallRng::seed_from_u64(1).fill_bytes(&mut film);
    world.write("data/photos/film.mp4", film)?;
    let start = hooks.fire(world, &["SNAPSHOT_START"], "")?;
    let (was_up, backup) = thread::scope(|scope| {
        let backup = scope.spawn(|| hooks.restic_backup(world, &["--limit-upload", "1"]));
        let locks = world.at("backups/e2e/locks");
        let waited = world.wait_for("restic has its lock", || {
            Ok(fs::read_dir(&locks).is_ok_and(|locks| locks.count() > 0))
        });
        let was_up = stopped::is_up(world);
        let killed = world.docker(&["kill", "backrest"])?.success();
        let backup = backup.join().map_err(|_| anyhow!("run restic"))?;
        waited.and(killed)?;
        Ok::<_, anyhow::Error>((was_up?, backup?))
    })?;
    let up_again = comes_up(world);
    world.write("containers/backrest/.env", env)?;
    bridge::up(world)?;
    restic(world, &["unlock"])?.success()?;
    all_succeed(start)?;
    ensure!(!was_up, "expected that {} is down while the backup runs", stopped::NAME);
    backup.failure()?;
    up_again?;
    ensure!(snapshots(world)? == before, "expected no further snapshot");
    Ok(())
}

/// No hook reports the end of the backup: the listener alone has to start the service again.
fn comes_up(world: &World) -> Result<()> {
    let waited = world.wait_for("the service that was stopped is up again", || stopped::is_up(world));
    waited.with_context(|| {
        let log = world.read("containers/backrest/logs/listener.log").unwrap_or_default();
        let last = log.lines().rev().take(8).collect::<Vec<_>>().join("; ");
        format!("the listener's log, last line first: {last}")
    })
}

/// Ends the listener as a crash would.
fn kill_listener(world: &World) -> Result<()> {
    let process = listener_of(&world.at(""))?;
    kill(Pid::from_raw(process), Signal::SIGKILL).context("kill the listener")
}
