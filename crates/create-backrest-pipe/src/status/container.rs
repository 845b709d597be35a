//! The container's side: whether a container has the bridge mounted, runs, and reaches us with its client.
//!
//! Docker is asked as the user would ask it; where it is not there, or not allowed, that is reported.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use common::contract::status::Check;
use common::process::{self, Captured, Limits};
use common::settings::Settings;
use common::text::{escape, escape_path};
use serde_json::Value;

use super::version::Version;
use crate::places::{Places, compose_has_bridge};
use crate::roots;

const NAME: &str = "container";
const BY_HAND: &str = "see for yourself: docker exec backrest /bridge/backrest-send ping";

struct Container {
    id: String,
    name: String,
    runs: bool,
    folder: String,
    /// Where it sees the FIFO by itself, if it does.
    pipe: Option<String>,
    /// The folders of the host that it sees, each with where.
    mounts: Vec<(PathBuf, PathBuf)>,
    version: Option<Version>,
}

/// The checks, and the version of the Backrest that runs if its container names it.
pub(super) fn checks(settings: &Settings, places: &Places) -> (Vec<Check>, Option<Version>) {
    let containers = match containers(places) {
        Ok(containers) => containers,
        Err(error) => return (vec![not_looked_at(&common::exit::one_line(&error))], None),
    };
    let version = containers.iter().find(|container| container.runs).and_then(|container| container.version);
    let mut checks = of_all(&containers, settings, places);
    checks.extend(compose_plugin());
    (checks, version)
}

/// Whether `docker compose` works, which scripts that stop or dump a service call. One line if it does not.
fn compose_plugin() -> Option<Check> {
    docker(&["compose", "version"]).err().map(|_| {
        let what = "docker compose does not work: scripts that stop or dump a service with it fail";
        Check::bad(NAME, what, "install Docker's Compose plugin, then: docker compose version")
    })
}

fn of_all(containers: &[Container], settings: &Settings, places: &Places) -> Vec<Check> {
    // One that does not run does not matter if another does: it may be left over from before.
    let running: Vec<_> = containers.iter().filter(|container| container.runs).collect();
    match (running.as_slice(), containers.first()) {
        ([], None) => {
            let bridge = escape_path(places.layout.bridge());
            vec![Check::bad(
                NAME,
                "no container has the bridge mounted",
                match compose_has_bridge(places) {
                    true => up(places),
                    false => format!(
                        "add `- {bridge}:/bridge` to Backrest's compose.yaml, then docker compose up --detach"
                    ),
                },
            )]
        }
        ([], Some(stopped)) => vec![Check::bad(
            NAME,
            format!("{} has the bridge mounted, but does not run", escape(stopped.name.as_bytes())),
            up(places),
        )],
        (running, _) => {
            let look = |container: &&Container| {
                look_into(container, places).into_iter().chain([sees(container, settings)])
            };
            running.iter().flat_map(look).collect()
        }
    }
}

fn up(places: &Places) -> String {
    format!("docker compose up --detach (in {})", escape_path(places.layout.container_dir()))
}

/// Whether the engine runs and may be asked is seen at its socket.
fn not_looked_at(why: &str) -> Check {
    let fix = match connect().map_err(|error| error.kind()) {
        Err(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Check::bad(NAME, format!("Docker does not run: {why}"), "sudo systemctl start docker");
        }
        Err(ErrorKind::PermissionDenied) => "sudo usermod --append --groups docker $USER, then log in again",
        _ => BY_HAND,
    };
    Check::unknown(NAME, format!("not checked: {why}"), fix)
}

/// Connects to the socket that `docker` uses. Succeeds too if that is not known to be one of this host.
fn connect() -> io::Result<()> {
    let asked = docker(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).unwrap_or_default();
    match String::from_utf8_lossy(&asked).trim().strip_prefix("unix://") {
        Some(socket) => UnixStream::connect(socket).map(drop),
        None => Ok(()),
    }
}

fn containers(places: &Places) -> Result<Vec<Container>> {
    let listed = docker(&["ps", "--all", "--quiet", "--no-trunc"])?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let ids: Vec<&str> = listed.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let inspected: Value = serde_json::from_slice(&docker(&[&["inspect"], ids.as_slice()].concat())?)?;
    let all = inspected.as_array().cloned().unwrap_or_default();
    Ok(all.iter().filter_map(|one| container_of(one, places)).collect())
}

