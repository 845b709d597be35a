//! `install.sh` with made-up programs, run by each shell that a machine may have as `sh`: what lies below the prefix
//! afterwards, byte for byte.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use common::testing::{Ran, Sandbox};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/install.sh");
const LIST: &str = "home/.local/share/backrest-helpers/installed";

/// An unpacked archive in the folder `archive`, whose programs hold `version`.
#[track_caller]
fn archive(sandbox: &Sandbox, version: &str) {
    for program in ["backrest-send", "build-ignore", "new-container", "pipe-listener"] {
        sandbox.script(format!("archive/bin/{program}"), format!("{program} {version}"));
    }
    sandbox.write("archive/share/man/man1/build-ignore.1", version);
    let link = sandbox.path("archive/bin/build-ignore-file.sh");
    if !link.exists() {
        symlink("build-ignore", link).expect("make a link");
    }
    fs::copy(SCRIPT, sandbox.path("archive/install.sh")).expect("copy the script");
}

#[must_use]
#[track_caller]
fn run(sandbox: &Sandbox, shell: &[&str], arguments: &[&str]) -> Ran {
    let mut command = sandbox.command(shell[0]);
    command.args(&shell[1..]).arg(sandbox.path("archive/install.sh")).args(arguments);
    sandbox.run(command.env("HOME", sandbox.path("home")))
}

#[track_caller]
fn install(sandbox: &Sandbox) -> String {
    run(sandbox, &["sh"], &[]).expect_success().stdout
}

#[track_caller]
fn uninstall(sandbox: &Sandbox) -> String {
    run(sandbox, &["sh"], &["--uninstall"]).expect_success().stdout
}

/// A home with an archive beside it.
#[track_caller]
fn home(version: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    fs::create_dir(sandbox.path("home")).expect("make a home");
    archive(&sandbox, version);
    sandbox
}

/// Every path below the home with its kind, mode and content.
#[track_caller]
fn tree(sandbox: &Sandbox) -> Vec<String> {
    let home = sandbox.path("home");
    let entries =
        walkdir::WalkDir::new(&home).sort_by_file_name().into_iter().map(|entry| entry.expect("walk"));
    let line = |path: &Path| {
        let metadata = fs::symlink_metadata(path).expect("look at a file");
        let content = match fs::read_link(path) {
            Ok(target) => format!("-> {}", target.display()),
            Err(_) => fs::read_to_string(path).unwrap_or_default(),
        };
        let below = path.strip_prefix(&home).expect("a path below the home").display();
        format!("{below} {:o} {content:?}", metadata.permissions().mode())
    };
    entries.map(|entry| line(entry.path())).collect()
}

#[test]
fn twice_changes_nothing_and_uninstall_leaves_what_was_there_before() {
    for shell in [&["sh"][..], &["bash"], &["dash"], &["busybox", "sh"]] {
        let sandbox = home("1");
        let before = tree(&sandbox);
        let first = run(&sandbox, shell, &[]).expect_success();
        assert!(
            first.stdout.contains("\n  new        bin/build-ignore-file.sh -> build-ignore\n"),
            "{first:?}"
        );
        assert_eq!(sandbox.read("home/.local/bin/build-ignore-file.sh"), "build-ignore 1");
        let installed = tree(&sandbox);
        assert!(installed.iter().any(|line| line == ".local/bin/pipe-listener 100755 \"pipe-listener 1\""));
        let again = run(&sandbox, shell, &[]).expect_success();
        assert!(again.stdout.starts_with("Nothing to do: 7 files below "), "{again:?}");
        assert_eq!(tree(&sandbox), installed);
        run(&sandbox, shell, &["--uninstall"]).expect_success();
        assert_eq!(tree(&sandbox), before, "{shell:?}");
        let again = run(&sandbox, shell, &["--uninstall"]).expect_success();
        assert!(again.stdout.starts_with("Nothing to do: "), "{again:?}");
    }
}

