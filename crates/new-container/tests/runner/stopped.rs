//! The pair that `--stop` writes, run by `pre-backup-actions`: each container is stopped, and then gets back the state
//! that it had.
//!
//! `docker` on the path imitates one Compose project of the service's folder: a file for each container holds its id,
//! project, service, name and state. `cargo xtask e2e` runs the pair with a real engine and real Compose.

use std::path::PathBuf;

use common::testing::{Ran, Sandbox, built};

use crate::make::tool;

const DOCKER: &str = r#"#!/bin/bash
c=$HOME/c
fails() { [[ ! -e $HOME/$1-fails ]] || exit 1; }
change() { # FROM TO NAME…
    for name in "${@:3}"; do sed -i -E "s/ ($1)\$/ $2/" "$c/$name"; done
}
all=$(ls "$c")
case "$*" in
    'ps --all --no-trunc --filter label=com.docker.compose.project.working_dir='*)
        fails ps
        [[ $5 != *="$HOME/containers/app" ]] || cat "$c"/* 2> /dev/null || true ;;
    'ps --all --no-trunc --format {{.ID}} {{.State}}')
        fails ps
        cat "$c"/* 2> /dev/null | cut -d ' ' -f 1,5 ;;
    'ps --quiet') ;;
    'compose version') ;;
    'compose --project-name wiki --profile * stop')
        echo stop >> "$HOME/called"
        fails stop
        change 'running|paused|restarting' exited $all ;;
    'compose --project-name wiki '*'start '*)
        text="$*" names=${text##*start }
        echo "start $names" >> "$HOME/called"
        fails start
        # Compose also starts what a service depends on.
        [[ $names != *app* || ! -e $c/database ]] || names+=" database"
        change exited running $names ;;
    'stop '*) change running exited $(grep -l "^$2 " "$c"/* | xargs -n 1 basename) ;;
    'pause '*) change running paused $(grep -l "^$2 " "$c"/* | xargs -n 1 basename) ;;
    'inspect --format {{.State.ExitCode}} '*) echo 1 ;;
    *) echo "not expected: $*" >&2; exit 64 ;;
esac
"#;

struct Service {
    sandbox: Sandbox,
    actions: PathBuf,
}

impl Service {
    /// The service that `new-container app --stop` makes, with these containers and their states.
    #[track_caller]
    fn with(containers: &[(&str, &str)]) -> Service {
        let sandbox = Sandbox::new();
        sandbox.run(&mut tool(&sandbox, &["app", "--stop"])).expect_success();
        sandbox.script("bin/docker", DOCKER);
        std::fs::create_dir(sandbox.path("c")).unwrap();
        built("build-ignore", "build-ignore");
        let service = Service { sandbox, actions: built("pre-backup-actions", "pre-backup-actions") };
        for (name, state) in containers {
            service.set(name, state);
        }
        service
    }

    #[must_use]
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.sandbox.command(&self.actions);
        let path = format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display());
        self.sandbox.run(command.args(arguments).env("PATH", path))
    }

    /// Makes Docker fail at `what`, or work again.
    #[track_caller]
    fn fails(&self, what: &str, fails: bool) {
        let path = self.sandbox.path(format!("{what}-fails"));
        if fails { std::fs::write(path, "").unwrap() } else { std::fs::remove_file(path).unwrap() }
    }

    #[track_caller]
    fn set(&self, name: &str, state: &str) {
        self.sandbox.write(format!("c/{name}"), format!("id-{name} wiki {name} {name} {state}\n"));
    }

    /// Each container with its state.
    #[track_caller]
    fn states(&self) -> String {
        let mut states: Vec<String> = std::fs::read_dir(self.sandbox.path("c"))
            .unwrap()
            .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
            .map(|line| line.split_whitespace().skip(3).collect::<Vec<_>>().join("="))
            .collect();
        states.sort();
        states.join(" ")
    }
}

#[test]
fn each_container_is_stopped_and_gets_its_own_state_back() {
    let service = Service::with(&[("app", "running"), ("cron", "paused"), ("database", "running")]);
    service.run(&[]).expect_success();
    assert_eq!(service.states(), "app=exited cron=exited database=exited");
    service.run(&["--after"]).expect_success();
    assert_eq!(service.states(), "app=running cron=paused database=running");
    let called = service.sandbox.read("called");
    assert_eq!(called, "stop\nstart app cron database\n");
    // A second time there is nothing left to do.
    service.run(&["--after", "--all"]).expect_success();
    assert_eq!(service.sandbox.read("called"), called);
}

#[test]
fn a_service_that_was_down_stays_down() {
    let service = Service::with(&[("app", "exited")]);
    service.run(&[]).expect_success();
    service.run(&["--after"]).expect_success();
    assert_eq!(service.states(), "app=exited");
    assert!(!service.sandbox.path("called").exists());
}

#[test]
fn a_container_that_was_down_is_stopped_again_if_compose_starts_it_with_the_others() {
    let service = Service::with(&[("app", "running"), ("database", "exited")]);
    service.run(&[]).expect_success();
    service.run(&["--after"]).expect_success();
    assert_eq!(service.states(), "app=running database=exited");
}

#[test]
fn a_container_that_keeps_running_fails_the_step() {
    let service = Service::with(&[("app", "running")]);
    service.fails("stop", true);
    let ran = service.run(&[]).expect_code(1);
    assert!(ran.stdout.contains("app is still running"), "{}", ran.everything());
    service.fails("stop", false);
    // It stopped after all, later than Docker waited for it.
    service.set("app", "exited");
    service.fails("start", true);
    service.run(&["--after"]).expect_code(1);
    assert_eq!(service.states(), "app=exited");
    service.fails("start", false);
    service.run(&["--after"]).expect_success();
    assert_eq!(service.states(), "app=running");
}

/// Stopped without having asked for its state, no one would know that it has to be started.
#[test]
fn nothing_is_stopped_if_docker_does_not_answer() {
    let service = Service::with(&[("app", "running")]);
    service.fails("ps", true);
    service.run(&[]).expect_code(1);
    assert_eq!(service.states(), "app=running");
    assert!(!service.sandbox.path("called").exists());
}

/// `docker compose down` by hand: there is nothing to start, and that is not a failure.
#[test]
fn a_container_that_was_removed_in_between_is_done() {
    let service = Service::with(&[("app", "running")]);
    service.run(&[]).expect_success();
    std::fs::remove_file(service.sandbox.path("c/app")).unwrap();
    service.run(&["--after"]).expect_success();
    assert!(!service.sandbox.path("data/app/.stopped-for-backup").exists());
}

/// An earlier preparation that left nothing but its note.
#[test]
fn containers_that_an_earlier_run_stopped_are_not_forgotten_by_the_next() {
    let service = Service::with(&[("app", "running"), ("database", "running")]);
    service.run(&[]).expect_success();
    std::fs::remove_file(service.sandbox.path("containers/backrest/state/actions/journal")).unwrap();
    service.set("database", "running");
    service.run(&[]).expect_success();
    service.run(&["--after"]).expect_success();
    assert_eq!(service.states(), "app=running database=running");
}
