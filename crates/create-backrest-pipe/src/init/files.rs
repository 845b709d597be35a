//! The files of a new Backrest: `compose.yaml`, `.env`, and by `build-ignore` the exclude file and the rules that leave
//! the tools' own files out. A file that exists is left as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use common::compose::{self, Project};
use common::paths;
use common::process::{self, Captured, Limits};
use common::settings::Settings;
use common::text::escape_path;

use crate::folder;
use crate::inspect::entry;
use crate::roots;
use crate::work::{Verb, Work, warning};

const COMPOSE: &str = include_str!("../../../../compose.yaml");

/// Makes the folders, and a symlink at which the tools look for their settings if Backrest's folder is elsewhere.
pub(crate) fn folders(settings: &Settings, work: &mut Work) -> Result<()> {
    let (home, target) = (paths::home()?, &settings.container_dir);
    let usual = home.join("containers/backrest");
    let is_elsewhere = *target != usual;
    let mut folders = vec![settings.container_root.clone(), settings.data_root.clone()];
    folders.extend(is_elsewhere.then(|| home.join("containers")));
    // Where compose.yaml mounts local repositories from.
    folders.push(home.join("backups"));
    folders.dedup();
    let user = nix::unistd::geteuid().as_raw();
    for folder in &folders {
        folder::make(&entry::look(folder)?, user, 0o755, work)?;
    }
    if is_elsewhere && fs::symlink_metadata(&usual).is_err() {
        let what = format!("{} to {}", escape_path(&usual), escape_path(target));
        work.step(Verb::LINK, what, || {
            let naming = || format!("link: {}", escape_path(&usual));
            std::os::unix::fs::symlink(target, &usual).with_context(naming)
        })?;
    }
    Ok(())
}

/// Writes the files, and builds the exclude file.
pub(crate) fn write(settings: &Settings, work: &mut Work) -> Result<()> {
    let own = &settings.container_dir;
    write_new(&own.join(".env"), &env_of(settings, &paths::home()?), 0o600, work)?;
    let project = compose::read(own);
    match project.files.first() {
        None => write_new(&own.join("compose.yaml"), &compose_of(settings), 0o644, work)?,
        Some(file) => complain_of_compose(settings, file, &project, work),
    }
    if fs::symlink_metadata(&settings.ignore_file).is_err() {
        let what = "build-ignore, which writes the ignore file and .resticignore in Backrest's folders";
        work.step(Verb::RUN, what, || {
            let mut command = settings.command("build-ignore", &[]);
            let limits = Limits::within(Duration::from_secs(600));
            process::capture(&mut command, b"", limits, None).and_then(Captured::success).map(drop)
        })?;
    }
    Ok(())
}

/// A compose file that was there may lack what the tools need.
fn complain_of_compose(settings: &Settings, file: &Path, project: &Project, work: &mut Work) {
    let mut needed = roots::mounts(settings);
    needed.push((settings.layout().bridge(), PathBuf::from(bridge::MOUNT)));
    for (host, target) in needed {
        if !roots::shows(roots::mounted(project), &host, &target) {
            let mode = if target == Path::new(bridge::MOUNT) { "" } else { ":ro" };
            let (file, host, target) = (escape_path(file), escape_path(&host), escape_path(&target));
            work.complaints.push(warning(
                format!("{file}, which was there, does not mount {host} at {target}"),
                format!("below `volumes:` add  - {host}:{target}{mode}"),
            ));
        }
    }
}

fn write_new(path: &Path, text: &str, mode: u32, work: &mut Work) -> Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    work.step(Verb::WRITE, escape_path(path), || common::atomic::create_new(path, text.as_bytes(), mode))
}

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

fn time_zone() -> String {
    let zone = jiff::tz::TimeZone::try_system().ok();
    zone.as_ref().and_then(|zone| zone.iana_name()).unwrap_or("Etc/UTC").into()
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
