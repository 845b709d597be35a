//! Manifests: everything is inherited from the workspace, every dependency is used where it is named and has its reason in
//! `docs/architecture.md`, programs are not linked, and the top level holds what it should.
//!
//! Manifests are read as lines, because that is what these rules are about.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use common::problem::Problem;
use common::text::{escape, escape_path};

use crate::source::Source;
use crate::workspace::Workspace;

const TOP_LEVEL: [&str; 8] =
    ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "compose.yaml", "crates", "docs", "xtask"];
/// May be there as well.
const PAGES: [&str; 3] = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
/// What each manifest holds, so that it differs from the others in its name and its dependencies alone.
const INHERITED: [&str; 8] = [
    "\nversion.workspace = true\n",
    "\nedition.workspace = true\n",
    "\nrust-version.workspace = true\n",
    "\nlicense.workspace = true\n",
    "\ndescription.workspace = true\n",
    "\nrepository.workspace = true\n",
    "\npublish.workspace = true\n",
    "\n[lints]\nworkspace = true\n",
];
const REASONS: &str = "docs/architecture.md";

/// The crates that others use as a library; of pipe-listener it is what makes the bridge's folder. Programs call each
/// other as programs.
const LIBRARIES: [&str; 3] = ["common", "bridge", "pipe-listener"];
/// Nothing waits but in poll(2).
const RUNTIMES: [&str; 4] = ["async-std", "futures-executor", "smol", "tokio"];

pub(super) fn findings(workspace: &Workspace, sources: &[Source]) -> Result<Vec<Problem>> {
    let mut found = top_level(workspace)?;
    let lock = read(&workspace.root.join("Cargo.lock"))?;
    let is_there = |name: &&&str| lock.contains(&format!("\nname = \"{name}\"\n"));
    let runtimes = RUNTIMES.iter().filter(is_there);
    found.extend(runtimes.map(|name| Problem::new("Cargo.lock", format!("{name}: an asynchronous runtime"))));
    let reasons = fs::read_to_string(workspace.root.join(REASONS)).unwrap_or_default();
    let text = read(&workspace.root.join("Cargo.toml"))?;
    if !text.contains("\nunsafe_code = \"forbid\"\n") {
        found.push(Problem::new("Cargo.toml", "unsafe code is not forbidden"));
    }
    let is_member = |name: &str| workspace.members.iter().any(|member| member.name == name);
    let used = workspace.members.iter().flat_map(|member| &member.dependencies);
    for (name, line, _) in in_section(&text, "[workspace.dependencies]") {
        if is_member(name) {
            continue;
        }
        let mut report = |what: String| found.push(Problem::at_line("Cargo.toml", line, what));
        if !used.clone().any(|used| used.name == name) {
            report(format!("{name}: no crate depends on it"));
        }
        if !reasons.contains(&format!("| `{name}` |")) {
            report(format!("{name}: {REASONS} has no reason for it"));
        }
    }
    for member in &workspace.members {
        let manifest = member.folder().join("Cargo.toml");
        let path = manifest.strip_prefix(&workspace.root).unwrap_or(&manifest);
        let linked = member.dependencies.iter().map(|used| used.name.as_str());
        let linked = linked.filter(|name| is_member(name) && !LIBRARIES.contains(name));
        let linked =
            linked.map(|name| Problem::new(path, format!("{name}: run the program, do not link it")));
        found.extend(linked);
        let own: Vec<&Source> = sources.iter().filter(|source| source.member == member.name).collect();
        found.extend(of_manifest(path, &read(&manifest)?, &own));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read: {}", escape_path(path)))
}

fn top_level(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut there = Vec::new();
    for entry in fs::read_dir(&workspace.root).context("read the repository's folder")? {
        there.push(entry.context("read the repository's folder")?.file_name());
    }
    // cargo may build anywhere, and dot-files belong to the tools that read them.
    let is_extra = |name: &&std::ffi::OsString| {
        let bytes = name.as_encoded_bytes();
        let known = TOP_LEVEL.iter().chain(&PAGES).any(|known| known.as_bytes() == bytes);
        !known && !bytes.starts_with(b".") && workspace.root.join(name) != workspace.target
    };
    let extra = there.iter().filter(is_extra);
    let extra = extra
        .map(|name| Problem::new(name, format!("{}: not at the top level", escape(name.as_encoded_bytes()))));
    let missing = TOP_LEVEL.iter().filter(|known| !there.iter().any(|name| name == **known));
    Ok(extra.chain(missing.map(|name| Problem::new(*name, "is missing"))).collect())
}

fn of_manifest(path: &Path, text: &str, own: &[&Source]) -> Vec<Problem> {
    let missing = INHERITED.iter().filter(|line| !text.contains(**line));
    let missing = missing.map(|line| Problem::new(path, format!("lacks {}", line.trim().replace('\n', " "))));
    let mut found: Vec<Problem> = missing.collect();
    for section in ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"] {
        for (name, line, declaration) in in_section(text, section) {
            let mut report = |what: &str| found.push(Problem::at_line(path, line, format!("{name}: {what}")));
            if !declaration.contains("workspace = true") {
                report("its version belongs into the workspace");
            }
            let is_used = own.iter().any(|source| source.mentions(&name.replace('-', "_")));
            if !is_used && !declaration.contains("# tidy: ") {
                report("not used here");
            }
        }
    }
    found
}

/// The names that a section of a manifest sets, with their lines.
fn in_section<'a>(text: &'a str, section: &str) -> Vec<(&'a str, usize, &'a str)> {
    let mut inside = false;
    let mut names = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line == section;
        } else if inside && !line.starts_with('#') {
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            // The lines within a list that goes over several lines set nothing.
            if line.contains('=') && !name.is_empty() {
                names.push((name, index + 1, line));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sample;

    #[test]
    fn what_is_not_inherited_and_what_no_source_names_is_found() {
        let manifest = "[package]\nname = \"a\"\nversion = \"1\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n\
                        # why\nanyhow.workspace = true\nssh-key = \"0.6\"\ncommon = { workspace = true }\n";
        let source = sample("crates/a/src/a.rs", "//! A.\nuse ssh_key::PrivateKey;\nuse common::exit;\n");
        let found = of_manifest(Path::new("a"), manifest, &[&source]);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), INHERITED.len() - 1 + 2, "{found:?}");
        assert_eq!(found[0], "a: lacks version.workspace = true");
        let last = ["a:10: anyhow: not used here", "a:11: ssh-key: its version belongs into the workspace"];
        assert_eq!(found[found.len() - 2..], last);
    }
}
