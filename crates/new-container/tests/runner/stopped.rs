//! The pair that `--stop` writes, run by `pre-backup-actions`: stopped before, started after, and what was down stays
//! down.
//!
//! `docker` on the path is a stand-in for one Compose project: a file says whether its containers run.

use std::path::PathBuf;

use common::testing::{Ran, Sandbox, built};

use crate::make::tool;

const DOCKER: &str = r#"#!/bin/sh
[ "$1" = compose ] || exit 64
echo "$(pwd): $*" >> "$HOME/called"
case "$*" in
    'compose ps --quiet --status running') [ ! -e "$HOME/runs" ] || echo 0123456789ab ;;
    'compose stop') [ ! -e "$HOME/stop-fails" ] || exit 1; rm -f "$HOME/runs" ;;
    'compose start') [ ! -e "$HOME/start-fails" ] || exit 1; : > "$HOME/runs" ;;
    *) exit 64 ;;
esac
"#;

struct Service {
    sandbox: Sandbox,
    actions: PathBuf,
}

impl Service {
    /// What `new-container app --stop` makes, running.
    fn running() -> Service {
        let sandbox = Sandbox::new();
        let _ = sandbox.run(&mut tool(&sandbox, &["app", "--stop"])).expect_success();
        sandbox.script("bin/docker", DOCKER);
        sandbox.write("runs", "");
        built("build-ignore", "build-ignore");
        Service { sandbox, actions: built("pre-backup-actions", "pre-backup-actions") }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.sandbox.command(&self.actions);
        let path = format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display());
        self.sandbox.run(command.args(arguments).env("PATH", path))
    }

    fn runs(&self) -> bool {
        self.sandbox.path("runs").exists()
    }
}

#[test]
fn it_is_stopped_before_and_started_after() {
    let service = Service::running();
    let _ = service.run(&[]).expect_success();
    assert!(!service.runs());
    let _ = service.run(&["--after"]).expect_success();
    assert!(service.runs());
    let folder = service.sandbox.path("containers/app").display().to_string();
    let expected: String = ["ps --quiet --status running", "stop", "start"]
        .iter()
        .map(|what| format!("{folder}: compose {what}\n"))
        .collect();
    assert_eq!(service.sandbox.read("called"), expected);
    // A second time there is nothing left to do.
    let _ = service.run(&["--after", "--all"]).expect_success();
    assert_eq!(service.sandbox.read("called"), expected);
}

#[test]
fn a_service_that_was_down_stays_down() {
    let service = Service::running();
    std::fs::remove_file(service.sandbox.path("runs")).unwrap();
    let _ = service.run(&[]).expect_success();
    let _ = service.run(&["--after"]).expect_success();
    assert!(!service.runs() && !service.sandbox.read("called").contains("compose start"));
}

#[test]
fn what_was_stopped_is_started_although_the_stop_or_an_earlier_start_failed() {
    let service = Service::running();
    service.sandbox.write("stop-fails", "");
    let _ = service.run(&[]).expect_code(1);
    std::fs::remove_file(service.sandbox.path("stop-fails")).unwrap();
    // It went down all the same, later than Docker waited for it.
    std::fs::remove_file(service.sandbox.path("runs")).unwrap();
    service.sandbox.write("start-fails", "");
    let _ = service.run(&["--after"]).expect_code(1);
    assert!(!service.runs());
    std::fs::remove_file(service.sandbox.path("start-fails")).unwrap();
    let _ = service.run(&["--after"]).expect_success();
    assert!(service.runs());
}
