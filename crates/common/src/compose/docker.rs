//! The project as Docker Compose itself resolves it: `docker compose config`, which needs the client and its plugin, and no
//! engine.
//!
//! Its JSON has paths, variables, profiles and files resolved, and writes a `$` as `$$`. Remote files, which Compose would
//! fetch, are switched off.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{ComposeService, volumes, yaml};
use crate::process::{self, Captured, Limits};

/// A compose file that names what can't be read (a FIFO, a dead server) must not hold up a report.
const DEADLINE: Duration = Duration::from_secs(10);

/// The services of `folder`'s project. `None` if Docker Compose does not answer.
pub(super) fn services(folder: &Path) -> Option<BTreeMap<String, ComposeService>> {
    let mut command = Command::new("docker");
    command.args(["compose", "--profile", "*", "--project-directory"]).arg(folder);
    command.args(["config", "--format", "json"]).current_dir(folder);
    command.env("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "0").env("COMPOSE_EXPERIMENTAL_OCI_REMOTE", "0");
    let answer = process::capture(&mut command, b"", Limits::within(DEADLINE), None);
    let answer = answer.and_then(Captured::success).ok()?;
    // JSON is YAML.
    let node = yaml::parse(&String::from_utf8_lossy(&answer)).ok()?;
    let plain = |text: &str| Some(text.replace("$$", "$"));
    let volumes = volumes([&*node], &plain);
    let mut services = BTreeMap::new();
    for (name, service) in node.get("services")?.entries() {
        let mut found = ComposeService::default();
        found.add(service, &plain, folder, &volumes);
        services.insert(name.to_string(), found);
    }
    Some(services)
}
