//! The files of a new Backrest: `compose.yaml`, `.env`, and by `build-ignore` the exclude file and the rules that leave
//! the tools' own files out. A file that exists is left as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use common::compose;
use common::paths;
use common::process::{self, Captured, Limits};
use common::settings::Settings;
use common::text::escape_path;

use crate::folder;
use crate::inspect::entry;
use crate::roots;
use crate::work::{Complaint, Verb, Work};

/// The compose file that the project offers.
const COMPOSE: &str = include_str!("../../../../compose.yaml");
/// The files and folders.
pub(crate) struct Files<'a> {
    settings: &'a Settings,
    /// Each folder with its mode, outermost first.
    folders: Vec<PathBuf>,
    /// A symlink at which the tools look for their settings, and where it leads.
    link: Option<(PathBuf, PathBuf)>,
    env: String,
    compose: String,
}

impl Files<'_> {
    /// What these settings need.
    pub(crate) fn of(settings: &Settings) -> Result<Files<'_>> {
        let home = paths::home()?;
        let usual = home.join("containers/backrest");
        let link = (settings.container_dir != usual).then(|| (usual.clone(), settings.container_dir.clone()));
        let mut folders = vec![settings.container_root.clone(), settings.data_root.clone()];
        folders.extend(link.as_ref().and_then(|(path, _)| path.parent().map(Path::to_path_buf)));
        // Where compose.yaml mounts local repositories from.
        folders.push(home.join("backups"));
        folders.dedup();
        Ok(Files { settings, folders, link, env: env_of(settings, &home), compose: compose_of(settings) })
    }

    /// Makes the folders, and the link.
    pub(crate) fn folders(&self, work: &mut Work) -> Result<()> {
        let user = nix::unistd::geteuid().as_raw();
        for folder in &self.folders {
            folder::make(&entry::look(folder)?, user, 0o755, work)?;
        }
        if let Some((path, target)) = &self.link {
            if fs::symlink_metadata(path).is_err() {
                let what = format!("{} to {}", escape_path(path), escape_path(target));
                work.step(Verb::Link, what, || {
                    let naming = || format!("link: {}", escape_path(path));
                    std::os::unix::fs::symlink(target, path).with_context(naming)
                })?;
            }
        }
        Ok(())
    }

    /// Writes the files, and builds the exclude file.
    pub(crate) fn write(&self, work: &mut Work) -> Result<()> {
        let own = &self.settings.container_dir;
        write_new(&own.join(".env"), &self.env, 0o600, work)?;
        match compose::read(own).files.is_empty() {
            true => write_new(&own.join("compose.yaml"), &self.compose, 0o644, work)?,
            false => self.complain_of_compose(work),
        }
        if fs::symlink_metadata(&self.settings.ignore_file).is_err() {
            let what = "build-ignore, which writes the ignore file and .resticignore in Backrest's folders";
            work.step(Verb::Run, what, || {
                let mut command = self.settings.command("build-ignore", &[]);
                let limits = Limits::within(Duration::from_secs(600));
                process::capture(&mut command, b"", limits, None).and_then(Captured::success).map(drop)
            })?;
        }
        Ok(())
    }

    /// A compose file that was there may lack what the tools need.
    fn complain_of_compose(&self, work: &mut Work) {
        let own = &self.settings.container_dir;
        let mut needed = roots::mounts(self.settings);
        needed.push((self.settings.layout().bridge(), PathBuf::from(bridge::MOUNT)));
        let project = compose::read(own);
        let mounts: Vec<_> = project.services.values().flat_map(|service| &service.mounts).collect();
        for (host, target) in needed {
            let has = |mount: &&compose::Mount| {
                let compose::Source::Host(source) = &mount.source else { return false };
                let real = (roots::real(&host), roots::real(source));
                real.0.strip_prefix(real.1).is_ok_and(|rest| mount.target.join(rest) == target)
            };
            if !mounts.iter().any(has) {
                let file = project.files.first().map(escape_path).unwrap_or_default();
                let mode = if target == Path::new(bridge::MOUNT) { "" } else { ":ro" };
                let (host, target) = (escape_path(&host), escape_path(&target));
                work.complaints.push(Complaint::warning(
                    format!("{file}, which was there, does not mount {host} at {target}"),
                    format!("below `volumes:` add  - {host}:{target}{mode}"),
                ));
            }
        }
    }
}

fn write_new(path: &Path, text: &str, mode: u32, work: &mut Work) -> Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    work.step(Verb::Write, escape_path(path), || common::atomic::create_new(path, text.as_bytes(), mode))
}

/// The settings that Compose and the tools read.
fn env_of(settings: &Settings, home: &Path) -> String {
    let mut lines =
        vec![("CONTAINER_DIR", settings.container_dir.clone()), ("DATA_DIR", settings.data_dir.clone())];
    if settings.container_root != home.join("containers") {
        lines.push(("CONTAINER_ROOT", settings.container_root.clone()));
    }
    if settings.data_root != home.join("data") {
        lines.push(("DATA_ROOT", settings.data_root.clone()));
    }
    lines.push(("TZ", PathBuf::from(time_zone())));
    let quoted = |path: &Path| {
        let text = path.to_string_lossy();
        let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b));
        if is_plain { text.into_owned() } else { format!("'{}'", text.replace('\'', "\\'")) }
    };
    let mut text = String::from(
        "# Settings of Backrest's compose.yaml and of the tools on the host. Only you may read it: a push address is a\n\
         # secret.\n",
    );
    for (name, value) in lines {
        text += &format!("{name}={}\n", quoted(&value));
    }
    text + "# UPTIME_KUMA_PUSH_URL=https://kuma.example/api/push/TOKEN\n"
}

/// The host's time zone.
fn time_zone() -> String {
    let named = std::env::var("TZ").ok().filter(|zone| zone.contains('/') && !zone.starts_with([':', '/']));
    let linked = fs::read_link("/etc/localtime").ok();
    let linked = linked.and_then(|path| {
        let text = path.to_str()?.to_string();
        Some(text.split_once("zoneinfo/")?.1.to_string())
    });
    named.or(linked).unwrap_or_else(|| "Etc/UTC".into())
}

/// The compose file for these roots: one tree is one mount.
fn compose_of(settings: &Settings) -> String {
    let mounts = roots::mounts(settings);
    let is_left_out = |line: &str| {
        let of = |name: &str| line.trim_start().starts_with(&format!("- ${{{name}:-"));
        let has = |name: &str| mounts.iter().any(|(_, place)| *place == settings.mount.join(name));
        of("DATA_ROOT") && !has("data") || of("CONTAINER_ROOT") && !has("containers")
    };
    COMPOSE.lines().filter(|line| !is_left_out(line)).fold(String::new(), |text, line| text + line + "\n")
}
