//! docs/ssh.md, docs/troubleshooting.md and the tool agree: together the pages list every failure, and docs/ssh.md lists
//! no failure that the tool does not report.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[track_caller]
fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The tool's source without its tests, as text in which a string that goes on over a line end is whole.
#[track_caller]
fn source() -> String {
    let mut text = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = fs::read_to_string(path).unwrap();
            let code = file.split("#[cfg(test)]").next().unwrap();
            let mut go_on = false;
            for line in code.lines() {
                text.push_str(if go_on { line.trim_start() } else { line }.trim_end_matches('\\'));
                go_on = line.ends_with('\\');
                if !go_on {
                    text.push('\n');
                }
            }
        }
    }
    text
}

/// The longest stretch of a message between two values that are put in.
fn longest(message: &str) -> String {
    let parts = message.split('{').flat_map(|part| part.rsplit('}').next());
    let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
    longest.replace("\\\"", "\"").trim_matches([':', ' ', '"']).to_owned()
}

/// The messages of `anyhow!` and `bail!`, and the words for the kinds of failure.
#[track_caller]
fn failures(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["anyhow!(", "bail!("] {
        for (at, _) in source.match_indices(start) {
            let rest = source[at + start.len()..].trim_start();
            let Some(rest) = rest.strip_prefix('"') else { continue };
            let mut end = 0;
            while !rest[end..].starts_with('"') {
                end += if rest[end..].starts_with('\\') {
                    2
                } else {
                    rest[end..].chars().next().unwrap().len_utf8()
                };
            }
            found.push(longest(&rest[..end]));
        }
    }
    let kinds = source.split("impl fmt::Display for Kind").nth(1).unwrap().split("\n}\n").next().unwrap();
    found.extend(kinds.split("=> \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    found
}

#[test]
fn every_failure_is_in_the_documentation() {
    let pages = page("ssh.md") + &page("troubleshooting.md");
    let failures = failures(&source());
    assert!(failures.len() > 40, "{failures:#?}");
    let missing: Vec<_> = failures.iter().filter(|words| !pages.contains(words.as_str())).collect();
    assert!(missing.is_empty(), "in neither page: {missing:#?}");
}

#[test]
fn every_failure_in_the_documentation_is_one_of_the_tool() {
    let (page, source) = (page("ssh.md"), source().replace("\\\"", "\""));
    let table = page.split("| it says |").nth(1).expect("the table of failures");
    let rows: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    assert!(rows.len() > 40, "{rows:#?}");
    for row in rows.iter().filter(|row| !row.starts_with("which means") && !row.starts_with("**")) {
        for words in
            row.split('…').map(|words| words.trim_matches([':', ' ', '`'])).filter(|words| words.len() > 3)
        {
            assert!(source.contains(words), "the tool never says: {words}");
        }
    }
}
