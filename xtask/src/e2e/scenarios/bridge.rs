//! The bridge as a running container sees it, and whether `create-backrest-pipe status` sees that too.
//!
//! What a reader gets wrong: a mounted folder shows what is made in it later, a FIFO that is mounted by itself stays
//! the one that it was when the container was made, and so does a folder that is removed and made again.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::images;
use super::super::ran::Ran;
use super::super::world::World;
use super::database::name_image;

const FOLDER: &str = "containers/backrest/bridge";
const FIFO: &str = "containers/backrest/bridge/backrest-pipe";
const OLD_FIFO: &str = "containers/backrest/backrest-pipe";

/// Starts the container that replaces Backrest before there is a bridge, with this repository's compose.yaml and the FIFO mounted
/// by itself as well, as compose files from before do.
pub(super) fn is_taken_over(world: &World) -> Result<()> {
    let file = fs::read_to_string(world.repository.join("compose.yaml")).context("read compose.yaml")?;
    let comment = "# - ${CONTAINER_DIR}/backrest-pipe:/backrest-pipe";
    ensure!(file.contains(comment), "expected in compose.yaml: {comment}");
    world.write("containers/backrest/compose.yaml", file.replace(comment, &comment[2..]))?;
    let (container_dir, data_dir) = (world.at("containers/backrest"), world.at("data/backrest"));
    let env = format!(
        "CONTAINER_DIR={}\nDATA_DIR={}\nUPTIME_KUMA_PUSH_URL={}\n",
        container_dir.display(),
        data_dir.display(),
        world.kuma.push_url()
    );
    world.write("containers/backrest/.env", env)?;
    name_image(world, "backrest", images::BACKREST)?;
    world.compose("backrest", &["up", "--detach"])?.success()?;
    for path in [FOLDER, OLD_FIFO] {
        ensure!(world.at(path).is_dir(), "expected a folder that Docker made: {path}");
    }
    world.create_backrest_pipe(&[])?.success()?;
    let is_fifo = fs::symlink_metadata(world.at(FIFO)).is_ok_and(|there| there.file_type().is_fifo());
    ensure!(is_fifo, "expected a FIFO: {FIFO}");
    let link = fs::read_link(world.at(OLD_FIFO)).context("read the link in place of the folder")?;
    ensure!(link.ends_with("bridge/backrest-pipe"), "expected a link to the FIFO, seen {}", link.display());
    // The folder is the one that the container has; in place of the FIFO it has a folder still.
    has_another_fifo(world)?;
    recreate(world)
}

pub(super) fn is_found(world: &World) -> Result<()> {
    let status = Status::ask(world)?;
    status.all_good()?;
    status.has("good", "the listener answers from within backrest", None)?;
    status.has("good", "backrest has the FIFO that is listened to at /backrest-pipe", None)
}

pub(super) fn fifo_is_made_again(world: &World) -> Result<()> {
    let before = inode(world, FIFO)?;
    world.remove(FIFO)?;
    world.wait_for("the listener makes the FIFO again", || {
        Ok(world.at(FIFO).exists() && inode(world, FIFO)? != before)
    })?;
    let seen =
        world.inside(&["stat", "-c", "%i", "/bridge/backrest-pipe", "/backrest-pipe"], b"")?.success()?;
    let expected = format!("{}\n{before}\n", inode(world, FIFO)?);
    if seen.stdout != expected {
        return seen.unexpected(format!("expected the inodes {}", expected.trim().replace('\n', " and ")));
    }
    world.script("containers/backrest/actions/mark", "#!/bin/sh\n: > ../../marked-\"$1\"\n")?;
    world.inside(&["sh"], b"echo mark fifo > /bridge/backrest-pipe\n")?.success()?;
    world.wait_for("a message through the new FIFO", || Ok(world.at("marked-fifo").exists()))?;
    has_another_fifo(world)?;
    recreate(world)?;
    Status::ask(world)?.all_good()?;
    world.inside(&["sh"], b"echo mark old > /backrest-pipe\n")?.success()?;
    world.wait_for("a message through /backrest-pipe", || Ok(world.at("marked-old").exists()))
}

