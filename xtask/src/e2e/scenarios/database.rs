//! A service with PostgreSQL, from `new-container` to a dump that the gate has proved.

use anyhow::{Context, Result, ensure};

use super::super::images;
use super::super::ran::Ran;
use super::super::world::World;

const NAME: &str = "paperless";
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
    let env = world.read("containers/paperless/.env")?;
    let password = env.lines().find_map(|line| line.strip_prefix("DB_PASSWORD=")).context("a password")?;
    let ran = world.tool("pre-backup-actions", &["--only", NAME])?.success()?;
    ran.prints("1 ok")?.does_not_print(password)?;
    ensure!(world.at(DUMP).is_file(), "expected a dump: {DUMP}");
    world.tool("pre-backup-actions", &["--after"])?.success()?;
    Ok(())
}

pub(super) fn fails_without_compose(world: &World) -> Result<()> {
    let (plugins, away) = (world.at(".docker/cli-plugins"), world.at(".docker/away"));
    std::fs::rename(&plugins, &away).context("take the plugin away")?;
    let ran = world.tool("pre-backup-actions", &["--only", NAME]);
    std::fs::rename(&away, &plugins).context("put the plugin back")?;
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
