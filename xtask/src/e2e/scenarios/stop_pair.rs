//! The pair of scripts that `new-container --stop` writes, with containers in every state that Docker knows.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::super::images;
use super::super::world::World;

const NAME: &str = "everything";
const CRASH: &str = "everything-crash-1";

/// `app` needs `database`; `torrent` lives in the network of `vpn`; `crash` ends as soon as it is started.
fn compose_file() -> String {
    let image = images::APP;
    format!(
        "services:
  app: {{image: {image}, network_mode: none, restart: unless-stopped, depends_on: [database]}}
  database: {{image: {image}, network_mode: none, restart: unless-stopped}}
  cron: {{image: {image}, network_mode: none, restart: unless-stopped}}
  crash: {{image: {image}, network_mode: none, restart: always, command: [sh, -c, 'exit 3']}}
  backup: {{image: {image}, network_mode: none, profiles: [extra]}}
  vpn: {{image: {image}, network_mode: none}}
  torrent: {{image: {image}, network_mode: 'service:vpn'}}
"
    )
}

/// Makes the service, starts all of it, and a second project from another file of its folder.
fn start(world: &World) -> Result<()> {
    world.tool("new-container", &[NAME, "--image", images::APP, "--stop"])?.success()?;
    world.write(&format!("containers/{NAME}/compose.yaml"), compose_file())?;
    let other = format!("services: {{other: {{image: {}, network_mode: none}}}}\n", images::APP);
    world.write(&format!("containers/{NAME}/other.yaml"), other)?;
    world.compose(NAME, &["--profile", "extra", "up", "--detach"])?.success()?;
    world
        .compose(NAME, &["--project-name", "second", "--file", "other.yaml", "up", "--detach"])?
        .success()?;
    Ok(())
}

fn remove(world: &World) -> Result<()> {
    world.compose(NAME, &["--profile", "*", "down"])?.success()?;
    world.compose(NAME, &["--project-name", "second", "--file", "other.yaml", "down"])?.success()?;
    remove_folders(world)
}

fn remove_folders(world: &World) -> Result<()> {
    for root in ["containers", "data"] {
        std::fs::remove_dir_all(world.at(root).join(NAME))?;
    }
    Ok(())
}

/// Each container is back in its state, whatever happens `between` the two steps.
pub(super) fn restores_each_state(world: &World, between: fn(&World) -> Result<()>) -> Result<()> {
    start(world)?;
    world.docker(&["pause", "everything-cron-1"])?.success()?;
    // Compose would start it again together with app.
    world.docker(&["stop", "everything-database-1"])?.success()?;
    world.wait_for("a container that restarts", || Ok(state_of(world, "crash")? == "restarting"))?;
    let mut before = states(world)?;
    // It is started, fails and waits in turn.
    before.insert(CRASH.into(), "restarting".into());

    world.tool("pre-backup-actions", &["--only", NAME])?.success()?;
    let stopped = states(world)?;
    ensure!(stopped.values().all(|state| state == "exited"), "expected nothing to run, seen {stopped:?}");
    between(world)?;
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    let mut after = states(world)?;
    ensure!(after[CRASH] != "exited", "expected that crash is started, seen {after:?}");
    after.insert(CRASH.into(), "restarting".into());
    ensure!(after == before, "expected the states {before:?}, seen {after:?}");
    remove(world)
}

/// The compose file is broken by hand between the two steps: Compose's own records do.
pub(super) fn needs_no_compose_file(world: &World) -> Result<()> {
    start(world)?;
    world.tool("pre-backup-actions", &["--only", NAME])?.success()?;
    world.write(&format!("containers/{NAME}/compose.yaml"), "services: [\n")?;
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    world.write(&format!("containers/{NAME}/compose.yaml"), compose_file())?;
    let state = state_of(world, "torrent")?;
    ensure!(state == "running", "expected that torrent runs in the network of vpn, seen {state}");
    remove(world)
}

pub(super) fn removed_is_done(world: &World) -> Result<()> {
    start(world)?;
    world.tool("pre-backup-actions", &["--only", NAME])?.success()?;
    world.compose(NAME, &["--profile", "*", "down"])?.success()?;
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    let after = states(world)?;
    ensure!(
        after == BTreeMap::from([("second-other-1".to_string(), "running".to_string())]),
        "expected that only what was not removed runs, seen {after:?}"
    );
    remove(world)
}

/// A container that Compose did not make from this folder writes to the service's data.
pub(super) fn fails_if_something_runs(world: &World) -> Result<()> {
    world.tool("new-container", &[NAME, "--image", images::APP, "--stop"])?.success()?;
    let mount = |mode: &str| format!("{}:/data{mode}", world.at(format!("data/{NAME}/data")).display());
    let run = ["run", "--detach", "--network", "none", "--name"];
    world.docker(&[&run[..], &["reader", "--volume", &mount(":ro"), images::APP]].concat())?.success()?;
    world.tool("pre-backup-actions", &["--only", NAME])?.success()?;
    world.docker(&[&run[..], &["writer", "--volume", &mount(""), images::APP]].concat())?.success()?;
    world.tool("pre-backup-actions", &["--only", NAME])?.code(1)?.prints("so not stopped, but writing")?;
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    world.docker(&["rm", "--force", "reader", "writer"])?.success()?;
    remove_folders(world)
}

fn state_of(world: &World, service: &str) -> Result<String> {
    Ok(states(world)?.remove(&format!("{NAME}-{service}-1")).unwrap_or_default())
}

/// The containers of the service's folder with their states.
fn states(world: &World) -> Result<BTreeMap<String, String>> {
    let folder = world.at(format!("containers/{NAME}"));
    let filter = format!("label=com.docker.compose.project.working_dir={}", folder.display());
    let list = world
        .docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}} {{.State}}"])?
        .success()?;
    let lines = list.stdout.lines().filter_map(|line| line.split_once(' '));
    Ok(lines.map(|(name, state)| (name.to_string(), state.to_string())).collect())
}