pub(super) fn folder_is_made_again(world: &World) -> Result<()> {
    fs::remove_dir_all(world.at(FOLDER)).context("remove the bridge")?;
    world.create_backrest_pipe(&[])?.success()?;
    world.wait_for("the listener takes the new bridge", || {
        let client = world.at(FOLDER).join("backrest-send");
        Ok(client.exists() && world.run(world.command(client).arg("ping"))?.end.is_success())
    })?;
    Status::ask(world)?.has("bad", "from within backrest", Some("--force-recreate"))?;
    recreate(world)?;
    Status::ask(world)?.all_good()
}

pub(super) fn container_is_stopped(world: &World) -> Result<()> {
    world.compose("backrest", &["stop"])?.success()?;
    let status = Status::ask(world)?;
    status.ran.clone().code(1)?;
    status.has(
        "bad",
        "backrest has the bridge mounted, but does not run",
        Some("docker compose up --detach"),
    )?;
    world.compose("backrest", &["down"])?.success()?;
    let status = Status::ask(world)?;
    // compose.yaml has the mount already.
    status.has("bad", "no container has the bridge mounted", Some("docker compose up --detach"))?;
    up(world)?;
    Status::ask(world)?.all_good()
}

/// Starts Backrest's container where it does not run.
pub(super) fn up(world: &World) -> Result<()> {
    world.compose("backrest", &["up", "--detach"])?.success()?;
    Ok(())
}

/// The listener answers in the container, which has another FIFO mounted by itself.
fn has_another_fifo(world: &World) -> Result<()> {
    let status = Status::ask(world)?;
    status.has("good", "the listener answers from within backrest", None)?;
    status.has("bad", "older FIFO at /backrest-pipe", Some("--force-recreate"))
}

/// Follows the hint.
fn recreate(world: &World) -> Result<()> {
    world.compose("backrest", &["up", "--detach", "--force-recreate"])?.success()?;
    Ok(())
}

fn inode(world: &World, path: &str) -> Result<u64> {
    Ok(fs::symlink_metadata(world.at(path)).with_context(|| format!("look at: {path}"))?.ino())
}

/// What `create-backrest-pipe status` reports about containers.
struct Status {
    ran: Ran,
    checks: Vec<Value>,
}

impl Status {
    fn ask(world: &World) -> Result<Status> {
        let ran = world.create_backrest_pipe(&["status", "--json"])?;
        let Ok(report) = serde_json::from_str::<Value>(&ran.stdout) else {
            return ran.unexpected("expected one JSON object");
        };
        let checks = report["checks"].as_array().into_iter().flatten();
        let checks = checks.filter(|check| check["name"] == "container").cloned().collect();
        Ok(Status { ran, checks })
    }

    /// One of the lines is in that state, says `what`, and names a command that holds `fix`.
    fn has(&self, state: &str, what: &str, fix: Option<&str>) -> Result<()> {
        let holds = |value: &Value, text: &str| value.as_str().is_some_and(|value| value.contains(text));
        let found = self.checks.iter().any(|check| {
            check["state"] == state
                && holds(&check["what"], what)
                && fix.is_none_or(|fix| holds(&check["fix"], fix))
        });
        match found {
            true => Ok(()),
            false => {
                let fix = fix.map(|fix| format!(" → {fix}")).unwrap_or_default();
                self.ran.clone().unexpected(format!("expected of the container: {state}: {what}{fix}"))
            }
        }
    }

    fn all_good(&self) -> Result<()> {
        match !self.checks.is_empty() && self.checks.iter().all(|check| check["state"] == "good") {
            true => Ok(()),
            false => self.ran.clone().unexpected("expected that all is well with the container"),
        }
    }
}
