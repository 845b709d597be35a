//! The shape of a file: it opens with its purpose, holds one idea, and `main` only starts things; no call of a function
//! passes two unnamed `bool`, and no tool starts a shell.
//!
//! The lengths are where a reader loses the thread: 400 lines for a file, 34 for a `main.rs` without its list of
//! modules.

use std::path::Path;

use common::problem::Problem;

use crate::source::{Source, has_word};

const LONGEST: usize = 400;
/// Up to this length one line is enough.
const SHORT: usize = 150;
const LONGEST_MAIN: usize = 34;
const SHELLS: [&str; 3] = ["Command::new(\"sh\")", "Command::new(\"bash\")", "/bin/sh\", \"-c\""];
const EMPTY_NAMES: [&str; 6] = ["util.rs", "utils.rs", "helper.rs", "helpers.rs", "manager.rs", "misc.rs"];

pub(super) fn findings(sources: &[Source]) -> Vec<Problem> {
    sources.iter().flat_map(of_file).collect()
}

fn of_file(source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| found.push(Problem::at_line(&source.path, line, what));
    // The list of a crate's modules is not something that `main` does.
    let counts = |line: &&str| !(is_main(&source.path) && line.starts_with("mod "));
    let length = source.text.lines().filter(counts).count();
    let header = source.text.lines().take_while(|line| line.starts_with("//!")).count();
    match header {
        0 => report(1, "the file does not open with //! and what it is for".into()),
        1 if length > SHORT && !is_main(&source.path) && !source.is_test() => {
            report(1, "one line does not describe what comes in and what goes out".into());
        }
        15.. => report(1, format!("a header of {header} lines: the rest belongs into docs/")),
        _ => {}
    }
    let longest = if is_main(&source.path) { LONGEST_MAIN } else { LONGEST };
    if length > longest {
        report(length, format!("{length} lines, {longest} at most: look for the second idea in it"));
    }
    if source.path.file_name().is_some_and(|name| EMPTY_NAMES.iter().any(|empty| name == *empty)) {
        report(1, "the file's name does not describe what is in it".into());
    }
    let mut signature = String::new();
    for line in source.lines() {
        if !signature.is_empty() || has_word(line.code, "fn") {
            signature.push_str(line.code.trim());
        }
        if signature.contains(['{', ';']) {
            let is_bool = |of: &str| of.ends_with(": bool") || of.contains(": bool)");
            let parameters: Vec<_> = signature.split(',').map(is_bool).collect();
            if parameters.windows(2).any(|pair| pair == [true, true]) {
                report(line.number, "two `bool` parameters in a row: make one an enum".into());
            }
            signature.clear();
        }
        let is_in_tool = !line.is_test && source.member != "xtask" && !line.is_excused;
        if is_in_tool && SHELLS.iter().any(|shell| line.code.contains(shell)) {
            report(line.number, "no shell in between".into());
        }
        let name = line.code.trim_start().strip_prefix("fn test").map(|rest| rest.trim_start_matches('_'));
        if line.is_test && name.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            report(line.number, "a numbered test: name it after the behaviour".into());
        }
    }
    found
}

fn is_main(path: &Path) -> bool {
    path.ends_with("src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sample;

    #[track_caller]
    fn printed(path: &str, text: &str) -> Vec<String> {
        findings(&[sample(path, text)]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_opens_with_its_purpose() {
        assert_eq!(
            printed("crates/a/src/b.rs", "//! What it is for,\n//! and what comes out.\nfn b() {}\n"),
            [""; 0]
        );
        assert!(
            printed("crates/a/src/b.rs", "fn b() {}\n")[0]
                .starts_with("crates/a/src/b.rs:1: the file does not")
        );
        let long = format!("//! B.\n{}", "fn f() {}\n".repeat(200));
        assert!(printed("crates/a/src/b.rs", &long)[0].contains("one line"));
    }

    #[test]
    fn long_files_and_empty_names_are_found() {
        let long = format!("//! Long.\n//! Too long.\n{}", "fn f() {}\n".repeat(400));
        assert!(printed("crates/a/src/b.rs", &long)[0].contains("402 lines, 400 at most"));
        assert!(printed("crates/a/src/main.rs", &long)[0].contains("34 at most"));
        assert!(printed("crates/a/src/utils.rs", "//! U.\n//! V.\n")[0].contains("name"));
    }

    #[test]
    fn numbered_tests_pairs_of_bools_and_shells_are_found() {
        let tests = "//! T.\n//! U.\nfn test_1() {}\nfn test_of_one() {}\n";
        assert_eq!(printed("crates/a/tests/runner/b.rs", tests).len(), 1);
        let bools = "//! B.\nfn a(x: bool, y: bool) {}\nfn b(x: bool, n: u8, y: bool) -> bool {\n}\nfn c(\n    \
                     x: bool,\n    y: bool,\n) -> u8 {\n}\nfn d(x: bool) -> (u8, bool) {\n}\nstruct S {\n    \
                     x: bool,\n    y: bool,\n}\n";
        let found = printed("crates/a/src/b.rs", bools);
        assert!(found.len() == 2 && found[1].starts_with("crates/a/src/b.rs:8: two `bool`"), "{found:?}");
        let shell = "//! S.\nlet shell = Command::new(\"sh\");\n";
        assert_eq!(printed("crates/a/src/b.rs", shell), ["crates/a/src/b.rs:2: no shell in between"]);
        assert_eq!(
            printed("crates/xtask/src/b.rs", shell).len() + printed("crates/a/tests/b.rs", shell).len(),
            0
        );
    }
}
