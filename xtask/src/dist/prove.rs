//! Tries an archive where nothing else is installed: roots of busybox, Debian 12 and Debian 13 without Rust, as an ordinary user
//! with an empty home.
//!
//! In each root `prove.sh` installs an older version, runs every program, upgrades while a listener takes messages, and
//! uninstalls; it fails unless every message arrived once and the home is as it was. A root is covered by a tmpfs where
//! it writes, so it can be used again.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use common::out;

use super::Dist;
use crate::cli::{Architecture, Root};
use crate::needs;

const SCRIPT: &str = include_str!("prove.sh");
/// Runs in namespaces of its own for mounts, network and processes: `$1` root, `$2` folder with archives and script.
const IN_ROOT: &str = r#"
mkdir -p "$1/proc" "$1/dev" "$1/tmp" "$1/home" "$1/dist"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/dev"
for device in null random urandom zero; do
    : > "$1/dev/$device"
    mount --bind "/dev/$device" "$1/dev/$device"
done
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t tmpfs tmpfs "$1/home"
mount --bind "$2" "$1/dist"
ip link set lo up
mkdir -m 700 "$1/home/me"
chown 1000:1000 "$1/home/me"
exec chroot --userspec=1000:1000 "$1" /bin/sh /dist/prove.sh
"#;

/// Tries it; for aarch64 that is one start of each program under qemu-user.
pub(super) fn run(dist: &Dist<'_>, archive: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    if dist.options.architecture == Architecture::Aarch64 {
        return emulate(dist, archive, folder.path());
    }
    let shared = folder.path().join("dist");
    fs::create_dir(&shared).context("make a folder")?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).context("open a folder")?;
    fs::copy(archive, shared.join("new.tar.gz")).context("copy the archive")?;
    older(dist, archive, folder.path(), &shared.join("old.tar.gz"))?;
    fs::write(shared.join("prove.sh"), SCRIPT).context("write the script")?;
    let roots = match &dist.options.root {
        given if given.is_empty() => Root::value_variants(),
        given => given,
    };
    for root in roots {
        let path = match root {
            Root::Busybox => needs::busybox_root(&dist.tools, dist.cancel)?,
            Root::Bookworm => needs::debian_root(&dist.tools, "root-bookworm", "bookworm", &[], dist.cancel)?,
            Root::Trixie => needs::debian_root(&dist.tools, "root-trixie", "trixie", &[], dist.cancel)?,
        };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]);
        command.args(["sh", "-ec", IN_ROOT, "sh"]).arg(path).arg(&shared);
        command.env_clear().env("HOME", "/home/me").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = dist.capture(&mut command)?;
        out!("{root:?}: {}", output.lines().last().unwrap_or_default());
    }
    Ok(())
}

/// The same archive as an older one: other bytes, and a program that later versions lack.
fn older(dist: &Dist<'_>, archive: &Path, work: &Path, to: &Path) -> Result<()> {
    let unpacked = work.join("old");
    let programs = programs(dist, archive, &unpacked)?;
    for program in &programs {
        // What follows the last section of a program is ignored.
        let mut bytes = fs::read(program)?;
        bytes.extend_from_slice(b"older");
        fs::write(program, bytes)?;
    }
    let further = programs.first().context("an empty archive")?.with_file_name("no-longer-there");
    fs::write(further, "#!/bin/sh\n")?;
    let mut tar = Command::new("tar");
    dist.capture(tar.arg("-czf").arg(to).arg("--directory").arg(&unpacked).arg("."))?;
    Ok(())
}

/// Unpacks an archive into the new folder `to` and returns its programs.
fn programs(dist: &Dist<'_>, archive: &Path, to: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir(to).context("make a folder")?;
    dist.capture(Command::new("tar").arg("-xzf").arg(archive).arg("--directory").arg(to))?;
    let inner = fs::read_dir(to)?.next().context("an empty archive")??;
    let entries = fs::read_dir(inner.path().join("bin"))?.map(|entry| Ok(entry?.path()));
    let mut programs = entries.collect::<Result<Vec<_>>>()?;
    programs.retain(|path| !path.is_symlink());
    programs.sort();
    Ok(programs)
}

/// Each program of another architecture is started once.
fn emulate(dist: &Dist<'_>, archive: &Path, folder: &Path) -> Result<()> {
    let mut names = Vec::new();
    for program in programs(dist, archive, &folder.join("new"))? {
        let version = dist.capture(Command::new("qemu-aarch64-static").arg(program).arg("--version"))?;
        names.push(version.trim().to_string());
    }
    out!("under qemu-aarch64: {}", names.join(", "));
    Ok(())
}
