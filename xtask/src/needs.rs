//! The programs beside Rust that the tests and the demo run, and the Debian packages that hold them.
//!
//! As root with apt-get what is missing is installed; another user gets the one command to type. A package may
//! bring a service (openssh-server, cron): it is not started, because tests use servers of their own.

mod apt;
mod tools;
mod trixie;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;
use common::cancel::Cancel;
use common::exit::HintExt;
use common::out;

pub(crate) use tools::{busybox_root, compose_plugin, debian_root, newest_restic, ssh_servers, uptime_kuma};

/// A program and the Debian package that holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    program: &'static str,
    package: &'static str,
}

const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// What `cargo xtask demo` runs.
pub(crate) const DEMO: &[Need] = &[need("restic", "restic"), need("sqlite3", "sqlite3")];

/// What runs the real Uptime Kuma.
pub(crate) const UPTIME_KUMA: &[Need] = &[need("node", "nodejs"), need("npm", "npm")];

/// What the tests run. A line here is all that a new one takes.
pub(crate) const TESTS: &[Need] = &[
    need("/usr/bin/pip3", "python3-pip"),
    need("/usr/lib/proftpd/mod_sftp.so", "proftpd-mod-crypto"),
    need("/usr/share/bash-completion/bash_completion", "bash-completion"),
    need("bash", "bash"),
    need("busybox", "busybox-static"),
    need("bzip2", "bzip2"),
    need("crontab", "cron"),
    need("dash", "dash"),
    need("debootstrap", "debootstrap"),
    need("docker-compose", "docker-compose"),
    need("dpkg-deb", "dpkg"),
    need("dropbear", "dropbear-bin"),
    need("fish", "fish"),
    need("flock", "util-linux"),
    need("git", "git"),
    need("ip", "iproute2"),
    need("jq", "jq"),
    need("lz4", "lz4"),
    need("mariadb-dump", "mariadb-client"),
    need("mariadbd", "mariadb-server"),
    need("mount", "mount"),
    need("nsenter", "util-linux"),
    need("openssl", "openssl"),
    need("pg_ctlcluster", "postgresql"),
    need("proftpd", "proftpd-core"),
    need("qemu-aarch64-static", "qemu-user-static"),
    need("readelf", "binutils"),
    need("redis-cli", "redis-tools"),
    need("redis-server", "redis-server"),
    need("restic", "restic"),
    need("script", "bsdutils"),
    need("setfacl", "acl"),
    need("setsid", "util-linux"),
    need("shellcheck", "shellcheck"),
    need("sqlite3", "sqlite3"),
    need("ssh", "openssh-client"),
    need("sshd", "openssh-server"),
    need("strace", "strace"),
    need("sudo", "sudo"),
    need("systemd-analyze", "systemd"),
    need("unshare", "util-linux"),
    need("xz", "xz-utils"),
    need("zsh", "zsh"),
    need("zstd", "zstd"),
];

/// What `cargo xtask e2e` runs. On Debian 12 `docker` comes with docker.io, from Debian 13 on with docker-cli.
pub(crate) const E2E: &[Need] = &[
    need("busybox", "busybox-static"),
    need("crontab", "cron"),
    need("debootstrap", "debootstrap"),
    need("dockerd", "docker.io"),
    need("git", "git"),
    need("ip", "iproute2"),
    need("mount", "mount"),
    need("setpriv", "util-linux"),
    need("tar", "tar"),
    need("unshare", "util-linux"),
];

/// The client of [`E2E`], looked for once its engine is there.
pub(crate) const DOCKER_CLIENT: &[Need] = &[need("docker", "docker-cli")];

/// What makes an archive and tries it.
pub(crate) const DIST: &[Need] = &[
    need("busybox", "busybox-static"),
    need("debootstrap", "debootstrap"),
    need("git", "git"),
    need("gzip", "gzip"),
    need("ip", "iproute2"),
    need("qemu-aarch64-static", "qemu-user-static"),
    need("tar", "tar"),
    need("unshare", "util-linux"),
];

/// What `bench walk` and `bench ignore` measure beside.
pub(crate) const BENCH: &[Need] =
    &[need("bfs", "bfs"), need("fdfind", "fd-find"), need("find", "findutils"), need("grep", "grep")];

/// The packages of `cargo fmt` and `cargo clippy` if Rust itself comes from Debian.
pub(crate) const RUST: &[Need] = &[need("cargo-fmt", "rustfmt"), need("cargo-clippy", "rust-clippy")];

/// Makes sure that every program is there. Fails, with the command that fixes it, if one is missing and may not be
/// installed, or is missing afterwards.
pub(crate) fn ensure(needs: &[Need], cancel: &Cancel) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = packages(&missing);
    let hint = format!("run: {}", apt::command_to_type(&packages));
    if !apt::may_install() {
        return Err(not_there(&missing)).hint(hint);
    }
    out!("Installing what is missing: {}", packages.join(" "));
    apt::install(&packages, cancel).hint(hint)?;
    match self::missing(needs) {
        none if none.is_empty() => Ok(()),
        still => Err(not_there(&still)),
    }
}

/// Makes sure that the parts of Rust are there that check code.
pub(crate) fn ensure_rust(cancel: &Cancel) -> Result<()> {
    if find("cargo").is_some_and(|cargo| cargo == Path::new("/usr/bin/cargo")) {
        return ensure(RUST, cancel);
    }
    match missing(RUST) {
        none if none.is_empty() => Ok(()),
        missing => Err(not_there(&missing)).hint("run: rustup component add rustfmt clippy"),
    }
}

fn missing(needs: &[Need]) -> Vec<Need> {
    needs.iter().filter(|need| find(need.program).is_none()).copied().collect()
}

fn packages(needs: &[Need]) -> Vec<&'static str> {
    let mut packages: Vec<_> = needs.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn not_there(missing: &[Need]) -> anyhow::Error {
    let names: Vec<_> = missing.iter().map(|need| need.program).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    anyhow::anyhow!("find the programs that are needed: {} {verb} not there", names.join(", "))
}

/// Where `program` lies: on `PATH`, or in the folders for servers that a user's `PATH` leaves out.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_command_that_installs_it() {
        let wanted =
            [need("bash", "bash"), need("no-such-program", "some-package"), need("nor-this", "some-package")];
        let missing = missing(&wanted);
        assert_eq!(packages(&missing), ["some-package"]);
        let error = not_there(&missing).to_string();
        assert_eq!(error, "find the programs that are needed: no-such-program, nor-this are not there");
        assert!(
            apt::command_to_type(&packages(&missing))
                .ends_with("apt-get install --no-install-recommends some-package")
        );
    }

    #[test]
    fn each_program_is_listed_once() {
        let mut programs: Vec<_> = TESTS.iter().map(|need| need.program).collect();
        programs.dedup();
        assert_eq!(programs.len(), TESTS.len());
        assert!(programs.is_sorted());
    }
}