fn container_of(one: &Value, places: &Places) -> Option<Container> {
    let mounts = one["Mounts"].as_array()?;
    let path = |text: &Value| text.as_str().map(PathBuf::from);
    let mounts: Vec<_> = mounts
        .iter()
        .filter_map(|mount| Some((path(&mount["Source"])?, path(&mount["Destination"])?)))
        .collect();
    let seen = |path: &Path| {
        let mount = mounts.iter().find(|(source, _)| source == path);
        mount.map(|(_, destination)| destination.to_string_lossy().into_owned())
    };
    Some(Container {
        id: one["Id"].as_str()?.into(),
        name: one["Name"].as_str().unwrap_or_default().trim_start_matches('/').into(),
        runs: one["State"]["Running"].as_bool().unwrap_or_default(),
        folder: seen(&places.layout.bridge())?,
        pipe: seen(&places.layout.old_fifo()).or_else(|| seen(&places.layout.fifo())),
        mounts,
        version: Version::of_container(one),
    })
}

fn look_into(container: &Container, places: &Places) -> Vec<Check> {
    let name = escape(container.name.as_bytes());
    let client = format!("{}/backrest-send", container.folder);
    let mut checks = vec![match docker(&["exec", &container.id, &client, "--timeout", "10s", "ping"]) {
        Ok(_) => Check::good(NAME, format!("the listener answers from within {name}")),
        Err(error) => Check::bad(
            NAME,
            format!("from within {name}: {}", common::exit::one_line(&error)),
            format!(
                "docker compose up --detach --force-recreate (in {})",
                escape_path(places.layout.container_dir())
            ),
        ),
    }];
    if container.folder != bridge::MOUNT {
        checks.push(Check::bad(
            NAME,
            format!(
                "{name} has the bridge at {}, where the hooks don't look",
                escape(container.folder.as_bytes())
            ),
            "mount it at /bridge",
        ));
    }
    checks.extend(container.pipe.as_ref().and_then(|pipe| same_fifo(container, pipe, places)));
    checks
}

/// Whether it sees both roots where the ignore file's patterns and the plan's paths have them. The ignore file lies in
/// one of the two.
fn sees(container: &Container, settings: &Settings) -> Check {
    let name = escape(container.name.as_bytes());
    let mounts = || container.mounts.iter().map(|(source, target)| (source.as_path(), target.as_path()));
    match roots::mounts(settings).iter().find(|(here, there)| !roots::shows(mounts(), here, there)) {
        None => Check::good(
            NAME,
            format!(
                "{name} sees both roots, and with them the ignore file, below {}",
                escape_path(&settings.mount)
            ),
        ),
        Some((here, there)) => {
            let (here, there) = (escape_path(here), escape_path(there));
            let fix = format!(
                "add `- {here}:{there}:ro` to Backrest's compose.yaml, then docker compose up --detach"
            );
            Check::bad(NAME, format!("{name} does not see {here} at {there}"), fix)
        }
    }
}

/// A FIFO that is mounted by itself stays the one it was when the container was made.
fn same_fifo(container: &Container, pipe: &str, places: &Places) -> Option<Check> {
    use std::os::unix::fs::MetadataExt;
    let here = std::fs::symlink_metadata(places.layout.fifo()).ok()?.ino();
    // An image without a shell has no stat either; its hooks can't write to the FIFO anyway.
    let there = docker(&["exec", &container.id, "stat", "-c", "%i", pipe]).ok()?;
    let there: u64 = String::from_utf8_lossy(&there).trim().parse().ok()?;
    let name = escape(container.name.as_bytes());
    Some(if here == there {
        Check::good(NAME, format!("{name} has the FIFO that is listened to at {}", escape(pipe.as_bytes())))
    } else {
        Check::bad(
            NAME,
            format!(
                "{name} still has an older FIFO at {}: what is written to it is lost",
                escape(pipe.as_bytes())
            ),
            "docker compose up --detach --force-recreate",
        )
    })
}

fn docker(arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new("docker");
    let limits = Limits::within(Duration::from_secs(30));
    process::capture(command.args(arguments), b"", limits, None).and_then(Captured::success)
}