#[test]
fn the_users_own_files_come_back_as_they_were() {
    let sandbox = home("1");
    let bin = ".local/bin";
    sandbox.script(format!("home/{bin}/build-ignore-file.sh"), "#!/bin/bash\n# mine\n");
    symlink("/opt/mine", sandbox.path(format!("home/{bin}/pipe-listener"))).expect("make a link");
    sandbox.write(format!("home/{bin}/dn.sh"), "mine");
    sandbox.write(format!("home/{bin}/dn.sh.before-backrest-helpers"), "older");
    sandbox.write(format!("home/{bin}/other"), "untouched");
    let before = tree(&sandbox);
    let printed = install(&sandbox);
    assert!(printed.contains("yours is kept as bin/dn.sh.before-backrest-helpers-2"), "{printed}");
    let kept = format!("home/{bin}/build-ignore-file.sh.before-backrest-helpers");
    assert_eq!(sandbox.read(kept), "#!/bin/bash\n# mine\n");
    assert_eq!(sandbox.read(format!("home/{bin}/build-ignore-file.sh")), "build-ignore 1");
    let installed = tree(&sandbox);
    install(&sandbox);
    assert_eq!(tree(&sandbox), installed, "the second run keeps nothing aside");
    uninstall(&sandbox);
    assert_eq!(tree(&sandbox), before);
}

#[test]
fn a_new_version_replaces_the_old_one_and_removes_what_it_no_longer_has() {
    let sandbox = home("1");
    let before = tree(&sandbox);
    sandbox.script("archive/bin/obsolete", "1");
    sandbox.script("archive/bin/patched", "1");
    install(&sandbox);
    sandbox.write("home/.local/bin/patched", "by the user");
    fs::remove_dir_all(sandbox.path("archive")).expect("remove the old version");
    archive(&sandbox, "2");
    let printed = install(&sandbox);
    assert!(printed.contains("\n  updated    bin/build-ignore\n"), "{printed}");
    assert!(printed.contains("\n  unchanged  bin/build-ignore-file.sh -> build-ignore\n"), "{printed}");
    assert!(printed.contains("\n  removed    bin/obsolete\n"), "{printed}");
    assert_eq!(sandbox.read("home/.local/bin/build-ignore"), "build-ignore 2");
    assert!(!sandbox.path("home/.local/bin/obsolete").exists());
    assert_eq!(sandbox.read("home/.local/bin/patched"), "by the user");
    assert!(!sandbox.tree().contains("before-backrest"), "{}", sandbox.tree());
    fs::remove_file(sandbox.path("home/.local/bin/patched")).expect("remove the user's file");
    uninstall(&sandbox);
    assert_eq!(tree(&sandbox), before);
}

#[test]
fn an_installation_of_version_0_1_is_taken_over() {
    let sandbox = home("2");
    let before = tree(&sandbox);
    sandbox.script("home/.local/bin/build-ignore", "build-ignore 1");
    sandbox.script("home/.local/bin/removed", "removed 1");
    symlink("build-ignore", sandbox.path("home/.local/bin/build-ignore-file.sh")).expect("make a link");
    sandbox.write("home/.local/bin/dn.sh", "alias dn=x\n");
    sandbox.write("home/.local/bin/dn.sh.before-backrest-helpers", "mine");
    let list = "# What `cargo xtask install` put here. `cargo xtask uninstall` reads it.\nfolder .\nfolder bin\n\
                folder share\nfolder share/backrest-helpers\n\
                aside bin/dn.sh bin/dn.sh.before-backrest-helpers\nfile bin/build-ignore 85944171f73967e8\n\
                file bin/removed 0123456789abcdef\nfile bin/dn.sh cbf29ce484222325\n\
                link bin/build-ignore-file.sh build-ignore\n";
    sandbox.write(LIST, list);
    let printed = install(&sandbox);
    assert!(!printed.contains("yours is kept"), "{printed}");
    assert_eq!(sandbox.read("home/.local/bin/build-ignore"), "build-ignore 2");
    assert!(!sandbox.path("home/.local/bin/removed").exists());
    uninstall(&sandbox);
    assert_eq!(sandbox.read("home/.local/bin/dn.sh"), "mine");
    fs::remove_file(sandbox.path("home/.local/bin/dn.sh")).expect("remove the user's file");
    assert_eq!(
        tree(&sandbox).len(),
        before.len() + 2,
        "the user's file keeps its folders: {}",
        sandbox.tree()
    );
}

