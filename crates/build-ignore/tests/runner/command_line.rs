//! What the command line offers and how it ends.

use common::testing::{Sandbox, Unwritable};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_build-ignore");

#[test]
fn help_teaches() {
    let sandbox = Sandbox::empty();
    let ran = sandbox.run(sandbox.command(PROGRAM).arg("--help")).expect_success();
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn a_wrong_command_line_exits_with_two() {
    let sandbox = Sandbox::new();
    sandbox.run(sandbox.command(PROGRAM).arg("--nonsense")).expect_code(2);
    sandbox.run(sandbox.command(PROGRAM).arg("--explain")).expect_code(2);
    sandbox.run(sandbox.command(PROGRAM).arg("stray")).expect_code(2);
    sandbox.run(sandbox.command(PROGRAM).args(["--check", "--report"])).expect_code(2);
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let sandbox = Sandbox::new();
    for number in 0..3000 {
        sandbox.write(format!("data/s{number}/.resticignore"), "*.log\n");
    }
    let script = format!("{PROGRAM} --output - | head -1; exit ${{PIPESTATUS[0]}}");
    let ran = sandbox.run(sandbox.command("bash").args(["-c", &script])).expect_success();
    assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (1, ""), "{}", ran.everything());
}

/// Each mode, with its exit code; the file is only out of date for the first.
#[test]
fn every_mode_finishes_its_work_and_reports_a_full_disk_alone() {
    let modes: [(&[&str], i32); 16] = [
        (&["--check"], 1),
        (&["--check", "--json"], 1),
        (&[], 0),
        (&["--json"], 0),
        (&["--check"], 0),
        (&["--check", "--json"], 0),
        (&["--report"], 0),
        (&["--report", "--json"], 0),
        (&["--explain", "data/s/a.log"], 0),
        (&["--explain", "data/s/.resticignore", "--json"], 1),
        (&["--coverage"], 0),
        (&["--coverage", "--json"], 0),
        (&["--compare", "containers/backrest/ignorefile.txt"], 0),
        (&["--compare", "containers/backrest/ignorefile.txt", "--json"], 0),
        (&["--kept0"], 0),
        (&["--output", "-"], 0),
    ];
    for output in Unwritable::ALL {
        let sandbox = Sandbox::new();
        sandbox.write("data/s/.resticignore", "*.log\n");
        sandbox.write("data/s/a.log", "");
        for (arguments, code) in modes {
            let ran = sandbox.run_unwritable(sandbox.command(PROGRAM).args(arguments), output, code);
            let lines = usize::from(output == Unwritable::FullDisk);
            assert_eq!(ran.stderr.lines().count(), lines, "{arguments:?}: {}", ran.everything());
        }
        assert!(sandbox.read("containers/backrest/ignorefile.txt").contains("*.log"));
        sandbox.write("data/s/.resticignore", "*.tmp\n");
        let ran = sandbox.run_unwritable(sandbox.command(PROGRAM).arg("--adopt"), output, 0);
        assert!(sandbox.read("containers/backrest/ignorefile.txt").contains("*.tmp"), "{}", ran.everything());
    }
}

#[test]
fn check_reports_what_is_out_of_date_and_writes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*.log\n");
    let ran = sandbox.run(sandbox.command(PROGRAM).arg("--check")).expect_code(1);
    assert!(ran.stdout.contains("not there yet"), "{}", ran.everything());
    sandbox.run(&mut sandbox.command(PROGRAM)).expect_success();
    sandbox.run(sandbox.command(PROGRAM).arg("--check")).expect_success();

    sandbox.write("data/s/.resticignore", "*.tmp\n");
    let before = sandbox.tree();
    let ran = sandbox.run(sandbox.command(PROGRAM).arg("--check")).expect_code(1);
    assert!(ran.stdout.contains("-/userdata/data/s/*.log\n"), "{}", ran.everything());
    assert!(ran.stdout.contains("+/userdata/data/s/*.tmp\n"), "{}", ran.everything());
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn strict_fails_after_writing() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "[abc\n*.log\n");
    sandbox.run(&mut sandbox.command(PROGRAM)).expect_success();
    sandbox.write("data/s/.resticignore", "[abc\n*.tmp\n");
    sandbox.run(sandbox.command(PROGRAM).arg("--strict")).expect_code(1);
    assert!(sandbox.read("containers/backrest/ignorefile.txt").contains("*.tmp"));
}

/// A negation with two `**` is matched by hand, and might take back anything, but in its own service alone.
#[test]
fn a_service_is_not_warned_about_because_of_the_rules_of_another() {
    let sandbox = Sandbox::new();
    sandbox.write("data/a/.resticignore", "d*/\n");
    sandbox.write("data/a/d1/file", "");
    sandbox.write("data/z/.resticignore", "/a/**/b/**/c*\n!/a/**/b/**/cx*\n");
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--strict", "--output", "-"])).expect_success();
    assert!(!ran.stdout.contains("by path"), "{}", ran.everything());
}

