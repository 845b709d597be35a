//! `cargo xtask tidy`: the repository's own rules, which no compiler checks.
//!
//! Every source file is read once; each rule is a plain function from sources to findings, one module each. A finding
//! is a line `path:line: what`. A line that has to break a rule has the reason in a comment `// tidy: …` on it or above
//! it.

mod circles;
mod dependencies;
mod docs;
mod names;
mod shape;
mod shared;
mod words;

use anyhow::Result;
use common::exit::Exit;
use common::out;
use common::problem::Problem;
use common::text::count;

use crate::source;
use crate::workspace::Workspace;

/// Checks; the exit code is the result.
pub(crate) fn run() -> Result<Exit> {
    Ok(if holds(&Workspace::find()?)? { Exit::Done } else { Exit::Failed })
}

/// Checks, prints what breaks the rules, and returns whether nothing does.
pub(crate) fn holds(workspace: &Workspace) -> Result<bool> {
    let sources = source::all(workspace)?;
    let mut findings = Vec::new();
    findings.extend(shape::findings(&sources));
    findings.extend(circles::findings(&sources));
    findings.extend(names::findings(&sources));
    findings.extend(shared::findings(&sources));
    findings.extend(dependencies::findings(workspace, &sources)?);
    findings.extend(docs::findings(workspace, &sources)?);
    findings.extend(words::findings(workspace)?);
    findings.sort_by(|a: &Problem, b: &Problem| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        out!("{finding}");
    }
    match findings.len() {
        0 => out!("{} keep to the rules", count(sources.len(), "file")),
        many => out!("{} against the rules", count(many, "finding")),
    }
    Ok(findings.is_empty())
}
