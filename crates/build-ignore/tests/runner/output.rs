//! The exclude file as the drop-in for the old script's: found, anchored, atomic, the same each time.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::testing::Sandbox;

use crate::command_line::PROGRAM;
use crate::oracle::Restic;

const IGNORE_FILE: &str = "containers/backrest/ignorefile.txt";

#[track_caller]
fn build(sandbox: &Sandbox) -> String {
    sandbox.run(&mut sandbox.command(PROGRAM)).expect_success();
    sandbox.read(IGNORE_FILE)
}

fn patterns(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

#[test]
fn the_file_reads_well() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "data/immich/.resticignore",
        "# previews can be made again\nthumbs/\n*.log\n!keep.log\n/cache\n",
    );
    sandbox.write("data/immich/keep.log", "");
    sandbox.write("data/my app/.resticignore", "[!a-z]*\ndo$lar\nblank\\ \n");
    sandbox.write("data/my app/deep/.resticignore", "*\n!*/\n!*.txt\n");
    sandbox.write("data/my app/deep/x", "");
    sandbox.write("containers/web/.resticignore", "a/**/b/**/c\n[abc\n");
    let text = build(&sandbox).replace(&*sandbox.home().to_string_lossy(), "~");
    insta::assert_snapshot!(text);
}

#[test]
fn a_service_without_a_folder_in_the_container_root_counts() {
    let sandbox = Sandbox::new();
    sandbox.write("data/only-data/.resticignore", "/cache\n");
    assert_eq!(patterns(&build(&sandbox)), ["/userdata/data/only-data/cache"]);
}

#[test]
fn patterns_of_one_root_do_not_reach_into_the_other() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/web/.resticignore", "/cache\n");
    assert_eq!(patterns(&build(&sandbox)), ["/userdata/containers/web/cache"]);
}

#[test]
fn nested_files_count_from_their_own_folder() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/a/b/.resticignore", "/x\n");
    assert_eq!(patterns(&build(&sandbox)), ["/userdata/data/s/a/b/x"]);
}

#[test]
fn one_malformed_line_does_not_stop_restic() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "[abc\nx[\n\\\n[[:nope:]]\n*.log\n");
    sandbox.write("data/s/a.log", "");
    sandbox.write("data/s/a.txt", "");
    let root = sandbox.path("data");
    let mut command = sandbox.command(PROGRAM);
    sandbox.run(command.arg("--mount").arg(sandbox.home())).expect_success();
    for restic in Restic::both() {
        let backed_up = restic.backed_up(&root, &sandbox.path(IGNORE_FILE));
        let backed_up: Vec<_> = backed_up.iter().map(|path| String::from_utf8_lossy(path)).collect();
        assert_eq!(backed_up, ["s/.resticignore", "s/a.txt"], "{}", restic.version());
    }
}

#[test]
fn names_of_any_kind_are_services() {
    let sandbox = Sandbox::new();
    for name in ["with blank", "-dash", "*", "line\nbreak", "[x]", "$HOME"] {
        sandbox.write(format!("data/{name}/.resticignore"), "/x\n");
    }
    assert_eq!(
        patterns(&build(&sandbox)),
        [
            "/userdata/data/$$HOME/x",
            "/userdata/data/\\*/x",
            "/userdata/data/-dash/x",
            "/userdata/data/\\[x\\]/x",
            "/userdata/data/line[^\u{1}-\t\u{b}-\u{7f}\u{80}-\u{10ffff}]break/x",
            "/userdata/data/with blank/x",
        ]
    );
}

#[test]
fn the_same_tree_makes_the_same_bytes_and_an_unchanged_file_is_not_touched() {
    let sandbox = Sandbox::new();
    for number in 0..50 {
        sandbox.write(format!("data/s{number}/.resticignore"), "*.log\n!keep.log\n*\n!*/\n");
        sandbox.write(format!("data/s{number}/d/x.log"), "");
    }
    let first = build(&sandbox);
    let inode = fs::metadata(sandbox.path(IGNORE_FILE)).unwrap().ino();
    assert_eq!(build(&sandbox), first);
    assert_eq!(
        fs::metadata(sandbox.path(IGNORE_FILE)).unwrap().ino(),
        inode,
        "an unchanged file is not replaced"
    );
}

