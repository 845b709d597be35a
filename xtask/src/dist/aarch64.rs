//! Programs for aarch64, built in a root of Debian trixie below the target folder: its compiler, its cross linker and the
//! standard library of its arm64 packages, which belong together.
//!
//! It needs root for the chroot. Paths in it are always the same, so no path of this machine gets into a program.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use common::text::escape_path;

use super::Dist;
use crate::{build, needs, workspace};

const TRIPLE: &str = "aarch64-unknown-linux-gnu";
/// Runs in a mount namespace of its own: `$1` root, `$2` repository, `$3` vendored crates, `$4` target, then a command.
const IN_ROOT: &str = r#"
for pair in "$2:src" "$3:vendor" "$4:target"; do
    mkdir -p "$1/${pair##*:}"
    mount --bind "${pair%:*}" "$1/${pair##*:}"
done
root=$1
shift 4
exec chroot "$root" "$@"
"#;
const PACKAGES: &str =
    "cargo rustc gcc gcc-aarch64-linux-gnu libc6-dev libc6-dev-arm64-cross libstd-rust-dev:arm64";

/// Builds every program and returns its path.
pub(super) fn build(dist: &Dist<'_>) -> Result<Vec<PathBuf>> {
    let root = needs::debian_root(&dist.tools, "root-arm64", "trixie", &[], dist.cancel)?;
    if !root.join("usr/bin/aarch64-linux-gnu-gcc").exists() {
        let install = format!(
            "dpkg --add-architecture arm64 && apt-get -q update && apt-get -q install --yes --no-install-recommends {PACKAGES}"
        );
        let mut chroot = Command::new("chroot");
        chroot.arg(&root).args(["sh", "-c", &install]).env("DEBIAN_FRONTEND", "noninteractive");
        dist.capture(&mut chroot)?;
    }
    let (vendor, target) = (dist.tools.join("vendor"), dist.workspace.target.join("aarch64"));
    for folder in [&vendor, &target] {
        fs::create_dir_all(folder).with_context(|| format!("make a folder: {}", escape_path(folder)))?;
    }
    let mut vendoring = workspace::cargo(&dist.workspace.root);
    dist.capture(vendoring.args(["vendor", "--locked", "--quiet"]).arg(&vendor))?;
    let time = dist.time()?;
    build::for_archive(dist.workspace, dist.options.debug, &target.join(TRIPLE), || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", IN_ROOT, "sh"]);
        command.args([&root, &dist.workspace.root, &vendor, &target]);
        command.args(["env", "--chdir=/src", "cargo", "build", "--locked", "--offline", "--target", TRIPLE]);
        command.args(["--config", "source.crates-io.replace-with=\"vendored\""]);
        command.args(["--config", "source.vendored.directory=\"/vendor\""]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
        command.env("CARGO_TARGET_DIR", "/target").env("RUSTFLAGS", build::STATIC);
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
        command.env("SOURCE_DATE_EPOCH", &time);
        command
    })
}
