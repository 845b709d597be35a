//! The container's side: whether a container has the bridge mounted, runs, and reaches us with its client.
//!
//! Docker is asked as the user would ask it; where it is not there, or not allowed, that is reported.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
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
const RECREATE: &str = "docker compose up --detach --force-recreate";
const BY_HAND: &str = "see for yourself: docker exec backrest /bridge/backrest-send ping";

struct Container {
    id: String,
    /// Safe to show.
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
    let Some(first) = containers.first() else {
        let bridge = escape_path(places.layout.bridge());
        let fix = match compose_has_bridge(places) {
            true => up(places),
            false => format!(
                "add `- {bridge}:/bridge` to Backrest's compose.yaml, then docker compose up --detach"
            ),
        };
        return vec![Check::bad(NAME, "no container has the bridge mounted", fix)];
    };
    // One that does not run does not matter if another does: it may be left over from before.
    let running: Vec<_> = containers.iter().filter(|container| container.runs).collect();
    if running.is_empty() {
        let what = format!("{} has the bridge mounted, but does not run", first.name);
        return vec![Check::bad(NAME, what, up(places))];
    }
    running.into_iter().flat_map(|container| look_into(container, settings, places)).collect()
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
    let path = |text: &Value| text.as_str().map(PathBuf::from);
    let mounts = one["Mounts"].as_array()?.iter();
    let mounts = mounts.filter_map(|mount| Some((path(&mount["Source"])?, path(&mount["Destination"])?)));
    let mounts: Vec<_> = mounts.collect();
    let seen = |path: &Path| {
        let mount = mounts.iter().find(|(source, _)| source == path);
        mount.map(|(_, destination)| destination.to_string_lossy().into_owned())
    };
    Some(Container {
        id: one["Id"].as_str()?.into(),
        name: escape(one["Name"].as_str().unwrap_or_default().trim_start_matches('/').as_bytes()),
        runs: one["State"]["Running"].as_bool().unwrap_or_default(),
        folder: seen(&places.layout.bridge())?,
        pipe: seen(&places.layout.old_fifo()).or_else(|| seen(&places.layout.fifo())),
        mounts,
        version: Version::of_container(one),
    })
}

fn look_into(container: &Container, settings: &Settings, places: &Places) -> Vec<Check> {
    let Container { id, name, folder, .. } = container;
    let client = format!("{folder}/backrest-send");
    let mut checks = vec![match docker(&["exec", id, &client, "--timeout", "10s", "ping"]) {
        Ok(_) => Check::good(NAME, format!("the listener answers from within {name}")),
        Err(error) => {
            let what = format!("from within {name}: {}", common::exit::one_line(&error));
            Check::bad(NAME, what, format!("{RECREATE} (in {})", escape_path(places.layout.container_dir())))
        }
    }];
    if folder != bridge::MOUNT {
        let folder = escape(folder.as_bytes());
        let what = format!("{name} has the bridge at {folder}, where the hooks don't look");
        checks.push(Check::bad(NAME, what, "mount it at /bridge"));
    }
    checks.extend(container.pipe.as_ref().and_then(|pipe| same_fifo(container, pipe, places)));
    checks.push(sees(container, settings));
    checks
}

/// Whether it sees both roots where the ignore file's patterns and the plan's paths have them. The ignore file lies in
/// one of the two.
fn sees(container: &Container, settings: &Settings) -> Check {
    let (name, mount) = (&container.name, escape_path(&settings.mount));
    let mounts = || container.mounts.iter().map(|(source, target)| (source.as_path(), target.as_path()));
    match roots::mounts(settings).iter().find(|(here, there)| !roots::shows(mounts(), here, there)) {
        None => {
            Check::good(NAME, format!("{name} sees both roots, and with them the ignore file, below {mount}"))
        }
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
    let here = std::fs::symlink_metadata(places.layout.fifo()).ok()?.ino();
    // An image without a shell has no stat either; its hooks can't write to the FIFO anyway.
    let there = docker(&["exec", &container.id, "stat", "-c", "%i", pipe]).ok()?;
    let there: u64 = String::from_utf8_lossy(&there).trim().parse().ok()?;
    let (name, pipe) = (&container.name, escape(pipe.as_bytes()));
    if here == there {
        return Some(Check::good(NAME, format!("{name} has the FIFO that is listened to at {pipe}")));
    }
    let what = format!("{name} still has an older FIFO at {pipe}: what is written to it is lost");
    Some(Check::bad(NAME, what, RECREATE))
}

fn docker(arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new("docker");
    let limits = Limits::within(Duration::from_secs(30));
    process::capture(command.args(arguments), b"", limits, None).and_then(Captured::success)
}
