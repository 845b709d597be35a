//! A service with Redis, which takes its password from a configuration that compose.yaml pipes into it.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::super::images;
use super::super::ran::Ran;
use super::super::world::World;
use super::database::name_image;

const NAME: &str = "queue";
const COUNT: usize = 1000;

pub(super) fn is_dumped_and_loads(world: &World) -> Result<()> {
    let arguments = [NAME, "--image", images::APP, "--database", "redis"];
    world.tool("new-container", &arguments)?.success()?;
    name_image(world, NAME, images::REDIS)?;
    world.compose(NAME, &["up", "--detach"])?.success()?;
    wait_until_up(world)?;
    // The password is required, and it is in no argument list.
    world.compose(NAME, &["exec", "-T", "database", "redis-cli", "PING"])?.prints("NOAUTH")?;
    let env = world.read("containers/queue/.env")?;
    let password = env.lines().find_map(|line| line.strip_prefix("DB_PASSWORD=")).context("a password")?;
    world.compose(NAME, &["top"])?.success()?.prints("redis-server")?.does_not_print(password)?;

    let fill: String = (0..COUNT).map(|number| format!("SET key:{number} value-{number}\n")).collect();
    redis(world, &fill)?.success()?;
    world
        .tool("pre-backup-actions", &["--only", NAME])?
        .success()?
        .prints("1 ok")?
        .does_not_print(password)?;
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    let before = values(world)?;
    ensure!(before.contains("value-0\n") && before.lines().count() == COUNT, "expected {COUNT} values");

    // As a person restores it: the dump takes the place of the server's own file while the server is down.
    world.compose(NAME, &["kill", "database"])?.success()?;
    let own = world.at("data/queue/database/dump.rdb");
    fs::copy(world.at("data/queue/database.rdb"), own).context("put the dump in place")?;
    world.compose(NAME, &["start", "database"])?.success()?;
    wait_until_up(world)?;
    ensure!(values(world)? == before, "expected the values that were dumped");
    // A dump takes Redis five seconds, which the backups after this need not wait for each time.
    world.compose(NAME, &["down", "--timeout", "1"])?.success()?;
    world.remove("data/queue/prepare-backup.sh")
}

fn wait_until_up(world: &World) -> Result<()> {
    world.wait_for("Redis answers", || Ok(redis(world, "PING\n")?.stdout.trim() == "PONG"))
}

/// Passes commands to `redis-cli`, which knows the password from the container's environment.
fn redis(world: &World, commands: &str) -> Result<Ran> {
    let client = "REDISCLI_AUTH=\"$REDIS_PASSWORD\" exec redis-cli";
    world.compose_with_input(NAME, &["exec", "-T", "database", "sh", "-c", client], commands.as_bytes())
}

/// Every value, in the order of its key.
fn values(world: &World) -> Result<String> {
    let ask: String = (0..COUNT).map(|number| format!("GET key:{number}\n")).collect();
    Ok(redis(world, &ask)?.success()?.stdout)
}
