//! The order in which services start.

use std::path::PathBuf;

use super::*;
use crate::declare;

fn candidate(name: &str, script: Option<&str>) -> Candidate {
    let folder = PathBuf::from("/data").join(name);
    let prepare = script.map(|text| Script {
        path: folder.join("prepare-backup.sh"),
        folder: folder.clone(),
        declarations: declare::parse(text.as_bytes()),
        by_shell: false,
        refusal: None,
    });
    let container = PathBuf::from("/containers").join(name);
    Candidate { name: name.into(), data: folder, container, prepare, after: None }
}

#[track_caller]
fn names_of(candidates: &[Candidate], only: &[&str]) -> Result<(Vec<String>, Vec<String>)> {
    let only: Vec<_> = only.iter().map(|text| crate::cli::parse_pattern(text).unwrap()).collect();
    let (steps, problems) = steps(candidates, &only)?;
    let names = steps.iter().map(|step| step.candidate.shown_name()).collect();
    Ok((names, problems.iter().map(ToString::to_string).collect()))
}

#[test]
fn services_come_by_name_but_none_before_what_it_waits_for() {
    let candidates = [
        candidate("a", Some("# after: c\n")),
        candidate("b", Some("")),
        candidate("c", Some("# after: d\n# after: b")),
        candidate("d", Some("")),
    ];
    assert_eq!(names_of(&candidates, &[]).unwrap().0, ["b", "d", "c", "a"]);
    assert_eq!(names_of(&candidates, &["a", "d"]).unwrap(), (vec!["a".into(), "d".into()], vec![]));
}

#[test]
fn a_cycle_is_reported_and_broken() {
    let candidates = [
        candidate("a", Some("# after: b\n")),
        candidate("b", Some("# after: c\n")),
        candidate("c", Some("# after: a\n# after: c\n")),
    ];
    let (names, problems) = names_of(&candidates, &[]).unwrap();
    assert_eq!(names, ["c", "b", "a"]);
    assert_eq!(
        problems,
        [
            "/data/c/prepare-backup.sh: after: the services wait for each other (a → b → c → a); c does not wait for a",
            "/data/c/prepare-backup.sh: after: the services wait for each other (c → c); c does not wait for c",
        ]
    );
}

#[test]
fn waiting_for_an_unknown_service_is_reported_with_its_line() {
    let candidates = [candidate("a", Some("#!/bin/sh\n# after: postgre\n"))];
    let problems = names_of(&candidates, &[]).unwrap().1;
    assert!(
        problems[0].starts_with("/data/a/prepare-backup.sh:2: after: no service postgre "),
        "{problems:?}"
    );
}

#[test]
fn only_takes_names_and_globs_and_reports_what_names_nothing() {
    let all = ["db-one", "db-two", "*", "web", "[x]"].map(|name| candidate(name, Some("")));
    assert_eq!(names_of(&all, &["db-*"]).unwrap().0, ["db-one", "db-two"]);
    assert_eq!(names_of(&all, &["[x]", "{web,nothing}"]).unwrap().0, ["web", "[x]"]);
    assert_eq!(names_of(&all, &["*"]).unwrap().0.len(), 5);
    let error = names_of(&all, &["web", "mail"]).unwrap_err().to_string();
    assert_eq!(error, "--only mail: no service of that name has a prepare-backup.sh");
    assert!(names_of(&[candidate("a", None)], &["a"]).is_err());
    for (word, name) in [("Web", "web"), ("db-onee", "db-one")] {
        let error = names_of(&all, &[word]).unwrap_err();
        assert_eq!(common::exit::hint_of(&error), Some(format!("did you mean {name}?").as_str()));
    }
}
