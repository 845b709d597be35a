//! The static client in a root folder that holds nothing else: no shell, no library, no /proc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::testing::{Ran, copy_program};

use crate::host::Host;

/// Builds the client as it is installed, once, and returns its path.
#[track_caller]
fn static_client() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let seen = Command::new("rustc").arg("-vV").output().expect("run rustc").stdout;
        let seen = String::from_utf8(seen).unwrap();
        let triple =
            seen.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc prints its host");
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--package", "backrest-send"]);
        cargo.args(["--bin", "backrest-send", "--target", triple, "--target-dir"]).arg(target);
        let status = cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static").status().expect("run cargo");
        assert!(status.success(), "the static client was not built");
        target.join(triple).join("release/backrest-send")
    })
}

impl Host {
    /// Runs the client in a folder with nothing but the bridge in it, as a container's image `scratch` is.
    #[track_caller]
    #[must_use]
    fn in_empty_image(&self, arguments: &[&str], input: &str) -> Ran {
        copy_program(static_client(), self.bridge().join("backrest-send"));
        let image = self.sandbox.path("image");
        fs::create_dir_all(image.join("bridge")).unwrap();
        assert_eq!(fs::read_dir(&image).unwrap().count(), 1, "nothing but the bridge");
        let mut command = self.sandbox.command("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        let enter = "image=$1; shift; mount --bind \"$0\" \"$image/bridge\" && exec chroot \"$image\" /bridge/backrest-send \"$@\"";
        command.arg(enter);
        command.arg(self.bridge()).arg(&image).args(arguments);
        self.sandbox.run_with_input(&mut command, input.as_bytes())
    }
}

#[test]
fn the_client_is_one_small_static_file() {
    let length = fs::metadata(static_client()).unwrap().len();
    assert!(length <= 2 << 20, "{length} bytes");
    let seen = Command::new("readelf").args(["--program-headers", "--wide"]).arg(static_client()).output();
    let seen = String::from_utf8(seen.expect("run readelf (Debian package binutils)").stdout).unwrap();
    assert!(seen.contains("LOAD") && !seen.contains("INTERP"), "{seen}");
}

#[test]
fn in_an_image_with_nothing_else_it_finds_its_bridge_and_waits_for_the_end() {
    let host = Host::listening();
    host.action("work", "echo one; echo two; exit 1");
    let ran = host.in_empty_image(&["ping"], "").expect_success();
    assert_eq!(ran.stdout, format!("pong {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(host.in_empty_image(&["work"], "").expect_code(1).stdout, "one\ntwo\n");
    host.in_empty_image(&["unheard-of"], "").expect_code(64);
}

#[test]
fn a_hook_without_a_shell_prepares_a_real_backup_or_stops_it() {
    for tool in ["pre-backup-actions", "build-ignore"] {
        common::testing::built(tool, tool);
    }
    let mut host = Host::new();
    host.environment.push(("BACKUP_MOUNT".into(), host.sandbox.home().display().to_string()));
    host.sandbox.write("data/photos/cache/thumbnail", "derived");
    host.sandbox.write("data/photos/album/one.jpg", "precious");
    host.sandbox.write("data/photos/.resticignore", "cache/\n");
    host.sandbox.script("data/photos/prepare-backup.sh", "#!/bin/sh\necho dumping\necho dump > dump.sql\n");
    host.start();
    // Backrest passes this to the program that a hook's first line names.
    let hook = "# before the backup\npre-backups\n";
    let ran = host.in_empty_image(&["--timeout", "1m"], hook).expect_success();
    assert!(ran.stdout.contains("dumping"), "{}", ran.stdout);

    let restic = |arguments: &[&str]| {
        let mut command = host.sandbox.command("restic");
        command.env("RESTIC_PASSWORD", "test").env("RESTIC_REPOSITORY", host.sandbox.path("repo"));
        host.sandbox.run(command.args(["--no-cache"]).args(arguments)).expect_success().stdout
    };
    restic(&["init"]);
    let data = host.sandbox.path("data").display().to_string();
    let exclude =
        format!("--exclude-file={}", host.sandbox.path("containers/backrest/ignorefile.txt").display());
    restic(&["backup", &exclude, &data]);
    let stored = restic(&["ls", "latest"]);
    assert!(stored.contains("photos/dump.sql") && stored.contains("album/one.jpg"), "{stored}");
    assert!(!stored.contains("thumbnail"), "{stored}");

    host.sandbox.script("data/photos/prepare-backup.sh", "#!/bin/sh\necho no space >&2\nexit 1\n");
    let ran = host.in_empty_image(&[], hook).expect_code(1);
    assert!(
        ran.stdout.contains("no space") && ran.stderr.contains("pre-backup-actions: "),
        "{}",
        ran.everything()
    );
    // The hook after the backup, which did not take place.
    host.in_empty_image(&[], "post-backups\n").expect_success();
}
