//! The last backup, proved by a user who is not root and has neither restic nor a password. Beside the container runs
//! the API that the tests use; each of its commands runs restic in the container.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::contract::verification::{Fault, FaultKind, Verification};

use super::super::hooks::{Hooks, RESTIC};
use super::super::ran::all_succeed;
use super::super::world::World;
use crate::backrest_api::server::Server;

/// Who verifies.
const USER: &str = "65534";
/// What is older than this when the backup begins has to be in it.
const OLD_ENOUGH: Duration = Duration::from_millis(3200);

pub(super) fn proves_the_last_backup(world: &World) -> Result<()> {
    // Not "restic" in PATH: the user has none.
    let restic = world.beside("restic-in-container");
    let words = RESTIC.iter().filter(|word| **word != "--quiet").copied().collect::<Vec<_>>().join(" ");
    let script = format!(
        "#!/bin/sh\nPATH=/usr/bin:/bin:/usr/local/bin\nexport PATH\nexec docker --host {} exec backrest \\\n  \
         env RESTIC_PASSWORD=e2e {words} \"$@\"\n",
        world.docker_host()
    );
    fs::write(&restic, script).context("write a script")?;
    // The roots may be read by anyone, what services and Backrest keep private in them may not.
    for path in [world.beside(""), world.at(""), restic.clone()] {
        fs::set_permissions(&path, Permissions::from_mode(0o755)).context("set a mode")?;
    }
    let own = world.beside("verifier");
    fs::create_dir_all(own.join("backrest")).context("make a folder")?;
    fs::copy(world.at("containers/backrest/.env"), own.join("backrest/.env")).context("copy .env")?;
    let mut chown = world.command("chown");
    world.run(chown.args(["-R", USER]).arg(&own))?.success()?;

    let hooks = Hooks::printed(world)?;
    let api = world.beside("api");
    fs::create_dir_all(&api).context("make a folder")?;
    let paths = ["/userdata/data", "/userdata/containers"].map(Path::new);
    let server = Server::start(&restic, &api, &paths, &hooks.hooks);

    std::thread::sleep(OLD_ENOUGH);
    back_up(world, &hooks, &server, &[])?;
    let found = verify(world, &server, &own, 0)?;
    let total = found.total();
    ensure!(found.faults.is_empty() && total.in_snapshot > 15, "expected no fault, seen {found:#?}");
    ensure!(total.dumps > 0 && total.dumps_proved == total.dumps, "expected proved dumps, seen {total:?}");
    ensure!(total.sample > 5 && total.sample_same == total.sample, "expected a sample, seen {total:?}");

    // No rule of an ignore file takes it back in: restic reads its excludes and the file as one list.
    back_up(world, &hooks, &server, &["--exclude=/userdata/data/photos/-dash"])?;
    let found = verify(world, &server, &own, 1)?;
    let is_missing = |fault: &Fault| {
        fault.kind == FaultKind::Missing
            && fault.path.as_ref().is_some_and(|path| path.ends_with("photos/-dash"))
    };
    ensure!(
        found.faults.len() == 1 && found.faults.iter().all(is_missing),
        "expected one missing file, seen {:#?}",
        found.faults
    );
    Ok(())
}

fn back_up(world: &World, hooks: &Hooks, server: &Server, more: &[&str]) -> Result<()> {
    let flags: Vec<&str> = hooks.flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let mut start = Ok(Vec::new());
    server.back_up(&flags, || start = hooks.fire(world, &["SNAPSHOT_START"], ""));
    all_succeed(start?)?;
    all_succeed(hooks.fire(world, &["SNAPSHOT_END"], "")?)
}

/// Verifies as that user, whose own folder is Backrest's for what is written.
fn verify(world: &World, server: &Server, own: &Path, code: i32) -> Result<Verification> {
    let mut command = world.command("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    command.args(["--inh-caps=-all", "--bounding-set=-all"]);
    command.arg(world.at(".local/bin/create-backrest-pipe")).args(["verify", "--json", "--plan", "nightly"]);
    command.arg("--backrest").arg(&server.address).arg("--container-dir").arg(own.join("backrest"));
    command.env("TMPDIR", own).env("USER", USER);
    let ran = world.run(&mut command)?.code(code)?;
    serde_json::from_str(&ran.stdout).context("read the result")
}
