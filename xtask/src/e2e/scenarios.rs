//! The scenarios, in their order: each continues from the state the one before it left.

mod backup;
mod bridge;
mod container;
mod database;
mod faults;
mod stop_pair;
mod stopped;
mod verify;

use anyhow::Result;

use super::engine;
use super::hooks::Firing;
use super::world::World;

/// What holds, as a sentence, and what shows it.
pub(super) type Scenario = (&'static str, fn(&World) -> Result<()>);

pub(super) const ALL: &[Scenario] = &[
    ("a new service with PostgreSQL starts as new-container wrote it", database::starts),
    ("its prepare-backup.sh dumps it through docker compose exec", database::is_dumped),
    ("without the Compose plugin its script fails with one line", database::fails_without_compose),
    ("a Redis with a password starts, is dumped, and its dump loads", database::redis_is_dumped_and_loads),
    ("a new service has its port, and joins a network that exists", container::joins_a_network),
    ("a service made with --stop is stopped before and started after", stopped::is_stopped_and_started),
    ("one that was down stays down", stopped::stays_down),
    (
        "the stop pair: running, paused, restarting, profiles, other projects, each back in its own state",
        |world| stop_pair::restores_each_state(world, |_| Ok(())),
    ),
    (
        "the stop pair: after a restart of the engine each is back in its own state",
        // What has to run again, and in which state, is on the disk.
        |world| stop_pair::restores_each_state(world, |world| engine::start(world).map(drop)),
    ),
    ("the stop pair: with a compose file that was broken in between", stop_pair::needs_no_compose_file),
    ("the stop pair: a container that was removed in between is done", stop_pair::removed_is_done),
    ("the stop pair: what it can't stop fails the step", stop_pair::fails_if_something_runs),
    ("folders that Docker made in place of the bridge are taken over", bridge::is_taken_over),
    ("status finds the bridge in the running container", bridge::is_found),
    ("the container has every mount, and can't change what is backed up", container::has_its_mounts),
    ("a hook for sh waits, sees the output and the exit code", backup::hook_for_sh),
    ("a whole backup, from START to END", backup::is_made),
    ("restored, it is byte for byte what git keeps", backup::is_what_git_keeps),
    ("the restored dump loads into a fresh database, row by row", backup::dump_loads),
    (
        "verify proves the last backup as a user who is not root, and finds a file that is missing",
        verify::proves_the_last_backup,
    ),
    ("the database is down: no backup, services up again, monitor down", |world| {
        faults::database_is_down(world, Firing::From1_11)
    }),
    ("the same with a Backrest before 1.11, which fires nothing: services up again, monitor down", |world| {
        faults::database_is_down(world, Firing::Before1_11)
    }),
    ("restic fails: services up again, monitor down", faults::restic_fails),
    (
        "some files can't be read: services up again, monitor down, with each Backrest's way of firing",
        faults::files_are_missing,
    ),
    ("the listener is killed: the hook ends at once, services up again", faults::listener_is_killed),
    ("the container is killed during a backup: services up again", faults::container_is_killed),
    ("a FIFO that is made again: /bridge follows, a mount of its own does not", bridge::fifo_is_made_again),
    ("a bridge that is made again: status reports that the container lost it", bridge::folder_is_made_again),
    ("a container that is stopped: status reports it", bridge::container_is_stopped),
    ("an image with nothing in it reaches the host", container::reaches_the_host),
];
