//! The images that the scenarios run: no registry is asked. A root of Debian has the programs of all of them but of the
//! app's, which has busybox alone, as Alpine's has.
//!
//! They behave as the images whose names they are given later: PostgreSQL's makes its database from the variables of
//! compose.yaml when it first starts, and asks everyone for a password; Backrest's has a shell, restic and nothing
//! that knows of this host.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::world::World;
use crate::needs;

/// A program that does nothing until it gets a signal.
pub(super) const APP: &str = "e2e/app:1";
/// The container that replaces Backrest.
pub(super) const BACKREST: &str = "e2e/backrest:1";
pub(super) const POSTGRES: &str = "e2e/postgres:1";
pub(super) const REDIS: &str = "e2e/redis:1";
pub(super) const EMPTY: &str = "e2e/empty:1";

/// The first process of a container ignores TERM unless it handles it.
const WAIT: &str = "trap 'exit 0' TERM; sleep 86400 & wait";

const START_POSTGRES: &str = r#"set -eu
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
data=/var/lib/postgresql/18/docker
as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
mkdir -p "$data" /var/run/postgresql
chown postgres: /var/lib/postgresql /var/lib/postgresql/18 "$data" /var/run/postgresql
if [ ! -s "$data/PG_VERSION" ]; then
    (umask 077; printf %s "$POSTGRES_PASSWORD" > /tmp/password; chown postgres: /tmp/password)
    as_postgres initdb -D "$data" -U "$POSTGRES_USER" -A scram-sha-256 -E UTF8 --no-locale --no-sync \
        --pwfile=/tmp/password
    rm /tmp/password
    printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" | as_postgres postgres --single -D "$data" postgres
    echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
fi
exec setpriv --reuid postgres --regid postgres --clear-groups postgres -D "$data" -c listen_addresses='*' -c fsync=off
"#;

/// Makes all of them; `tools` holds the two roots, which are made once.
pub(super) fn make(world: &World, tools: &Path) -> Result<()> {
    let packages = ["postgresql", "redis-server", "restic"];
    let debian = needs::debian_root(tools, "root-e2e", "trixie", &packages, &world.cancel)?;
    let busybox = needs::busybox_root(tools, &world.cancel)?;
    world.folder("nothing")?;
    import(world, &world.beside("nothing"), EMPTY)?;
    import(world, &busybox, "e2e/busybox:1")?;
    import(world, &debian, "e2e/debian:1")?;
    for (name, base, start) in [
        (APP, "e2e/busybox:1", Some(WAIT)),
        (BACKREST, "e2e/debian:1", Some(WAIT)),
        (POSTGRES, "e2e/debian:1", Some(START_POSTGRES)),
        (REDIS, "e2e/debian:1", None),
    ] {
        let container = world.docker(&["create", base, "true"])?.success()?.stdout;
        let mut commit = vec!["commit".to_string()];
        commit.extend(start.iter().map(|start| format!("--change=CMD {}", json!(["sh", "-c", start]))));
        commit.extend([container.trim().to_string(), name.to_string()]);
        world.run(world.command("docker").args(commit))?.success()?;
        world.docker(&["rm", container.trim()])?.success()?;
    }
    Ok(())
}

fn import(world: &World, root: &Path, name: &str) -> Result<()> {
    let archive = world.beside("tmp/image.tar");
    let mut tar = world.command("tar");
    world
        .run(tar.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(root).arg("."))?
        .success()?;
    world.run(world.command("docker").arg("import").arg(&archive).arg(name))?.success()?;
    fs::remove_file(&archive).context("remove the archive of an image")
}
