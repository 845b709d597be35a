//! The documentation keeps up with the code: every setting that a tool reads is described in `docs/settings.md`, and
//! every link from one page to another has a target. A page opens with its kind and its reader: `How-to for …`.
//!
//! A setting is found by the call that reads it, `environment("NAME")`, `from_file("NAME")` or `other("NAME")`.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use common::problem::Problem;
use walkdir::WalkDir;

use crate::reference;
use crate::source::Source;
use crate::workspace::Workspace;

const SETTINGS: &str = "docs/settings.md";
/// What a page opens with: one purpose, and then who it is for.
const KINDS: [&str; 4] = ["Guide for ", "How-to for ", "Reference for ", "Explanation for "];

pub(super) fn findings(workspace: &Workspace, sources: &[Source]) -> Result<Vec<Problem>> {
    let page = fs::read_to_string(workspace.root.join(SETTINGS)).unwrap_or_default();
    let missing = settings(sources).into_iter().filter(|name| !page.contains(&format!("`{name}`")));
    let mut found: Vec<_> =
        missing.map(|name| Problem::new(SETTINGS, format!("the setting {name} is not described"))).collect();
    for (page, text) in reference::pages(workspace, sources)? {
        if fs::read_to_string(workspace.root.join(page)).unwrap_or_default() != text {
            found.push(Problem::new(page, "out of date: run cargo xtask reference"));
        }
    }
    // A page that is missing is found by the rule on the top level.
    let pages = WalkDir::new(workspace.root.join("docs")).into_iter().filter_map(Result::ok);
    let pages = pages
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|end| end == "md"));
    for page in pages.chain([workspace.root.join("README.md")]) {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        let folder = page.parent().context("a page without a folder")?;
        let path = page.strip_prefix(&workspace.root).unwrap_or(&page);
        if folder.ends_with("docs") && !opens_with_its_reader(&text) {
            found.push(Problem::at_line(path, 3, format!("open with one of {}", KINDS.join(", "))));
        }
        let lost = links(&text).into_iter().filter(|(_, target)| !folder.join(target).exists());
        let lost = lost
            .map(|(line, target)| Problem::at_line(path, line, format!("the link {target} has no target")));
        found.extend(lost);
    }
    Ok(found)
}

/// Whether the line below the title names the kind of the page and its reader.
fn opens_with_its_reader(page: &str) -> bool {
    page.lines().nth(2).is_some_and(|line| KINDS.iter().any(|kind| line.starts_with(kind)))
}

/// The names of the environment variables and `.env` keys that the tools read.
fn settings(sources: &[Source]) -> BTreeSet<&str> {
    let tools = sources.iter().filter(|source| source.member != "xtask");
    let lines = tools.flat_map(|source| source.lines()).filter(|line| !line.is_test);
    let names = lines.flat_map(|line| {
        let calls = ["environment(\"", "from_file(\"", "other(\"", ".get(\""].iter();
        calls.flat_map(|call| line.code.split(call).skip(1)).filter_map(|rest| rest.split('"').next())
    });
    names.filter(|name| name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect()
}

/// The links of a page to files of the repository, without the part after `#`.
fn links(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate();
    let all = lines.flat_map(|(index, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.map(move |target| (index + 1, target.split('#').next().unwrap_or("")))
    });
    all.filter(|(_, target)| !target.is_empty() && !target.contains("://") && !target.contains(' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sample;

    #[test]
    fn settings_are_found_where_they_are_read() {
        let text =
            "//! S.\nlet a = environment(\"DATA_ROOT\");\nsettings.other(\"LINGER\");\nmap.get(\"key\");\n";
        let sources = [sample("crates/a/src/a.rs", text)];
        assert_eq!(settings(&sources).into_iter().collect::<Vec<_>>(), ["DATA_ROOT", "LINGER"]);
    }

    #[test]
    fn a_page_opens_with_its_reader() {
        assert!(opens_with_its_reader("# A\n\nHow-to for people who read.\n"));
        assert!(!opens_with_its_reader("# A\n\nThis is for people.\n") && !opens_with_its_reader("# A\n"));
    }

    #[test]
    fn links_to_files_are_found_and_those_to_the_world_are_not() {
        let text = "[a](docs/a.md#part) and [b](https://b.invalid/)\n[c](#here) ![d](d.png)\n";
        assert_eq!(links(text), [(1, "docs/a.md"), (2, "d.png")]);
    }
}
