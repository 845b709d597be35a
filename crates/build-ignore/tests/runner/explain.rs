//! `--explain` says what git says, on every path of a random tree.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::testing::Sandbox;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::command_line::PROGRAM;
use crate::generate;
use crate::oracle::{check_ignore, scratch};
use crate::property::setting;

#[test]
fn it_names_the_rule_and_the_folder_above() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "cache/\n*.log\n!keep.log\n");
    for file in ["cache/deep/x", "a.log", "keep.log", "photo"] {
        sandbox.write(format!("data/s/{file}"), "");
    }
    let explain = |paths: &[&str]| sandbox.run(sandbox.command(PROGRAM).arg("--explain").args(paths));
    let home = sandbox.home().to_string_lossy().into_owned();
    let rules = format!("{home}/data/s/.resticignore");

    let ran = explain(&["data/s/a.log"]).expect_code(0);
    assert_eq!(ran.stdout, format!("{home}/data/s/a.log: left out: {rules}:2: *.log\n"));
    let ran = explain(&["/userdata/data/s/cache/deep/x"]).expect_code(0);
    assert!(
        ran.stdout.contains(&format!("left out with the folder {home}/data/s/cache: {rules}:1: cache/")),
        "{}",
        ran.everything()
    );
    let ran = explain(&["data/s/keep.log", "data/s/photo"]).expect_code(1);
    assert!(ran.stdout.contains(&format!("kept: {rules}:3: !keep.log")), "{}", ran.everything());
    assert!(ran.stdout.contains("photo: kept: no rule matches it"), "{}", ran.everything());
    let ran = explain(&["data/s/keep.log", "data/s/a.log"]).expect_code(0);
    assert_eq!(ran.stdout.lines().count(), 2);
    let ran = explain(&["/etc/passwd", "data/s/missing"]).expect_code(1);
    assert!(ran.stdout.contains("/etc/passwd: is not below"), "{}", ran.everything());
    assert!(ran.stdout.contains("missing: No such file"), "{}", ran.everything());
}

#[test]
fn a_path_that_had_to_be_named_says_why() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*\n!*/\n!*.txt\n");
    sandbox.write("data/s/d/x.jpg", "");
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--explain", "data/s/d/x.jpg"])).expect_success();
    assert!(
        ran.stdout.contains(
            "by a line for the path itself: line 1: *; restic would take it back in because of line 2: !*/"
        ),
        "{}",
        ran.everything()
    );
}

#[test]
fn a_path_over_the_limit_of_single_paths_is_reported_as_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*\n!*/\n!*.md\n");
    for number in 10_000..15_100 {
        sandbox.write(format!("data/s/d/{number}.jpg"), "");
    }
    let explain = |path: &str| sandbox.run(sandbox.command(PROGRAM).args(["--explain", path]));
    let ran = explain("data/s/d/10000.jpg").expect_code(0);
    assert!(ran.stdout.contains("10000.jpg: left out: "), "{}", ran.everything());
    let ran = explain("data/s/d/15099.jpg").expect_code(1);
    assert!(
        ran.stdout.contains(
            ".resticignore:1: * does not hold: more than 5000 paths of its service would need lines of their own"
        ),
        "{}",
        ran.everything()
    );
}

/// git calls that "beyond a symbolic link".
#[test]
fn symlinks_lead_to_a_root_but_nowhere_inside_it() {
    let sandbox = Sandbox::new();
    sandbox.write("disk/s/.resticignore", "*.log\n");
    sandbox.write("disk/s/a.log", "");
    std::fs::remove_dir_all(sandbox.path("data")).unwrap();
    std::os::unix::fs::symlink("disk", sandbox.path("data")).unwrap();
    std::os::unix::fs::symlink("/etc", sandbox.path("disk/s/link")).unwrap();
    let explain = |path: &str| sandbox.run(sandbox.command(PROGRAM).args(["--explain", path]));
    for path in ["data/s/a.log", "disk/s/a.log", "/userdata/data/s/a.log"] {
        let ran = explain(path).expect_code(0);
        assert!(ran.stdout.contains("a.log: left out: "), "{}", ran.everything());
    }
    let ran = explain("data/s/link").expect_code(1);
    assert!(ran.stdout.contains("link: kept: no rule matches it"), "{}", ran.everything());
    let ran = explain("data/s/link/passwd").expect_code(1);
    assert!(ran.stdout.contains("passwd: is behind the symlink "), "{}", ran.everything());
}

/// check-ignore reads only files called .gitignore, so the tree gets those, with the same rules.
#[test]
fn it_agrees_with_git_check_ignore_on_every_path() {
    let seed = setting("IGNORE_SEED").unwrap_or_else(|| rand::rng().random());
    println!("IGNORE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let sandbox = Sandbox::new();
    let scratch = scratch();
    let mut paths = Vec::new();
    for number in 0..60 {
        let case = generate::service(&mut random, 30);
        let service = format!("service-{number}");
        case.write(&sandbox.path("data").join(&service));
        for names in case.nodes.keys() {
            paths.push([service.as_bytes(), b"/", &names.join(&b'/')].concat());
        }
    }
    let root = sandbox.path("data");
    for path in &paths {
        if path.ends_with(b"/.resticignore") {
            let path = root.join(std::ffi::OsStr::from_bytes(path));
            std::fs::copy(&path, path.with_file_name(".gitignore")).unwrap();
        }
    }
    let expected = check_ignore(&root, scratch.path(), &paths);
    assert_eq!(expected.len(), paths.len());
    let mut command = sandbox.command(PROGRAM);
    command.args(["--json", "--explain", "--"]);
    command.args(paths.iter().map(|path| root.join(std::ffi::OsStr::from_bytes(path))));
    let ran = sandbox.run(&mut command);
    let answers: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), paths.len());
    let mut decided = 0;
    for ((path, expected), answer) in paths.iter().zip(&expected).zip(&answers) {
        let decision = &answer["decided_by"];
        let found = decision["file"].as_str().map(|file| {
            let file = Path::new(file).strip_prefix(&root).unwrap().with_file_name(".gitignore");
            (file, decision["line"].as_u64().unwrap(), decision["rule"].as_str().unwrap().to_string())
        });
        let expected = expected.as_ref().map(|(file, line, rule)| {
            (
                Path::new(std::ffi::OsStr::from_bytes(file)).to_path_buf(),
                *line,
                String::from_utf8_lossy(rule).into_owned(),
            )
        });
        let is_left_out = expected.as_ref().is_some_and(|(_, _, rule)| !rule.starts_with('!'));
        let shown = path.escape_ascii();
        assert_eq!(
            answer["outcome"] == "left out",
            is_left_out,
            "IGNORE_SEED={seed} {shown}: {answer} {expected:?}"
        );
        let lossy = |found: Option<(std::path::PathBuf, u64, String)>| {
            found.map(|(file, line, rule)| (file.to_string_lossy().into_owned(), line, rule))
        };
        assert_eq!(lossy(found), lossy(expected), "IGNORE_SEED={seed} {shown}");
        decided += usize::from(is_left_out);
    }
    assert!(decided > 50, "the tree has to hold paths that are left out");
    println!("{} paths, {decided} left out", paths.len());
}
