//! The images that the scenarios run, made of what this machine has: no registry is asked.
//!
//! They behave as the images whose names they are given later: PostgreSQL's makes its database from the variables of
//! compose.yaml when it first starts, and asks everyone for a password; Backrest's has a shell, restic and nothing
//! that knows of this host.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;

use super::image_files::{ImageFiles, program};
use super::world::World;

/// A program that does nothing until it gets a signal.
pub(super) const APP: &str = "e2e/app:1";
/// The container that replaces Backrest.
pub(super) const BACKREST: &str = "e2e/backrest:1";
/// A PostgreSQL server.
pub(super) const POSTGRES: &str = "e2e/postgres:1";
/// A Redis server.
pub(super) const REDIS: &str = "e2e/redis:1";
/// An image with nothing in it.
pub(super) const EMPTY: &str = "e2e/empty:1";

/// The first process of a container ignores TERM unless it handles it.
const WAIT: &str = r#"CMD ["sh", "-c", "trap 'exit 0' TERM; sleep 86400 & wait"]"#;

const START_POSTGRES: &str = r#"set -eu
data=/var/lib/postgresql/18/docker
as_postgres() { run-as --reuid 70 --regid 70 --clear-groups "$@"; }
mkdir -p "$data" /var/run/postgresql
chown 70:70 /var/lib/postgresql /var/lib/postgresql/18 "$data" /var/run/postgresql
if [ ! -s "$data/PG_VERSION" ]; then
    (umask 077; printf %s "$POSTGRES_PASSWORD" > /tmp/password; chown 70:70 /tmp/password)
    as_postgres initdb -D "$data" -U "$POSTGRES_USER" -A scram-sha-256 -E UTF8 --no-locale --no-sync \
        --pwfile=/tmp/password
    rm /tmp/password
    printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" | as_postgres postgres --single -D "$data" postgres
    echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
fi
exec run-as --reuid 70 --regid 70 --clear-groups postgres -D "$data" -c listen_addresses='*' -c fsync=off
"#;

/// Makes all of them.
pub(super) fn make(world: &World, restic: &Path) -> Result<()> {
    ImageFiles::with_shell(world)?.import(APP, &[WAIT]).context("make the image of an app")?;
    let mut files = ImageFiles::with_shell(world)?;
    files.copy(restic, "bin/restic")?;
    files.import(BACKREST, &[WAIT]).context("make the image of Backrest")?;
    let mut files = ImageFiles::with_shell(world)?;
    for name in ["redis-cli", "redis-server"] {
        files.copy(&program(name)?, &format!("bin/{name}"))?;
    }
    files.import(REDIS, &["EXPOSE 6379"]).context("make the image of Redis")?;
    ImageFiles::empty(world)?.import(EMPTY, &[]).context("make the image with nothing in it")?;
    postgres(world).context("make the image of PostgreSQL")
}

fn postgres(world: &World) -> Result<()> {
    let server = newest_server()?;
    let version = server.file_name().context("a version without a name")?.to_os_string();
    let mut files = ImageFiles::with_shell(world)?;
    // Under a name of its own: busybox has one that can do less, and its shell prefers that.
    files.copy(&program("setpriv")?, "bin/run-as")?;
    for name in ["initdb", "pg_dump", "pg_isready", "postgres", "psql"] {
        let path = server.join("bin").join(name);
        files.libraries_of(&path)?;
        files.take(&path);
    }
    for entry in WalkDir::new(server.join("lib")).into_iter().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy();
        // What compiles queries needs a whole compiler; the server does without where it is not there.
        if name.ends_with(".so") && !name.starts_with("llvmjit") {
            files.libraries_of(entry.path())?;
            files.take(entry.path());
        }
    }
    files.take(&Path::new("/usr/share/postgresql").join(&version));
    files.text("start", START_POSTGRES)?;
    let path = format!("ENV PATH={}/bin:/bin", server.display());
    files.import(POSTGRES, &[&path, r#"CMD ["sh", "/start"]"#])
}

/// Debian keeps the programs of each version of the server in a folder of its own.
fn newest_server() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").context("find PostgreSQL")?.flatten();
    let mut found: Vec<_> =
        versions.map(|entry| entry.path()).filter(|path| path.join("bin/postgres").exists()).collect();
    found.sort();
    found.pop().context("find PostgreSQL's server below /usr/lib/postgresql")
}
