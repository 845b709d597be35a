//! Tools that no package of this Debian release holds, each in a folder of its own below the target folder's `tools`.
//!
//! A folder gets its name only when it is complete. Roots of other releases come from debootstrap, single programs from
//! trixie's packages, AsyncSSH from PyPI, Uptime Kuma from npm.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::HintExt;
use common::out;
use common::text::escape_path;

use super::{apt, trixie};
use crate::background;

/// Where `docker` itself looks for plugins of all users.
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];
const PLUGIN: &str = "docker-compose";
const UPTIME_KUMA: &str = "uptime-kuma@2.0.0-dev.0";

/// The folder `name` of `tools`; `fill` is passed where to put everything if it is not there yet.
fn once(tools: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = tools.join(name);
    if !folder.exists() {
        out!("Fetching {name}");
        fs::create_dir_all(tools).context("make a folder for tools")?;
        let part = tempfile::tempdir_in(tools).context("make a folder")?;
        fill(part.path()).with_context(|| format!("fetch {name}"))?;
        // An ordinary user has to get through.
        fs::set_permissions(part.path(), Permissions::from_mode(0o755)).context("open a folder")?;
        fs::rename(part.path(), &folder)
            .with_context(|| format!("put in place: {}", escape_path(&folder)))?;
    }
    Ok(folder)
}

/// The folder `name`: a root of the Debian `release` with what every Debian has and `packages`.
pub(crate) fn debian_root(
    tools: &Path,
    name: &str,
    release: &str,
    packages: &[&str],
    cancel: &Cancel,
) -> Result<PathBuf> {
    once(tools, name, |root| {
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.arg("--variant=minbase");
        if !packages.is_empty() {
            debootstrap.arg(format!("--include={}", packages.join(",")));
        }
        apt::run(debootstrap.arg(release).arg(root).arg(trixie::mirror()?), cancel)
    })
}

/// A root with nothing but busybox, as Alpine's is made of: no C library, no Bash.
pub(crate) fn busybox_root(tools: &Path, cancel: &Cancel) -> Result<PathBuf> {
    once(tools, "root-busybox", |root| {
        ["bin", "etc", "root", "tmp"].iter().try_for_each(|folder| fs::create_dir(root.join(folder)))?;
        let busybox = root.join("bin/busybox");
        fs::copy(super::find("busybox").context("find busybox")?, &busybox)?;
        for name in background::output_of(Command::new(&busybox).arg("--list"), b"", Some(cancel))?.lines() {
            if name != "busybox" {
                symlink("busybox", root.join("bin").join(name))?;
            }
        }
        Ok(fs::write(root.join("etc/passwd"), "me:x:1000:1000::/home/me:/bin/sh\n")?)
    })
}

/// The path of the newest restic, whose exclude files have to mean the same. `RESTIC_NEWEST` can name one.
pub(crate) fn newest_restic(tools: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let given = env::var_os("RESTIC_NEWEST").filter(|path| !path.is_empty()).map(PathBuf::from);
    let restic = given.map_or_else(|| of_trixie(tools, "restic", "usr/bin/restic", cancel), Ok);
    restic
        .and_then(|restic| works(restic, cancel))
        .hint("set RESTIC_NEWEST to the path of a restic of version 0.18 or newer")
}

/// The path of the plugin for `docker compose`, which `prepare-backup.sh` calls. Before trixie the package docker-compose
/// holds a program of its own and no plugin.
pub(crate) fn compose_plugin(tools: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let installed = PLUGIN_FOLDERS.iter().map(|folder| Path::new(folder).join(PLUGIN));
    let mut installed = installed.filter_map(|plugin| works(plugin, cancel).ok());
    let inside = "usr/libexec/docker/cli-plugins/docker-compose";
    let plugin = installed.next().map_or_else(|| of_trixie(tools, PLUGIN, inside, cancel), Ok);
    plugin.and_then(|plugin| works(plugin, cancel)).hint("install Docker's Compose plugin for all users")
}

fn of_trixie(tools: &Path, package: &str, program: &str, cancel: &Cancel) -> Result<PathBuf> {
    let folder = once(tools, &format!("{package}-trixie"), |to| trixie::unpack(package, to, cancel))?;
    Ok(folder.join(program))
}

fn works(program: PathBuf, cancel: &Cancel) -> Result<PathBuf> {
    apt::run(Command::new(&program).arg("version"), cancel)?;
    Ok(program)
}

/// SSH servers for the tests: AsyncSSH, and the newest OpenSSH in a root of Debian trixie.
pub(crate) fn ssh_servers(tools: &Path, cancel: &Cancel) -> Result<()> {
    debian_root(tools, "openssh-trixie", "trixie", &["openssh-client", "openssh-server"], cancel)?;
    once(tools, "asyncssh", |folder| {
        let mut pip = Command::new("/usr/bin/pip3");
        pip.args(["install", "--quiet", "--root-user-action=ignore", "--target"]).arg(folder);
        apt::run(pip.arg("asyncssh"), cancel)
    })
    .map(drop)
}

/// The folder of the real Uptime Kuma's package, for the test that pushes to it.
pub(crate) fn uptime_kuma(tools: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let package = Path::new("node_modules/uptime-kuma");
    let folder = once(tools, "uptime-kuma", |prefix| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(prefix).arg(UPTIME_KUMA);
        apt::run(&mut npm, cancel)?;
        // The package has some steps of its database in another folder than the one that its server reads.
        let steps = prefix.join(package).join("db");
        fs::create_dir_all(steps.join("old_migrations"))?;
        for entry in fs::read_dir(&steps)? {
            let name = entry?.file_name();
            let is_step = name.as_encoded_bytes().starts_with(b"patch-");
            if is_step && Path::new(&name).extension().is_some_and(|ending| ending == "sql") {
                fs::copy(steps.join(&name), steps.join("old_migrations").join(&name))?;
            }
        }
        Ok(())
    })?;
    Ok(folder.join(package))
}
