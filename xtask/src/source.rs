//! The Rust files of the workspace, and which of their lines are code, which are comment, which are test.
//!
//! It is not a parser: a comment starts at ` //` or at the start of the line, and what follows `#[cfg(test)]` at the
//! left edge is test up to the end of the file, as it is in this repository. That errs on the side of finding less.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::text::escape_path;
use walkdir::WalkDir;

use crate::workspace::Workspace;

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the repository.
    pub(crate) path: PathBuf,
    /// The crate it belongs to.
    pub(crate) member: String,
    pub(crate) text: String,
}

/// One line of code, without its comment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) code: &'a str,
    pub(crate) is_test: bool,
    /// A comment on it or right above it begins with `tidy:`.
    pub(crate) is_excused: bool,
}

impl Source {
    /// The lines that hold code.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let all_test = self.is_test();
        let mut is_test = all_test;
        let mut excused_next = false;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            is_test |= line == "#[cfg(test)]";
            let (code, comment) = split_comment(line);
            let is_excuse = comment.trim_start_matches('/').trim_start().starts_with("tidy:");
            let is_excused = is_excuse || excused_next;
            if code.trim().is_empty() {
                // A comment of several lines excuses the code below it.
                excused_next = is_excuse || (excused_next && !comment.is_empty());
                return None;
            }
            excused_next = false;
            Some(Line { number: index + 1, code, is_test, is_excused })
        })
    }

    /// Its name below the `src` of its crate; none of a file elsewhere.
    pub(crate) fn below_src(&self) -> Option<&Path> {
        let src = self.path.ancestors().find(|path| path.ends_with("src"))?;
        self.path.strip_prefix(src).ok()
    }

    /// Whether the whole file is test.
    pub(crate) fn is_test(&self) -> bool {
        let in_tests =
            self.path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches");
        in_tests || self.path.ends_with("tests.rs") || self.path.ends_with("common/src/testing.rs")
    }

    /// Whether `word` occurs in code, not as a part of a longer word.
    pub(crate) fn mentions(&self, word: &str) -> bool {
        self.lines().any(|line| has_word(line.code, word))
    }
}

/// Whether `word` occurs in `text` with nothing that belongs to a name on either side.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let belongs = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(belongs) && !text[at + word.len()..].starts_with(belongs))
}

fn split_comment(line: &str) -> (&str, &str) {
    if line.trim_start().starts_with("//") {
        return ("", line.trim_start());
    }
    match line.find(" // ") {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, ""),
    }
}

/// Every `.rs` file of every member, sorted by path.
pub(crate) fn all(workspace: &Workspace) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for member in &workspace.members {
        for entry in WalkDir::new(member.folder()).sort_by_file_name() {
            let entry = entry.with_context(|| format!("read: {}", escape_path(member.folder())))?;
            if entry.path().extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let text = fs::read_to_string(entry.path())
                .with_context(|| format!("read: {}", escape_path(entry.path())))?;
            let path = entry.path().strip_prefix(&workspace.root).unwrap_or(entry.path());
            sources.push(Source { path: path.to_path_buf(), member: member.name.clone(), text });
        }
    }
    Ok(sources)
}

/// A source for the tests of the rules.
#[cfg(test)]
#[track_caller]
pub(crate) fn sample(path: &str, text: &str) -> Source {
    let member = Path::new(path).components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
    Source { path: PathBuf::from(path), member, text: text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_tests_and_excuses_are_distinguished() {
        let text = "//! doc\nlet a = 1; // why\n// tidy: needed\n// because\nlet b;\nlet c;\n#[cfg(test)]\nmod tests {}\n";
        let source = sample("crates/x/src/a.rs", text);
        let lines: Vec<_> = source.lines().map(|l| (l.number, l.code, l.is_test, l.is_excused)).collect();
        assert_eq!(
            lines,
            [
                (2, "let a = 1;", false, false),
                (5, "let b;", false, true),
                (6, "let c;", false, false),
                (7, "#[cfg(test)]", true, false),
                (8, "mod tests {}", true, false),
            ]
        );
    }

    #[test]
    fn a_part_of_a_word_is_not_the_word() {
        assert!(
            has_word("paths::home()", "home") && !has_word("homes", "home") && !has_word("my_home", "home")
        );
    }
}
