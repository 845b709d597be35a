//! The pair that `--stop` writes, run by `pre-backup-actions`: stopped before, started after, and what was down stays
//! down.
//!
//! `docker` on the path is a stand-in for one Compose project of two services: a file says of each whether it runs.

use std::path::PathBuf;

use common::testing::{Ran, Sandbox, built};

use crate::make::tool;

const DOCKER: &str = r#"#!/bin/sh
[ "$1" = compose ] || exit 64
echo "$(pwd): $*" >> "$HOME/called"
case "$*" in
    'compose ps --services --status running') [ ! -e "$HOME/ps-fails" ] || exit 1; ls "$HOME/runs" ;;
    'compose stop') [ ! -e "$HOME/stop-fails" ] || exit 1; rm -f "$HOME/runs"/* ;;
    'compose start '*)
        [ ! -e "$HOME/start-fails" ] || exit 1
        shift 2
        for service; do : > "$HOME/runs/$service"; done ;;
    *) exit 64 ;;
esac
"#;

struct Service {
    sandbox: Sandbox,
    actions: PathBuf,
}

impl Service {
    /// What `new-container app --stop` makes; these of its two services run.
    #[track_caller]
    fn running(services: &[&str]) -> Service {
        let sandbox = Sandbox::new();
        sandbox.run(&mut tool(&sandbox, &["app", "--stop"])).expect_success();
        sandbox.script("bin/docker", DOCKER);
        std::fs::create_dir(sandbox.path("runs")).unwrap();
        for service in services {
            sandbox.write(format!("runs/{service}"), "");
        }
        built("build-ignore", "build-ignore");
        Service { sandbox, actions: built("pre-backup-actions", "pre-backup-actions") }
    }

    #[track_caller]
    #[must_use]
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.sandbox.command(&self.actions);
        let path = format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display());
        self.sandbox.run(command.args(arguments).env("PATH", path))
    }

    /// Docker fails like that, or not any more.
    fn fails(&self, what: &str, fails: bool) {
        let path = self.sandbox.path(format!("{what}-fails"));
        if fails { std::fs::write(path, "").unwrap() } else { std::fs::remove_file(path).unwrap() }
    }

    fn runs(&self) -> Vec<String> {
        let running = std::fs::read_dir(self.sandbox.path("runs")).unwrap();
        let mut names: Vec<_> =
            running.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn it_is_stopped_before_and_started_after() {
    let service = Service::running(&["app", "database"]);
    service.run(&[]).expect_success();
    assert!(service.runs().is_empty());
    service.run(&["--after"]).expect_success();
    assert_eq!(service.runs(), ["app", "database"]);
    let folder = service.sandbox.path("containers/app").display().to_string();
    let expected: String = ["ps --services --status running", "stop", "start app database"]
        .iter()
        .map(|what| format!("{folder}: compose {what}\n"))
        .collect();
    assert_eq!(service.sandbox.read("called"), expected);
    // A second time there is nothing left to do.
    service.run(&["--after", "--all"]).expect_success();
    assert_eq!(service.sandbox.read("called"), expected);
}

#[test]
fn a_service_that_was_down_stays_down() {
    let service = Service::running(&[]);
    service.run(&[]).expect_success();
    service.run(&["--after"]).expect_success();
    assert!(service.runs().is_empty() && !service.sandbox.read("called").contains("compose start"));
}

#[test]
fn of_a_service_that_ran_in_part_only_that_part_is_started() {
    let service = Service::running(&["database"]);
    service.run(&[]).expect_success();
    service.run(&["--after"]).expect_success();
    assert_eq!(service.runs(), ["database"]);
}

#[test]
fn what_was_stopped_is_started_although_the_stop_or_an_earlier_start_failed() {
    let service = Service::running(&["app"]);
    service.fails("stop", true);
    service.run(&[]).expect_code(1);
    service.fails("stop", false);
    // It went down all the same, later than Docker waited for it.
    std::fs::remove_file(service.sandbox.path("runs/app")).unwrap();
    service.fails("start", true);
    service.run(&["--after"]).expect_code(1);
    assert!(service.runs().is_empty());
    service.fails("start", false);
    service.run(&["--after"]).expect_success();
    assert_eq!(service.runs(), ["app"]);
}

/// Stopped without having asked what runs, nobody would know that it has to be started.
#[test]
fn nothing_is_stopped_where_docker_does_not_say_what_runs() {
    let service = Service::running(&["app"]);
    service.fails("ps", true);
    service.run(&[]).expect_code(1);
    assert_eq!(service.runs(), ["app"]);
}

/// An earlier preparation of which nothing is left but that it stopped something.
#[test]
fn what_an_earlier_run_stopped_is_not_forgotten_by_the_next() {
    let service = Service::running(&["app", "database"]);
    service.run(&[]).expect_success();
    std::fs::remove_file(service.sandbox.path("containers/backrest/state/actions/journal")).unwrap();
    service.sandbox.write("runs/database", "");
    service.run(&[]).expect_success();
    service.run(&["--after"]).expect_success();
    assert_eq!(service.runs(), ["app", "database"]);
}
