//! `--explain`: what happens to a path, and the rule that decides, in the words of `git check-ignore -v`.
//!
//! A path may be named as it is on the host or as the container sees it. The tree is read as it is now; the exclude
//! file on disk plays no part.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::exit::Exit;
use common::paths;
use common::problem;
use common::settings::Settings;
use common::text::{BAD, GOOD, escape, escape_path};
use serde_json::{Value, json};

use crate::build::{Built, build};
use crate::cli::Cli;
use crate::command::{TOOL, is_lean, seen_at};
use crate::decide::{Decision, decide, host_path};
use crate::tree::Wanted;

/// Explains every path of the command line.
pub(crate) fn run(cli: &Cli, settings: &Settings) -> Result<Exit> {
    let here = env::current_dir().context("find the working directory")?;
    let mut built: [Option<Built>; 2] = [None, None];
    let mut any_left_out = false;
    let mut stdout = anstream::stdout();
    for path in &cli.paths {
        let path = paths::absolute(path, &here)?;
        let answer = match locate(&path, settings) {
            Err(why) => Answer { path: path.clone(), outcome: Outcome::Unknown(why) },
            Ok((root, names)) => {
                let (name, folder) = roots(settings)[root];
                if built[root].is_none() {
                    let new = build(
                        folder,
                        &seen_at(settings, name, cli.relative),
                        Wanted::Rules,
                        is_lean(cli, settings),
                    )?;
                    problem::warn(TOOL, &new.warnings);
                    built[root] = Some(new);
                }
                let built = built[root].as_ref().context("a root that was just built")?;
                Answer { path: path.clone(), outcome: outcome(folder, &names, built) }
            }
        };
        any_left_out |= matches!(answer.outcome, Outcome::LeftOut { .. });
        if cli.json {
            writeln!(stdout, "{}", answer.json())?;
        } else {
            answer.print(&mut stdout)?;
        }
    }
    Ok(if any_left_out { Exit::Done } else { Exit::Failed })
}

struct Answer {
    path: PathBuf,
    outcome: Outcome,
}

enum Outcome {
    LeftOut { decision: Decision, folder_above: Option<PathBuf>, by_path: Option<String> },
    Kept { decision: Option<Decision>, still_left_in: bool },
    Unknown(String),
}

fn roots(settings: &Settings) -> [(&'static str, &Path); 2] {
    [("data", &settings.data_root), ("containers", &settings.container_root)]
}

/// Which root a path lies below, and the names that lead to it from there.
fn locate(path: &Path, settings: &Settings) -> Result<(usize, Vec<Vec<u8>>), String> {
    let roots = roots(settings);
    let on_host = roots
        .iter()
        .enumerate()
        .find_map(|(root, (_, folder))| Some((root, path.strip_prefix(folder).ok()?)));
    let in_container = || {
        roots
            .iter()
            .enumerate()
            .find_map(|(root, (name, _))| Some((root, path.strip_prefix(settings.mount.join(name)).ok()?)))
    };
    let Some((root, below)) = on_host.or_else(in_container) else {
        let roots = roots.map(|(_, folder)| escape_path(folder));
        return Err(format!("lies neither below {} nor below {}", roots[0], roots[1]));
    };
    let names: Vec<Vec<u8>> = below.iter().map(|name| name.as_encoded_bytes().to_vec()).collect();
    if names.is_empty() {
        return Err("is a root itself; no rule speaks of it".to_string());
    }
    fs::symlink_metadata(host_path(roots[root].1, &names)).map_err(|error| error.to_string())?;
    Ok((root, names))
}

fn outcome(root: &Path, names: &[Vec<u8>], built: &Built) -> Outcome {
    let is_folder = fs::symlink_metadata(host_path(root, names)).is_ok_and(|metadata| metadata.is_dir());
    let decision = decide(&built.tree.files, names, is_folder);
    match decision {
        Some(decision) if !decision.rule().negated => {
            let folder_above =
                (decision.depth < names.len()).then(|| host_path(root, &names[..decision.depth]));
            let named = built.sections.values().flat_map(|section| &section.paths);
            let by_path =
                named.filter(|path| names.starts_with(&path.names)).map(|path| path.why.clone()).next();
            Outcome::LeftOut { decision, folder_above, by_path }
        }
        decision => Outcome::Kept { decision, still_left_in: !built.model.excludes(names) },
    }
}

impl Answer {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let path = escape_path(&self.path);
        match &self.outcome {
            Outcome::LeftOut { decision, folder_above, by_path } => {
                write!(out, "{path}: {BAD}left out{BAD:#}")?;
                if let Some(folder) = folder_above {
                    write!(out, " with the folder {}", escape_path(folder))?;
                }
                write!(out, ": {}", rule_of(decision))?;
                if let Some(why) = by_path {
                    write!(out, " (by a line for the path itself: {why})")?;
                }
                writeln!(out)
            }
            Outcome::Kept { decision: Some(decision), .. } => {
                writeln!(out, "{path}: {GOOD}kept{GOOD:#}: {}", rule_of(decision))
            }
            Outcome::Kept { decision: None, .. } => {
                writeln!(out, "{path}: {GOOD}kept{GOOD:#}: no rule matches it")
            }
            Outcome::Unknown(why) => writeln!(out, "{path}: {why}"),
        }
    }

    fn json(&self) -> Value {
        let path = self.path.to_string_lossy();
        let rule = |decision: &Decision| {
            json!({
                "file": decision.file.path.to_string_lossy(),
                "line": decision.rule().line,
                "rule": OsStr::from_bytes(&decision.rule().text).to_string_lossy(),
            })
        };
        match &self.outcome {
            Outcome::LeftOut { decision, folder_above, by_path } => json!({
                "path": path,
                "outcome": "left out",
                "decided_by": rule(decision),
                "folder_above": folder_above.as_ref().map(|folder| folder.to_string_lossy()),
                "by_path": by_path,
            }),
            Outcome::Kept { decision, still_left_in } => json!({
                "path": path,
                "outcome": if *still_left_in { "kept" } else { "left out by mistake" },
                "decided_by": decision.as_ref().map(rule),
            }),
            Outcome::Unknown(why) => json!({ "path": path, "outcome": "unknown", "why": why }),
        }
    }
}

fn rule_of(decision: &Decision) -> String {
    let rule = decision.rule();
    format!("{}:{}: {}", escape_path(&decision.file.path), rule.line, escape(&rule.text))
}