#[test]
fn lean_turns_rules_without_match_into_comments() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "/cache\n*.tmp\n!keep.tmp\n");
    sandbox.write("data/s/cache", "");
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--lean", "--output", "-"])).expect_success();
    let active: Vec<&str> =
        ran.stdout.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(active, ["/userdata/data/s/cache"], "{}", ran.everything());
    assert!(ran.stdout.contains("# /userdata/data/s/*.tmp"), "{}", ran.everything());
    sandbox.write("containers/backrest/.env", "IGNORE_LEAN=yes\n");
    assert_eq!(
        sandbox.run(sandbox.command(PROGRAM).args(["--output", "-"])).expect_success().stdout,
        ran.stdout
    );
}

/// Go tries a `*` at every byte of every name. With `--lean` it need not.
#[test]
fn lean_writes_the_names_that_an_ending_matches_or_what_they_have_in_common() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*.log\n!keep.log\n*.tmp\n*.bak\n*log\n*.old\n");
    for name in ["a.log", "d/a.log", "d/b$.log", "keep.log", "d/keep.log"] {
        sandbox.write(format!("data/s/{name}"), "");
    }
    for number in 0..5 {
        sandbox.write(format!("data/s/old-{number}.bak"), "");
        sandbox.write(format!("data/s/{number}.tmp"), "");
        sandbox.write(format!("data/s/app{}.old", "-1".repeat(number)), "");
    }
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--lean", "--output", "-"])).expect_success();
    let lines: Vec<&str> = ran.stdout.lines().skip(3).filter(|line| !line.is_empty()).collect();
    insta::assert_snapshot!(lines.join("\n").replace(&*sandbox.home().to_string_lossy(), "~"));
}

#[test]
fn relative_names_the_flag_that_serves_instead() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--relative", "--output", "-"])).expect_code(2);
    assert!(
        ran.stderr.contains("\nhint: ") && ran.stderr.contains("--mount /home/me"),
        "{}",
        ran.everything()
    );
    assert_eq!(ran.stdout, "");
}

#[test]
fn json_is_one_object_with_the_warnings() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "[abc\n*.log\n");
    let ran = sandbox.run(sandbox.command(PROGRAM).arg("--json")).expect_success();
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&summary["changed"], &summary["rules"]), (&true.into(), &2.into()));
    assert_eq!(summary["warnings"][0]["line"], 1);
}

#[test]
fn the_report_adds_up() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "cache/\n*.bak\n");
    sandbox.write("data/s/cache/deep/large", vec![0; 5000]);
    sandbox.write("data/s/photo", vec![0; 3000]);
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--report", "--json"])).expect_success();
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let service = &report["services"]["data/s"];
    assert_eq!(
        (&service["files_left_out"], &service["bytes_left_out"]),
        (&1.into(), &5000.into()),
        "{report}"
    );
    assert_eq!((&service["files_kept"], &service["bytes_kept"]), (&2.into(), &3013.into()), "{report}");
    assert_eq!(service["rules_without_match"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["largest_left_out"][0]["path"], "data/s/cache/deep/large");
    assert_eq!(report["largest_kept"][0]["path"], "data/s/photo");
    let ran = sandbox.run(sandbox.command(PROGRAM).arg("--report")).expect_success();
    assert!(ran.stdout.contains("4.9 KiB  data/s/cache/deep/large"), "{}", ran.everything());
    assert!(!sandbox.path("containers/backrest/ignorefile.txt").exists(), "a report writes nothing");
}

#[test]
fn the_largest_things_left_out_are_those_that_rules_name() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "thumbs/\n*.log\n");
    sandbox.write("data/s/thumbs/a", vec![0; 2048]);
    sandbox.write("data/s/thumbs/b", vec![0; 2048]);
    sandbox.write("data/s/app.log", vec![0; 4096]);
    for name in ["1.log", "2.log", "3.log", "kept"] {
        sandbox.write(format!("data/s/old/{name}"), vec![0; 1024]);
    }
    let ran = sandbox.run(sandbox.command(PROGRAM).arg("--report")).expect_success();
    let (_, left_out) = ran.stdout.split_once("Largest left out:\n").unwrap();
    let (left_out, _) = left_out.split_once("\n\n").unwrap();
    assert_eq!(
        left_out.lines().map(str::trim).collect::<Vec<_>>(),
        ["4.0 KiB  data/s/app.log", "4.0 KiB  data/s/thumbs", "3.0 KiB  data/s/old (a part of it)"],
        "{}",
        ran.everything()
    );
}
