//! Rules that look like a mistake get a hint with the rule to write, and keep git's meaning.

use common::testing::Sandbox;

use crate::command_line::PROGRAM;
use crate::oracle;

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
    ("!", "it names nothing"),
    ("/", "it names nothing"),
    ("!\"photo\"", "quotes are part of the name; !photo would match 1 path"),
    ("!immich/photo", "not at the top; !/photo would match 1 path"),
    ("! photo", "around it is part of the name; !photo would match 1 path"),
    ("\"data/immich/thumbs\"  # note", "quotes are part of the name; /thumbs would match 1 path"),
    ("\u{201c}thumbs\u{201d}", "quotes are part of the name; thumbs would match 1 path"),
    ("`thumbs`", "quotes are part of the name; thumbs would match 1 path"),
    ("  thumbs", "around it is part of the name; thumbs would match 1 path"),
    ("thumbs\u{a0}", "around it is part of the name; thumbs would match 1 path"),
    ("\u{feff}thumbs", "around it is part of the name; thumbs would match 1 path"),
    ("thu\u{200b}mbs", "can't be seen; thumbs would match 1 path"),
    ("\u{ff0a}.log", "only looks like the usual one, or can't be seen; *.log would match 2 paths"),
    ("thumbs\r\r", "around it is part of the name; thumbs would match 1 path"),
    ("~me/data/immich/thumbs", "no ~ is expanded in a rule; /thumbs would match 1 path"),
    ("%USERPROFILE%\\data\\immich\\thumbs", "no ~ is expanded in a rule; /thumbs would match 1 path"),
    ("${DATA_DIR}/thumbs", "no ~ is expanded in a rule; /thumbs would match 1 path"),
    ("$CACHE/thumbs", "no variable and no ~ is expanded in a rule"),
    ("thumbs\\1", "a / separates names; a backslash escapes the next character; thumbs/1 would match 1 path"),
    (".\\thumbs", "; /thumbs would match 1 path"),
    ("d/./b.log", "no name in a path is . or ..; /d/b.log would match 1 path"),
    ("../wiki/cache", "a rule never reaches above the folder of its file"),
    ("./*", "no path begins with ./; /* would match 6 paths"),
    ("thumbs/**/", "only folders in it are left out; thumbs/** would match 1 path"),
    ("/**b.log", "** means folders only if it is a whole name; /**/*b.log would match 1 path"),
    ("d/**.tmp", "; d/**/*.tmp would match nothing today either"),
    ("^.*\\.log$", "there are no regular expressions; *.log would match 2 paths"),
    ("(thumbs|photo)", "there are no regular expressions; thumbs and photo would match 2 paths"),
    ("--exclude='*.log'", "quotes are part of the name; *.log would match 2 paths"),
    ("thumbs, photo", "a line holds one rule; thumbs and photo would match 2 paths"),
    ("thumbs photo", "a line holds one rule; thumbs and photo would match 2 paths"),
    ("thumbs;", "a line holds one rule; thumbs would match 1 path"),
    ("// previews", "only a # at the start of a line makes a comment"),
    ("photo/", "is for folders, and only a file has this name; write photo"),
    ("!/photo/", "is for folders, and only a file has this name; write !/photo"),
    ("/mnt/user/appdata/immich/thumbs", "not at the top; /thumbs would match 1 path"),
    ("/srv/docker/immich/d/b.log", "not at the top; /d/b.log would match 1 path"),
    ("/mnt/immich/elsewhere", ""),
    ("immich/", "it names the folder of its file; /* would match 6 paths"),
    ("/immich", "it names the folder of its file; /* would match 6 paths"),
    ("THUMBS", "case counts in names; there is thumbs"),
    ("exclude: thumbs", "a line holds one rule; thumbs would match 1 path"),
    ("-e thumbs", "a line holds one rule; thumbs would match 1 path"),
    ("not photo", "a line holds one rule; photo would match 1 path"),
    ("not there", ""),
    ("!!photo", "one ! is enough; !photo would match 1 path"),
    ("caf\u{e9}", ""),
    ("~$*.docx", ""),
    ("$RECYCLE.BIN/", ""),
    ("*~", ""),
    ("\\#recycle/", ""),
    ("**foo**", ""),
    ("#thumbs", ""),
    ("nothing\r", ""),
    ("my photo", ""),
];

