//! The bridge as a running container sees it, and whether `create-backrest-pipe status` sees that too.
//!
//! What a reader gets wrong: a mounted folder shows what is made in it later, a FIFO that is mounted by itself stays
//! the one that it was when the container was made, and so does a folder that is removed and made again.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use anyhow::{Context, Result, ensure};
use common::contract::status::{Check, CheckState, Fix, StatusReport};

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
    let status = Containers::ask(world)?;
    status.all_good()?;
    status.has(CheckState::Good, "the listener answers from within backrest", None)?;
    status.has(CheckState::Good, "backrest has the FIFO that is listened to at /backrest-pipe", None)
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
    Containers::ask(world)?.all_good()?;
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
    Containers::ask(world)?.has(CheckState::Bad, "from within backrest", Some("--force-recreate"))?;
    recreate(world)?;
    Containers::ask(world)?.all_good()
}

pub(super) fn container_is_stopped(world: &World) -> Result<()> {
    world.compose("backrest", &["stop"])?.success()?;
    let status = Containers::ask(world)?;
    status.ran.clone().code(1)?;
    status.has(
        CheckState::Bad,
        "backrest has the bridge mounted, but does not run",
        Some("docker compose up --detach"),
    )?;
    world.compose("backrest", &["down"])?.success()?;
    let status = Containers::ask(world)?;
    // compose.yaml has the mount already.
    status.has(CheckState::Bad, "no container has the bridge mounted", Some("docker compose up --detach"))?;
    up(world)?;
    Containers::ask(world)?.all_good()
}

/// Starts Backrest's container where it does not run.
pub(super) fn up(world: &World) -> Result<()> {
    world.compose("backrest", &["up", "--detach"])?.success()?;
    Ok(())
}

/// The listener answers in the container, which has another FIFO mounted by itself.
fn has_another_fifo(world: &World) -> Result<()> {
    let status = Containers::ask(world)?;
    status.has(CheckState::Good, "the listener answers from within backrest", None)?;
    status.has(CheckState::Bad, "older FIFO at /backrest-pipe", Some("--force-recreate"))
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
struct Containers {
    ran: Ran,
    checks: Vec<Check>,
}

impl Containers {
    fn ask(world: &World) -> Result<Containers> {
        let ran = world.create_backrest_pipe(&["status", "--json"])?;
        let Ok(StatusReport { mut checks, .. }) = serde_json::from_str(&ran.stdout) else {
            return ran.unexpected("expected one JSON object");
        };
        checks.retain(|check| check.name == "container");
        Ok(Containers { ran, checks })
    }

    /// One of the lines is in that state, reports `what`, and names a command that holds `fix`.
    fn has(&self, state: CheckState, what: &str, fix: Option<&str>) -> Result<()> {
        let found = self.checks.iter().any(|check| {
            let shown = check.fix.as_ref().map_or("", Fix::text);
            check.state == state && check.what.contains(what) && fix.is_none_or(|fix| shown.contains(fix))
        });
        match found {
            true => Ok(()),
            false => {
                let fix = fix.map(|fix| format!(" → {fix}")).unwrap_or_default();
                self.ran.clone().unexpected(format!("expected of the container: {state:?}: {what}{fix}"))
            }
        }
    }

    fn all_good(&self) -> Result<()> {
        match !self.checks.is_empty() && self.checks.iter().all(|check| check.state == CheckState::Good) {
            true => Ok(()),
            false => self.ran.clone().unexpected("expected that all is well with the container"),
        }
    }
}
