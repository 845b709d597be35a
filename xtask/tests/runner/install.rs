//! Installing the real binaries into a home, using them by the old scripts' names, and taking them away.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use common::testing::Sandbox;

use super::completions;
use super::world::{output_of, xtask};

#[test]
fn the_old_names_work_bare_and_uninstall_leaves_the_home_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox.write("data/immich/.resticignore", "/thumbs/\n");
    sandbox.write("data/paperless/.resticignore", "*.tmp\n");
    sandbox.script("data/immich/prepare-backup.sh", "#!/bin/sh\necho dumped > dump\n");
    sandbox.script(".local/bin/backrest-trigger.sh", "#!/bin/bash\n# the user's own\n");
    let before = sandbox.tree();

    let printed = output_of(xtask(&sandbox, &["install", "--debug"]));
    assert!(
        printed.contains("yours is kept as bin/backrest-trigger.sh.before-backrest-helpers"),
        "{printed}"
    );
    assert!(printed.contains("$HOME/.local/bin/dn.sh"), "{printed}");
    let installed = sandbox.tree();
    assert!(!printed.contains("would not be run"), "{printed}");
    fs::set_permissions(sandbox.path("data/immich"), Permissions::from_mode(0o777)).expect("open a folder");
    let warned = output_of(xtask(&sandbox, &["install", "--debug"]));
    assert!(warned.contains("\nSome scripts would not be run before a backup:\n"), "{warned}");
    assert!(warned.contains("chmod go-w "), "{warned}");
    fs::set_permissions(sandbox.path("data/immich"), Permissions::from_mode(0o755)).expect("close a folder");
    let again = output_of(xtask(&sandbox, &["install", "--debug"]));
    assert!(again.starts_with("Nothing to do: "), "{again}");
    assert_eq!(sandbox.tree(), installed);

    let bin = sandbox.path(".local/bin");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let named = |name: &str| {
        let mut command = sandbox.command(bin.join(name));
        command.env("PATH", &path);
        command
    };
    for (name, tool) in [
        ("create-backrest-pipe.sh", "create-backrest-pipe"),
        ("backrest-trigger.sh", "pipe-listener"),
        ("configure-ssh.sh", "ssh-key-setup"),
    ] {
        let ran = sandbox.run(named(name).arg("--version")).expect_success();
        assert!(ran.stdout.starts_with(tool), "{}", ran.everything());
    }
    let mut files = Vec::new();
    for name in ["build-ignore-file.sh", "build-ignorefile.sh"] {
        sandbox.run(&mut named(name)).expect_success();
        files.push(sandbox.read("containers/backrest/ignorefile.txt"));
    }
    assert!(files[0].contains("/userdata/data/immich/thumbs"), "{}", files[0]);
    assert!(files[0].contains("/userdata/data/paperless/"), "a service of the data root alone counts");
    assert_eq!(files[0], files[1]);
    sandbox.run(&mut named("pre-backup-actions.sh")).expect_success();
    assert_eq!(sandbox.read("data/immich/dump"), "dumped\n");
    let mut bash = sandbox.command("bash");
    bash.env("PATH", &path).args(["-c", "shopt -s expand_aliases; . dn.sh\ndn --version"]);
    let ran = sandbox.run(&mut bash).expect_success();
    assert!(ran.stdout.starts_with("new-container "), "{}", ran.everything());

    completions::work_in_every_shell(&sandbox);

    let printed = output_of(xtask(&sandbox, &["uninstall"]));
    assert!(printed.contains("put back   bin/backrest-trigger.sh"), "{printed}");
    let ours = |tree: &str| -> String { tree.lines().filter(|line| line.starts_with(".local")).collect() };
    assert_eq!(ours(&sandbox.tree()), ours(&before));
    let printed = output_of(xtask(&sandbox, &["uninstall"]));
    assert!(printed.starts_with("Nothing to do: "), "{printed}");
}