#[test]
fn a_reader_never_sees_half_a_file_and_the_mode_stays() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "/old\n");
    build(&sandbox);
    let path = sandbox.path(IGNORE_FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let old = fs::File::open(&path).unwrap();
    sandbox.write("data/s/.resticignore", "/new\n");
    build(&sandbox);
    let still_whole = std::io::read_to_string(old).unwrap();
    assert_eq!(patterns(&still_whole), ["/userdata/data/s/old"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let left = fs::read_dir(sandbox.path("containers/backrest")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "state").collect();
    assert_eq!(left.len(), 1, "nothing but the file: {left:?}");
}

#[test]
fn a_symlink_in_its_place_leads_to_the_file_that_is_replaced() {
    let sandbox = Sandbox::new();
    let real = sandbox.write("elsewhere/real.txt", "");
    std::os::unix::fs::symlink(&real, sandbox.path(IGNORE_FILE)).unwrap();
    sandbox.write("data/s/.resticignore", "/x\n");
    build(&sandbox);
    assert_eq!(patterns(&sandbox.read("elsewhere/real.txt")), ["/userdata/data/s/x"]);
    assert!(sandbox.path(IGNORE_FILE).is_symlink());
}

#[test]
fn places_come_from_flag_then_environment_then_env_file_then_default() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "x\n");
    let output_of = |sandbox: &Sandbox, flag: Option<&str>, environment: Option<&str>| {
        let mut command = sandbox.command(PROGRAM);
        command.arg("--json").args(flag.map(|flag| ["--output", flag]).into_iter().flatten());
        if let Some(value) = environment {
            command.env("IGNORE_FILE", value);
        }
        // Every service's own .env sets these; they must not count.
        command.env("DATA_DIR", "/nonexistent/data").env("CONTAINER_DIR", "/nonexistent/containers");
        let ran = sandbox.run(&mut command).expect_success();
        let summary: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        summary["output"].as_str().unwrap().replace(&*sandbox.home().to_string_lossy(), "~")
    };
    assert_eq!(output_of(&sandbox, None, None), "~/containers/backrest/ignorefile.txt");
    sandbox.write(
        "containers/backrest/.env",
        "export IGNORE_FILE=\"${MISSING:-from}-env-file.txt\" # comment\n",
    );
    assert_eq!(output_of(&sandbox, None, None), "~/containers/backrest/from-env-file.txt");
    assert_eq!(output_of(&sandbox, None, Some("from-environment.txt")), "~/from-environment.txt");
    assert_eq!(output_of(&sandbox, Some("from-flag.txt"), Some("from-environment.txt")), "~/from-flag.txt");
}

#[test]
fn the_tools_own_folders_are_left_out_until_the_person_removes_the_rules() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/backrest/.resticignore", "/mine");
    sandbox.write("containers/backrest/bridge/backrest-send", "");
    sandbox.write("data/backrest/cache/x", "");
    let text = build(&sandbox);
    for pattern in [
        "containers/backrest/mine",
        "containers/backrest/bridge/*",
        "containers/backrest/state/*",
        "data/backrest/cache/*",
    ] {
        assert!(text.contains(&format!("\n/userdata/{pattern}\n")), "no {pattern} in {text}");
    }
    let rules = sandbox.read("containers/backrest/.resticignore");
    assert_eq!(rules.lines().count(), 6, "{rules}");
    assert_eq!(build(&sandbox), text, "added once");
    sandbox.write("containers/backrest/.resticignore", "/mine\n");
    assert!(!build(&sandbox).contains("bridge"));
    assert_eq!(sandbox.read("containers/backrest/.resticignore"), "/mine\n", "and never again");
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--output", "/no/such/x"])).expect_code(1);
    assert!(
        ran.stderr.contains("/no/such/x: there is no folder /no/such\nhint: mkdir -p /no/such"),
        "{}",
        ran.everything()
    );
}

/// `/opt/stacks` holds both, or one root lies in the other.
#[test]
fn roots_that_overlap_are_one_tree() {
    let sandbox = Sandbox::empty();
    sandbox.write("stacks/web/.resticignore", "cache/\n*.log\n");
    sandbox.write("stacks/web/data/cache/x", vec![0; 1000]);
    sandbox.write("stacks/web/compose.yaml", "services: {}\n");
    let stacks = sandbox.path("stacks").display().to_string();
    let inner = format!("{stacks}/web");
    for (data, containers) in [(&stacks, &stacks), (&stacks, &inner), (&inner, &stacks)] {
        let run = |mode: &[&str]| {
            let mut command = sandbox.command(PROGRAM);
            command.args(["--data-root", data, "--container-root", containers]).args(mode);
            sandbox.run(&mut command).expect_success().stdout
        };
        let name = if data == &inner { "containers" } else { "data" };
        let text = run(&["--output", "-"]);
        assert_eq!(
            patterns(&text),
            [format!("/userdata/{name}/web/*/cache/*"), format!("/userdata/{name}/web/*.log")],
            "{text}"
        );
        let report: serde_json::Value = serde_json::from_str(&run(&["--report", "--json"])).unwrap();
        assert_eq!(report["total"]["bytes_left_out"], 1000, "counted once: {report}");
    }
}
