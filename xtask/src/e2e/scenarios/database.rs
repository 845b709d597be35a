//! Services with PostgreSQL and with Redis, from `new-container` to a dump that the gate has proved.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::super::images;
use super::super::ran::Ran;
use super::super::world::World;

const NAME: &str = "paperless";
const QUEUE: &str = "queue";
/// How many values Redis holds.
const COUNT: usize = 1000;
/// Where its script leaves the dump, below the home.
pub(super) const DUMP: &str = "data/paperless/database.sql.gz";
/// Every kind of character that a dump has to bring back.
const ROWS: &str = r"CREATE TABLE documents (id int PRIMARY KEY, title text, content bytea);
INSERT INTO documents SELECT n, repeat(md5(n::text), 10) || E' \\ '' \t\n ü', decode(md5(n::text), 'hex')
    FROM generate_series(1, 5000) n;
CREATE VIEW total AS SELECT count(*) FROM documents;
";

pub(super) fn starts(world: &World) -> Result<()> {
    let arguments = [NAME, "--image", images::APP, "--database", "postgres"];
    world.tool("new-container", &arguments)?.success()?;
    name_image(world, NAME, images::POSTGRES)?;
    world.compose(NAME, &["up", "--detach"])?.success()?;
    wait_until_up(world)?;
    sql(world, None, ROWS)?.success()?;
    ensure!(rows(world, None)?.lines().count() > 5000, "expected 5,000 rows in the database");
    Ok(())
}

pub(super) fn is_dumped(world: &World) -> Result<()> {
    let password = password_of(world, NAME)?;
    let ran = world.tool("pre-backup-actions", &["--only", NAME])?.success()?;
    ran.prints("1 ok")?.does_not_print(&password)?;
    ensure!(world.at(DUMP).is_file(), "expected a dump: {DUMP}");
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    Ok(())
}

pub(super) fn fails_without_compose(world: &World) -> Result<()> {
    let (plugins, away) = (world.at(".docker/cli-plugins"), world.at(".docker/away"));
    fs::rename(&plugins, &away).context("take the plugin away")?;
    let ran = world.tool("pre-backup-actions", &["--only", NAME]);
    fs::rename(&away, &plugins).context("put the plugin back")?;
    let ran = ran?;
    ensure!(!ran.end.is_success(), "expected that a dump fails without the Compose plugin");
    ran.prints("docker compose does not work: is the Compose plugin installed?")?.does_not_print("Usage:")?;
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    Ok(())
}

/// Tags `image` with the name of every image that the compose file of `service` names and that is not there.
pub(super) fn name_image(world: &World, service: &str, image: &str) -> Result<()> {
    let named = world.compose(service, &["config", "--images"])?.success()?;
    for name in named.stdout.lines() {
        if !world.docker(&["image", "inspect", name])?.end.is_success() {
            world.docker(&["tag", image, name])?.success()?;
        }
    }
    Ok(())
}

/// Waits until the database accepts its password.
pub(super) fn wait_until_up(world: &World) -> Result<()> {
    let answers = || Ok(sql(world, None, "SELECT 1;")?.end.is_success());
    match world.wait_for("PostgreSQL answers", answers) {
        Ok(()) => Ok(()),
        Err(error) => {
            world.compose(NAME, &["logs", "--tail", "20", "database"])?.unexpected(error.to_string())
        }
    }
}

/// Passes `text` to `psql`, in the database of that name or in the service's own.
pub(super) fn sql(world: &World, database: Option<&str>, text: &str) -> Result<Ran> {
    let psql = "PGPASSWORD=\"$POSTGRES_PASSWORD\" exec psql -X -q -v ON_ERROR_STOP=1 -U \"$POSTGRES_USER\" \
                -d \"${1:-$POSTGRES_DB}\"";
    let arguments = ["exec", "-T", "database", "sh", "-c", psql, "sh", database.unwrap_or_default()];
    world.compose_with_input(NAME, &arguments, text.as_bytes())
}

/// Everything that the database holds, as text.
pub(super) fn rows(world: &World, database: Option<&str>) -> Result<String> {
    let all = "COPY (SELECT * FROM documents ORDER BY id) TO STDOUT; SELECT * FROM total;";
    Ok(sql(world, database, all)?.success()?.stdout)
}

fn password_of(world: &World, service: &str) -> Result<String> {
    let env = world.read(&format!("containers/{service}/.env"))?;
    Ok(env.lines().find_map(|line| line.strip_prefix("DB_PASSWORD=")).context("a password")?.to_string())
}

/// A service with Redis, which takes its password from a configuration that compose.yaml pipes into it.
pub(super) fn redis_is_dumped_and_loads(world: &World) -> Result<()> {
    let arguments = [QUEUE, "--image", images::APP, "--database", "redis"];
    world.tool("new-container", &arguments)?.success()?;
    name_image(world, QUEUE, images::REDIS)?;
    world.compose(QUEUE, &["up", "--detach"])?.success()?;
    wait_until_redis_is_up(world)?;
    // The password is required, and it is in no argument list.
    world.compose(QUEUE, &["exec", "-T", "database", "redis-cli", "PING"])?.prints("NOAUTH")?;
    let password = password_of(world, QUEUE)?;
    world.compose(QUEUE, &["top"])?.success()?.prints("redis-server")?.does_not_print(&password)?;

    let fill: String = (0..COUNT).map(|number| format!("SET key:{number} value-{number}\n")).collect();
    redis(world, &fill)?.success()?;
    world
        .tool("pre-backup-actions", &["--only", QUEUE])?
        .success()?
        .prints("1 ok")?
        .does_not_print(&password)?;
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    let before = values(world)?;
    ensure!(before.contains("value-0\n") && before.lines().count() == COUNT, "expected {COUNT} values");

    // As a person restores it: the dump takes the place of the server's own file while the server is down.
    world.compose(QUEUE, &["kill", "database"])?.success()?;
    let own = world.at("data/queue/database/dump.rdb");
    fs::copy(world.at("data/queue/database.rdb"), own).context("put the dump in place")?;
    world.compose(QUEUE, &["start", "database"])?.success()?;
    wait_until_redis_is_up(world)?;
    ensure!(values(world)? == before, "expected the values that were dumped");
    // A dump takes Redis five seconds, which the backups after this need not wait for each time.
    world.compose(QUEUE, &["down", "--timeout", "1"])?.success()?;
    world.remove("data/queue/prepare-backup.sh")
}

fn wait_until_redis_is_up(world: &World) -> Result<()> {
    world.wait_for("Redis answers", || Ok(redis(world, "PING\n")?.stdout.trim() == "PONG"))
}

/// Passes commands to `redis-cli`, which knows the password from the container's environment.
fn redis(world: &World, commands: &str) -> Result<Ran> {
    let client = "REDISCLI_AUTH=\"$REDIS_PASSWORD\" exec redis-cli";
    world.compose_with_input(QUEUE, &["exec", "-T", "database", "sh", "-c", client], commands.as_bytes())
}

/// Every value, in the order of its key.
fn values(world: &World) -> Result<String> {
    let ask: String = (0..COUNT).map(|number| format!("GET key:{number}\n")).collect();
    Ok(redis(world, &ask)?.success()?.stdout)
}
