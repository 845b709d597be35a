//! Plain English: words that this project avoids, each with what to write instead and the reason, as the table of
//! CONTRIBUTING.md lists them.
//!
//! They are looked for as whole words, without regard to case, in every line of Rust (comments, texts, and names, which
//! are split at `_` and at capitals), of the pages, of the shell scripts and of the templates. What a page has in
//! backticks is quoted and not looked at.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use common::problem::Problem;
use common::text::escape_path;
use walkdir::{DirEntry, WalkDir};

use crate::workspace::Workspace;

/// The page that lists the words, and its table's header.
const LIST: &str = "CONTRIBUTING.md";
const HEADER: &str = "| avoid | write | because |\n| --- | --- | --- |\n";

/// What holds them in any case.
const LISTS: [&str; 2] = [LIST, "xtask/src/tidy/words.rs"];

/// A row of the table: the words, what to write instead, and why.
struct AvoidedWords<'a> {
    words: Vec<&'a str>,
    instead: &'a str,
    why: &'a str,
}

/// The kinds of files that hold words, by their ending; those without one are scripts and templates.
const KINDS: [&str; 7] = ["rs", "md", "sh", "py", "toml", "yaml", ""];

pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Problem>> {
    let list = fs::read_to_string(workspace.root.join(LIST)).with_context(|| format!("read: {LIST}"))?;
    let avoided = rows(&list).with_context(|| format!("{LIST} has no table of words to avoid"))?;
    let mut found = Vec::new();
    for entry in WalkDir::new(&workspace.root).into_iter().filter_entry(is_ours) {
        let entry = entry.context("read the repository")?;
        let path = entry.path().strip_prefix(&workspace.root).unwrap_or(entry.path());
        let ending = path.extension().unwrap_or_default();
        if entry.file_type().is_file()
            && !LISTS.iter().any(|list| path == Path::new(list))
            && KINDS.iter().any(|kind| ending == *kind)
        {
            let text = fs::read(entry.path()).with_context(|| format!("read: {}", escape_path(path)))?;
            found.extend(of_file(path, &String::from_utf8_lossy(&text), &avoided));
        }
    }
    Ok(found)
}

fn rows(page: &str) -> Option<Vec<AvoidedWords<'_>>> {
    let (_, table) = page.split_once(HEADER)?;
    let cells = table.lines().map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    cells
        .map(|row| match row.split(" | ").collect::<Vec<_>>()[..] {
            [words, instead, why] => Some(AvoidedWords { words: words.split(", ").collect(), instead, why }),
            _ => None,
        })
        .collect()
}

/// Neither cargo's target folder nor what is hidden, except the checks of `.ci`.
fn is_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.depth() == 0 || name == ".ci" || !(name.starts_with('.') || name == "target")
}

fn of_file(path: &Path, text: &str, avoided: &[AvoidedWords<'_>]) -> Vec<Problem> {
    let is_page = path.extension().is_some_and(|end| end == "md");
    let mut is_excused = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let was_excuse = std::mem::replace(&mut is_excused, line.contains("// tidy: "));
        if was_excuse || is_excused {
            continue;
        }
        let words = match is_page {
            true => words(&line.split('`').step_by(2).collect::<Vec<_>>().join(" x ")),
            false => words(line),
        };
        for AvoidedWords { words: avoided, instead, why } in avoided {
            let hits = avoided.iter().filter(|word| words.contains(&format!(" {word} ")));
            found.extend(hits.map(|word| {
                Problem::at_line(path, index + 1, format!("\"{word}\": write {instead} ({why})"))
            }));
        }
    }
    found
}

/// The words of `line` in lower case, with one space before and after each: `fn isTold_so(` is ` fn is told so `.
fn words(line: &str) -> String {
    let mut words = String::from(" ");
    let mut before = ' ';
    for c in line.chars() {
        let is_letter = c.is_alphanumeric() || c == '-';
        if !words.ends_with(' ') && (!is_letter || before.is_lowercase() && c.is_uppercase()) {
            words.push(' ');
        }
        if is_letter {
            words.extend(c.to_lowercase());
        }
        before = c;
    }
    words.push(' ');
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# Words\n\n| avoid | write | because |\n| --- | --- | --- |\n| told, nobody | log | role |\n\
                        | mend, mended | fix | the usual word |\n| begun, so many, stands in | N | a riddle |\n\nMore.\n";

    #[track_caller]
    fn found(path: &str, text: &str) -> Vec<Problem> {
        of_file(Path::new(path), text, &rows(LIST).unwrap())
    }

    #[track_caller]
    fn lines(path: &str, text: &str) -> Vec<Option<usize>> {
        found(path, text).iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn an_avoided_word_is_found_in_comments_texts_and_names() {
        let text = "//! It is Told.\nlet a = \"nobody knows\";\nfn it_is_mended() {}\nstruct HasBegun;\nlet told2;\n\
                    // it stands\n// in\n// stands  in it\nlet untold = retell; // a storyteller\n";
        let found = found("crates/a/src/b.rs", text);
        let lines: Vec<_> = found.iter().filter_map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 8], "{found:?}");
        assert!(found[2].to_string().ends_with(": \"mended\": write fix (the usual word)"), "{}", found[2]);
    }

    #[test]
    fn a_reason_excuses_a_line_and_backticks_excuse_a_quotation() {
        let text = "// tidy: the account of that name\nlet user = \"nobody\";\nlet user = \"nobody\";\n";
        assert_eq!(lines("crates/a/src/b.rs", text), [Some(3)]);
        assert_eq!(lines("docs/a.md", "the user `nobody`, `mend`\nso many, or nobody\n"), [Some(2), Some(2)]);
        assert_eq!(lines("crates/a/templates/a.sh", "# `mend` nobody's\n"), [Some(1), Some(1)]);
    }
}