#[test]
fn a_file_that_the_user_changed_afterwards_is_left_alone() {
    let sandbox = home("1");
    install(&sandbox);
    sandbox.write("home/.local/bin/build-ignore", "patched");
    let printed = uninstall(&sandbox);
    assert!(
        printed.contains("\n  left       bin/build-ignore: it is not the file that was installed\n"),
        "{printed}"
    );
    assert_eq!(sandbox.read("home/.local/bin/build-ignore"), "patched");
}

#[test]
fn an_upgrade_that_is_killed_anywhere_is_finished_or_taken_away_by_the_next_command() {
    let complete = home("1");
    let before = tree(&complete);
    install(&complete);
    archive(&complete, "2");
    install(&complete);
    let complete = tree(&complete);
    // Each call of mv is a step that can be seen from outside; it is killed before the first, the second and so on.
    for uninstalled in [false, true] {
        let mut step = 0;
        loop {
            step += 1;
            let sandbox = home("1");
            install(&sandbox);
            archive(&sandbox, "2");
            let tools = sandbox.script(
                "stop/mv",
                "#!/bin/sh\necho >> \"$0.calls\"\n[ \"$(wc -l < \"$0.calls\")\" -lt \"$STEP\" ] || kill -KILL \"$PPID\"\n\
                 exec /bin/mv \"$@\"\n",
            );
            let mut command = sandbox.command("sh");
            command.arg(sandbox.path("archive/install.sh")).env("HOME", sandbox.path("home"));
            command.env("STEP", step.to_string());
            command.env("PATH", format!("{}:/usr/bin:/bin", tools.parent().expect("a folder").display()));
            let is_complete = sandbox.run(&mut command).end.is_success();
            if uninstalled {
                uninstall(&sandbox);
                assert_eq!(tree(&sandbox), before, "step {step}");
            } else {
                install(&sandbox);
                let seen: Vec<_> = tree(&sandbox);
                let sums_only = |lines: &[String]| -> Vec<String> {
                    lines
                        .iter()
                        .filter(|line| !line.contains("dn.sh") && !line.contains("/installed "))
                        .cloned()
                        .collect()
                };
                assert_eq!(sums_only(&seen), sums_only(&complete), "step {step}");
            }
            if is_complete {
                assert!(step > 5, "{step} steps only");
                break;
            }
        }
    }
}

#[test]
fn what_can_not_be_put_in_place_is_named_and_nothing_is_touched() {
    let sandbox = home("1");
    fs::create_dir_all(sandbox.path("home/.local/bin/build-ignore")).expect("make a folder");
    let before = tree(&sandbox);
    let ran = run(&sandbox, &["sh"], &[]).expect_code(1);
    assert!(ran.stderr.starts_with("install.sh: put in place: "), "{}", ran.everything());
    assert!(ran.stderr.contains("bin/build-ignore: a folder"), "{}", ran.everything());
    assert_eq!(tree(&sandbox), before);
}

#[test]
fn a_list_that_leads_out_of_the_prefix_is_refused() {
    for line in ["file /etc/passwd 0", "file ../x 0", "file bin/../../x 0", "nonsense", "link bin/a ../../x"]
    {
        let sandbox = home("1");
        sandbox.write(LIST, format!("# a list\n{line}\n"));
        let before = tree(&sandbox);
        for arguments in [&[][..], &["--uninstall"]] {
            let ran = run(&sandbox, &["sh"], arguments).expect_code(1);
            assert!(ran.stderr.contains(line) && ran.stderr.contains("\nhint: "), "{}", ran.everything());
        }
        assert_eq!(tree(&sandbox), before);
    }
}

#[test]
fn the_alias_works_below_a_prefix_that_is_hard_to_quote() {
    let sandbox = home("1");
    let prefix = sandbox.path("it's $my tools");
    sandbox.script("archive/bin/new-container", "#!/bin/sh\necho called with \"$@\"\n");
    run(&sandbox, &["sh"], &["--prefix", prefix.to_str().expect("a path")]).expect_success();
    let mut bash = sandbox.command("bash");
    bash.arg("-c").arg("shopt -s expand_aliases\n. \"$0/bin/dn.sh\"\ndn --version").arg(&prefix);
    assert_eq!(sandbox.run(&mut bash).expect_success().stdout, "called with --version\n");
    // Each mode is the one that the file is to have, whatever the archive's is and whatever umask holds.
    let mode = fs::metadata(prefix.join("bin/dn.sh")).expect("look at dn.sh").permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
}
