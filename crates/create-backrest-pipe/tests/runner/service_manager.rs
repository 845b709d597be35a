//! `--supervisor systemd` with the real `systemd --user` and `systemctl`.
//!
//! What a reader gets wrong: no systemd has to run on the machine. The user's service manager is content with a folder
//! `/run/systemd/system` and a control group of its own, and gets both in namespaces that end with the test.

use std::process::Command;

use common::testing::Ran;

use crate::home::Home;

/// A control group for all that follows, gone afterwards. In a user's namespace it lies below a group that is
/// delegated to the user.
const IN_OWN_GROUP: &str = r#"
groups=$(mktemp -d) && mount -t cgroup2 none "$groups" || exit 1
own="$groups$(sed -n 's/^0:://p' /proc/self/cgroup)/backrest-test-$$"
mkdir "$own" && (sh -c 'echo $PPID' > "$own/cgroup.procs" && exec unshare --cgroup --mount "$@")
code=$?
echo 1 > "$own/cgroup.kill"; while grep -q 'populated 1' "$own/cgroup.events"; do sleep 0.02; done
find "$own" -depth -type d -exec rmdir {} +
umount "$groups" && rmdir "$groups" && exit $code
"#;

/// The service manager, then what the test does, then the manager's end.
const WITH_MANAGER: &str = r#"
mount --bind "$1" /var/spool/cron/crontabs && mount -t tmpfs none /run && mount -t cgroup2 none /sys/fs/cgroup || exit 1
mkdir -p /run/systemd/system /run/user && export XDG_RUNTIME_DIR=/run/user
/lib/systemd/systemd --user --log-target=console --log-level=err & manager=$!
for i in $(seq 300); do systemctl --user show-environment >/dev/null 2>&1 && break; sleep 0.1; done
sh -c "$2"
code=$?
systemctl --user exit; wait $manager; exit $code
"#;

/// Runs the shell's `script` where a service manager runs and this home's tools come first.
#[must_use]
#[track_caller]
fn run(home: &Home, script: &str) -> Ran {
    let mut command = if nix::unistd::geteuid().is_root() {
        home.sandbox.command("unshare")
    } else {
        let mut command = home.sandbox.command("systemd-run");
        let from_session = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
        command.envs(from_session.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.args([
            "--user",
            "--scope",
            "--quiet",
            "--property=Delegate=yes",
            "unshare",
            "--map-root-user",
        ]);
        command
    };
    command.args(["--mount", "sh", "-c", IN_OWN_GROUP, "sh", "sh", "-c", WITH_MANAGER, "sh"]);
    command.arg(home.sandbox.path(".crontabs")).arg(script);
    let tools = home.sandbox.path(".local/bin");
    home.sandbox.run(command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", tools.display())))
}

/// A prepare step that does what such steps do: it makes files, copies them as they are, and asks over a socket.
const PREPARE: &str = r#"#!/bin/sh
set -eu
mkdir -p shared && chmod 2775 shared && rm -rf copy && cp -a shared copy
: > dump && "$HOME/.local/bin/backrest-send" --bridge "$HOME/containers/backrest/bridge" ping
stat -c '%n %a' copy dump
"#;

#[test]
fn systemd_starts_it_restarts_it_and_lets_it_go() {
    let home = Home::new();
    for tool in ["pre-backup-actions", "build-ignore"] {
        home.install(tool, &common::testing::built(tool, tool));
    }
    home.sandbox.script("data/shop/prepare-backup.sh", PREPARE);
    let before = home.everything();
    let ran = run(
        &home,
        r#"set -e
        create-backrest-pipe --supervisor systemd
        create-backrest-pipe
        create-backrest-pipe status | grep listener
        send="backrest-send --bridge $HOME/containers/backrest/bridge"
        $send pre-backups
        echo; echo "crash"
        systemctl --user kill --signal=KILL --kill-whom=main pipe-listener.service
        for i in $(seq 300); do $send ping 2>/dev/null && break; sleep 0.1; done
        systemctl --user show --property=NRestarts pipe-listener.service
        echo "other ways"
        create-backrest-pipe --supervisor cron
        systemctl --user is-enabled pipe-listener.service || true
        create-backrest-pipe --supervisor systemd
        systemctl --user is-enabled pipe-listener.service
        create-backrest-pipe remove
        systemctl --user is-active pipe-listener.service || true"#,
    )
    .expect_success();
    let mut rest = ran.stdout.as_str();
    for expected in [
        "ran       systemctl --user restart pipe-listener.service",
        "Everything is in place: nothing was changed.",
        "✓ listener   it listens",
        // As under cron and in a shell.
        "shop | copy 2775",
        "shop | dump 644",
        "shop: ok",
        "crash",
        "pong",
        "NRestarts=1",
        "other ways",
        "started   the listener",
        "crontab   + @reboot",
        "crontab   - @reboot",
        "enabled",
        "removed",
        "inactive",
    ] {
        let found = rest.split_once(expected);
        rest = found.unwrap_or_else(|| panic!("no {expected:?} where it belongs\n{}", ran.everything())).1;
    }
    home.expect_listeners(0);
    for made_by_the_script in ["data/shop/copy", "data/shop/shared"] {
        std::fs::remove_dir(home.sandbox.path(made_by_the_script)).unwrap();
    }
    std::fs::remove_file(home.sandbox.path("data/shop/dump")).unwrap();
    forget(
        &home,
        &[
            "containers/backrest/ignorefile.txt",
            "containers/backrest/.resticignore",
            "containers/backrest/logs",
            "containers/backrest/state",
            "data/backrest/.resticignore",
        ],
    );
    assert_eq!(home.everything(), before);
}

/// Removes what the other tools have left, which create-backrest-pipe leaves where it is.
#[track_caller]
fn forget(home: &Home, paths: &[&str]) {
    for path in paths {
        assert!(Command::new("rm").arg("-rf").arg(home.sandbox.path(path)).status().unwrap().success());
    }
}
