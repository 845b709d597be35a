//! Rules that look like a mistake get a hint with the rule to write, and keep git's meaning.

use common::testing::Sandbox;

use crate::command_line::PROGRAM;

/// Rules of the service immich that match nothing, and what the hint has to contain.
const MISTAKES: &[(&str, &str)] = &[
    ("immich/thumbs", "not at the top; /thumbs would match 1 path"),
    ("data/immich/thumbs/", "/thumbs/ would match 1 path"),
    ("HOST/data/immich/thumbs", "/thumbs would match 1 path"),
    ("/userdata/data/immich/thumbs", "/thumbs would match 1 path"),
    ("$HOME/data/immich/thumbs", "no variable and no ~ is expanded in a rule; /thumbs would match 1 path"),
    ("~/data/immich/nothing", "/nothing would match nothing today either"),
    ("./thumbs", "no path begins with ./; /thumbs would match 1 path"),
    ("thumbs\t", "part of the name; thumbs would match 1 path"),
    ("thumbs # previews", "a comment needs a line of its own; thumbs would match 1 path"),
    ("\"thumbs\"", "quotes are part of the name; thumbs would match 1 path"),
    ("'*.log'", "*.log would match 2 paths"),
    ("Thumbs", "case counts in names; there is thumbs"),
    ("/Thumbs/", "case counts in names; there is /thumbs"),
    ("*.{log,tmp}", "braces are part of the name; *.log and *.tmp would match 3 paths"),
    ("(?i)thumbs", "thumbs would match 1 path"),
    ("+ thumbs", "thumbs would match 1 path"),
    ("- thumbs", "thumbs would match 1 path"),
    ("re:.*log", "there are no regular expressions"),
    ("//thumbs", "two slashes in a row match nothing; /thumbs would match 1 path"),
    ("!", "it says nothing"),
    ("/", "it says nothing"),
];

fn home() -> Sandbox {
    let sandbox = Sandbox::new();
    for path in ["thumbs/1", "a.log", "d/b.log", "c.tmp", "photo"] {
        sandbox.write(format!("data/immich/{path}"), "");
    }
    sandbox
}

fn warnings(sandbox: &Sandbox) -> String {
    sandbox.run(sandbox.command(PROGRAM).args(["--output", "-"])).expect_success().stderr
}

#[test]
fn each_mistake_gets_its_hint() {
    let sandbox = home();
    let host = sandbox.home().display().to_string();
    let rules: Vec<String> = MISTAKES.iter().map(|(rule, _)| rule.replace("HOST", &host) + "\n").collect();
    sandbox.write("data/immich/.resticignore", rules.concat());
    let found = warnings(&sandbox);
    for (line, (rule, expected)) in (1..).zip(MISTAKES) {
        let place = format!("data/immich/.resticignore:{line}: ");
        let hint = found.lines().find(|found| found.contains(&place) && found.contains(expected));
        assert!(hint.is_some(), "line {line}, {rule:?}: no {expected:?} in\n{found}");
    }
}

#[test]
fn a_rule_that_works_is_not_questioned() {
    let sandbox = home();
    sandbox.write("data/immich/.resticignore", "*.log\n!keep.log\n/thumbs/\n*.nothing\n/not/here\n");
    assert_eq!(warnings(&sandbox), "");
    // Names that only look odd.
    sandbox.write("data/immich/.resticignore", "- odd\n{a,b}\nimmich/x\n");
    for name in ["- odd", "{a,b}", "immich/x"] {
        sandbox.write(format!("data/immich/{name}"), "");
    }
    assert_eq!(warnings(&sandbox), "");
}

#[test]
fn an_exception_behind_a_left_out_folder_and_a_repeated_rule_are_named() {
    let sandbox = home();
    sandbox.write("data/immich/.resticignore", "thumbs/\n!thumbs/1\n*.log\n*.log\n!a.log\n*.log\n");
    let found = warnings(&sandbox);
    assert!(found.contains(":2: !thumbs/1: it can't take anything back in: line 1 (thumbs/) leaves out its folder thumbs; write thumbs/* there"), "{found}");
    assert!(found.contains(":4: the same as line 3: *.log") && !found.contains(":6:"), "{found}");
    sandbox.write("data/immich/.resticignore", "thumbs/*\n!thumbs/1\n");
    assert_eq!(warnings(&sandbox), "");
}

#[test]
fn files_that_git_does_not_read_as_rules_are_named() {
    let sandbox = home();
    sandbox.write("data/immich/.resticignore.txt", "x\n");
    sandbox.write("data/immich/.Resticignore", "x\n");
    sandbox.write("data/utf16/.resticignore", b"\xff\xfe*\0.\0l\0o\0g\0\n\0");
    sandbox.write("data/mac/.resticignore", "*.log\r*.tmp\r");
    let found = warnings(&sandbox);
    for expected in [
        "data/immich/.resticignore.txt: not read: the name is .resticignore",
        "data/immich/.Resticignore: not read: the name is .resticignore",
        "data/utf16/.resticignore: UTF-16 text",
        "data/mac/.resticignore: its lines end with a carriage return alone",
    ] {
        assert!(found.contains(expected), "no {expected:?} in\n{found}");
    }
}

/// The rows of the table behind this heading, each as its cells without the back-quotes.
pub(crate) fn rows_of<'p>(page: &'p str, heading: &str) -> Vec<Vec<&'p str>> {
    let (_, section) = page.split_once(heading).expect("the page has this section");
    let rows = section.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect())
        .collect()
}

#[test]
fn the_mistakes_of_the_page_get_their_hints() {
    let rows = rows_of(include_str!("../../../../docs/ignore-rules.md"), "## Rules that look like a mistake");
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let sandbox = home();
        sandbox.write("data/immich/.resticignore", format!("{}\n", row[0]));
        let found = warnings(&sandbox);
        let write = row[1].replace('`', "");
        let is_named =
            found.contains(&format!("{write} would match")) || found.contains(&format!("there is {write}"));
        assert!(is_named, "{row:?}: {found}");
    }
}