#[track_caller]
fn home() -> Sandbox {
    let sandbox = Sandbox::new();
    for path in ["thumbs/1", "a.log", "d/b.log", "c.tmp", "photo"] {
        sandbox.write(format!("data/immich/{path}"), "");
    }
    sandbox
}

/// The rules of the table, each in a line of its own.
fn text_of(mistakes: &[(&str, &str)], sandbox: &Sandbox) -> String {
    let host = sandbox.home().display().to_string();
    mistakes.iter().map(|(rule, _)| rule.replace("HOST", &host) + "\n").collect()
}

#[track_caller]
fn warnings(sandbox: &Sandbox) -> String {
    sandbox.run(sandbox.command(PROGRAM).args(["--output", "-"])).expect_success().stderr
}

#[test]
fn each_mistake_gets_its_hint() {
    let sandbox = home();
    sandbox.write("data/immich/.resticignore", text_of(MISTAKES, &sandbox));
    let found = warnings(&sandbox);
    for (line, (rule, expected)) in (1..).zip(MISTAKES) {
        let place = format!("data/immich/.resticignore:{line}: ");
        let hint = found.lines().find(|found| found.contains(&place) && found.contains(expected));
        assert!(hint.is_some() != expected.is_empty(), "line {line}, {rule:?}: no {expected:?} in\n{found}");
    }
}

#[test]
fn a_hint_changes_nothing_about_what_git_keeps() {
    let sandbox = home();
    let scratch = oracle::scratch();
    for (number, mistake) in MISTAKES.iter().enumerate() {
        let text = text_of(std::slice::from_ref(mistake), &sandbox);
        for rules in [format!("*.tmp\n{text}"), format!("*\n!*/\n{text}")] {
            sandbox.write("data/immich/.resticignore", rules);
            let listed = sandbox.run(sandbox.command(PROGRAM).arg("--kept0")).expect_success().stdout;
            let by_git = oracle::kept_by_git(&sandbox.path("data/immich"), scratch.path());
            let ours = listed.split('\0').filter_map(|record| record.strip_prefix("Fimmich/"));
            let ours: oracle::Paths = ours.map(|path| path.as_bytes().to_vec()).collect();
            assert_eq!(ours, by_git, "{number}: {mistake:?}");
        }
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
fn a_wildcard_for_folders_is_not_questioned_if_there_are_only_files() {
    let page = include_str!("../../../../docs/ignore-rules.md");
    let (_, examples) = page.split_once("## Ten examples").expect("the page has examples");
    let blocks = examples.split("```gitignore\n").skip(1);
    let documented: Vec<&str> =
        blocks.filter_map(|block| block.split_once("```")).map(|(rules, _)| rules).collect();
    assert!(documented.iter().any(|rules| rules.contains("!*/\n")), "{documented:?}");
    let others = [
        "*\n!**/\n",
        "*\n!/*/\n",
        "*\n!/**/\n",
        "/*\n!p*/\n!*.md\n",
        "*\n!sub/**/\n!**/*/\n",
        "*\n!?hoto/\n",
        "*/\n",
        "/*/\n",
        "**/\n",
        "/**/\n",
        "p*/\n",
        "*/**/\n",
        "[a-z]*/\n",
    ];
    for names in
        [&["photo", "a.md"][..], &["sub/photo", "sub/a.md"], &["photo", "sub/deep/a.md"], &[".hidden"]]
    {
        for rules in documented.iter().copied().chain(others) {
            let sandbox = Sandbox::new();
            names.iter().for_each(|name| drop(sandbox.write(format!("data/immich/{name}"), "")));
            sandbox.write("data/immich/.resticignore", rules);
            assert_eq!(warnings(&sandbox), "", "{names:?}: {rules}");
        }
    }
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
#[track_caller]
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
