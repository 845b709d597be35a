//! The examples of `docs/ignore-rules.md`, tried with git and in backups by both versions of restic.

use common::testing::Sandbox;

use crate::command_line::PROGRAM;
use crate::mistakes::rows_of;
use crate::oracle::{Paths, Restic, kept_by_git, scratch};

const PAGE: &str = include_str!("../../../../docs/ignore-rules.md");

/// Rules with paths that they leave out and paths that they keep.
struct Example {
    rules: String,
    left_out: Vec<&'static str>,
    kept: Vec<&'static str>,
}

/// The texts in back-quotes.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The table of rules, and the examples with a heading each.
#[track_caller]
fn examples() -> Vec<Example> {
    let rules = rows_of(PAGE, "## The rules in a minute").into_iter().map(|row| Example {
        rules: row[0].split("` `").map(|rule| format!("{rule}\n")).collect(),
        left_out: row[2].split("` `").filter(|path| *path != "–").collect(),
        kept: row[3].split("` `").collect(),
    });
    let part = PAGE.split("## Ten examples").nth(1).unwrap().split("\n## ").next().unwrap();
    let longer = part.split("\n### ").skip(1).map(|example| {
        let (_, rest) = example.split_once("```gitignore\n").expect("it has rules");
        let (rules, rest) = rest.split_once("```").expect("they end");
        let row = rest.lines().rfind(|line| line.starts_with("| `"));
        let row = row.and_then(|row| row.split_once(" | ")).expect("it has a row");
        Example { rules: rules.to_string(), left_out: code(row.0), kept: code(row.1) }
    });
    rules.chain(longer).collect()
}

#[test]
fn each_rule_of_the_page_leaves_out_what_the_page_says() {
    let examples = examples();
    assert!(examples.len() > 20, "{}", examples.len());
    let sandbox = Sandbox::new();
    let mut expected = Paths::new();
    for (number, example) in examples.iter().enumerate() {
        println!("{number}: {:?} {:?} {:?}", example.rules, example.left_out, example.kept);
        sandbox.write(format!("data/{number}/.resticignore"), &example.rules);
        for path in example.left_out.iter().chain(&example.kept) {
            sandbox.write(format!("data/{number}/{path}"), "");
        }
        // A rule for all names is for this one, too.
        let own = (!example.rules.starts_with("*\n")).then_some(&".resticignore");
        expected.extend(example.kept.iter().chain(own).map(|path| format!("{number}/{path}").into_bytes()));
    }
    let root = sandbox.path("data");
    assert_eq!(kept_by_git(&root, scratch().path()), expected);
    let home = sandbox.home().display().to_string();
    sandbox.run(sandbox.command(PROGRAM).args(["--mount", &home])).expect_success();
    for restic in Restic::both() {
        let exclude_file = sandbox.path("containers/backrest/ignorefile.txt");
        assert_eq!(restic.backed_up(&root, &exclude_file), expected, "{}", restic.version());
    }
}

#[test]
fn the_fields_of_the_page_are_those_of_the_report() {
    let sandbox = Sandbox::new();
    sandbox.write("data/wiki/.resticignore", "cache\n/nothing\n");
    for path in ["data/wiki/cache/1", "data/wiki/2"] {
        sandbox.write(path, "12345");
    }
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--report", "--json"])).expect_success();
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut printed = [keys(&report), keys(&report["total"])].concat();
    let rows = rows_of(PAGE, "`--report --json` prints one object:");
    let mut documented: Vec<_> = rows.iter().flat_map(|row| row[0].split("`, `")).map(String::from).collect();
    printed.sort();
    documented.sort();
    assert_eq!(documented, printed);
    for (row, object) in [("scan", &report["scan"]), ("largest", &report["largest_kept"][0])] {
        let row = rows.iter().find(|cells| cells[0].starts_with(row)).unwrap().join(" ");
        assert!(keys(object).iter().all(|key| row.contains(key.as_str())), "{row}: {object}");
    }
}
