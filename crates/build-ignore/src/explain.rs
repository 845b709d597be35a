//! `--explain`: what happens to a path, and the rule that decides, in the words of `git check-ignore -v`.
//!
//! A path may be named as it is on the host or as the container sees it. The tree is read as it is now; the exclude
//! file on disk plays no part.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::build::{Built, Options, build};
use crate::cli::TOOL;
use crate::decide::{decide, host_path};
use crate::held::Held;
use crate::reconcile;
use crate::root::seen_at;
use crate::task::{Format, Task};
use crate::tree::Detail;
use anyhow::{Context, Result};
use common::contract::explain::{Explained, PathOutcome, Rule};
use common::exit::Exit;
use common::out;
use common::problem;
use common::roots::{RootTree, trees};
use common::settings::Settings;
use common::text::{BAD, GOOD, escape, escape_path};

/// Explains each of `paths`.
pub(crate) fn run(task: &Task, paths: &[PathBuf], options: &Options) -> Result<Exit> {
    let settings = &task.settings;
    let here = env::current_dir().context("find the working directory")?;
    let places = trees(settings);
    let mut built: Vec<Option<Built>> = places.iter().map(|_| None).collect();
    // The same without holding anything back.
    let mut adopted: Vec<Option<Built>> = places.iter().map(|_| None).collect();
    let mut any_left_out = false;
    for path in paths {
        let path = common::paths::absolute(path, &here)?;
        let (outcome, rule) = match locate(&path, settings, &places) {
            Err(why) => (PathOutcome::Unknown { why }, None),
            Ok((root, names)) => {
                let place = &places[root];
                if built[root].is_none() {
                    let build =
                        |options| build(&place.path, &seen_at(settings, place), Detail::Rules, options);
                    let new = build(options)?;
                    problem::warn(TOOL, &new.warnings);
                    built[root] = Some(new);
                    if !options.held.is_empty() {
                        adopted[root] = Some(build(&Options { lean: options.lean, held: Held::default() })?);
                    }
                }
                let built = built[root].as_ref().context("a root that was just built")?;
                let folder = &place.path;
                match (outcome(folder, &names, built), &adopted[root]) {
                    (kept @ (PathOutcome::Kept { why: None, .. }, _), Some(adopted)) => {
                        held_back(folder, &names, adopted).unwrap_or(kept)
                    }
                    (outcome, _) => outcome,
                }
            }
        };
        any_left_out |= matches!(outcome, PathOutcome::LeftOut { .. });
        match task.format {
            Format::Json => out!("{}", serde_json::to_string(&Explained { path: lossy(&path), outcome })?),
            Format::Text => print(&path, &outcome, rule.as_deref().unwrap_or("no rule matches it")),
        }
    }
    Ok(if any_left_out { Exit::Done } else { Exit::Failed })
}

/// Which root a path lies below, and the names that lead to it from there.
fn locate(path: &Path, settings: &Settings, roots: &[RootTree]) -> Result<(usize, Vec<Vec<u8>>), String> {
    // Either may be named by way of a symlink: ~/data can lead to a disk.
    let real_path = real_folder_of(path);
    let below = |path: Option<&Path>, top: &dyn Fn(&RootTree) -> Option<PathBuf>| {
        let mut roots = roots.iter().enumerate();
        roots.find_map(|(root, tree)| Some((root, path?.strip_prefix(top(tree)?).ok()?.to_path_buf())))
    };
    let found = below(Some(path), &|tree| Some(tree.path.clone()))
        .or_else(|| below(Some(path), &|tree| Some(settings.mount.join(tree.name))))
        .or_else(|| below(real_path.as_deref(), &|tree| tree.path.canonicalize().ok()));
    let Some((root, below)) = found else {
        let roots: Vec<String> = roots.iter().map(|tree| escape_path(&tree.path)).collect();
        return Err(match roots.as_slice() {
            [one] => format!("does not lie below {one}"),
            all => format!("is not below {}", all.join(" or ")),
        });
    };
    let names: Vec<Vec<u8>> = below.iter().map(|name| name.as_encoded_bytes().to_vec()).collect();
    if names.is_empty() {
        return Err("is a root itself; no rule speaks of it".to_string());
    }
    for depth in 1..=names.len() {
        let here = host_path(&roots[root].path, &names[..depth]);
        let metadata = fs::symlink_metadata(&here).map_err(|error| error.to_string())?;
        if metadata.is_symlink() && depth < names.len() {
            let link = escape_path(here);
            return Err(format!("is behind the symlink {link}; the backup has the link, not its target"));
        }
    }
    Ok((root, names))
}

/// The path with every symlink on the way to it resolved, itself not.
fn real_folder_of(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

/// What happens to the path, and the rule that decides as a person reads it.
fn outcome(root: &Path, names: &[Vec<u8>], built: &Built) -> (PathOutcome, Option<String>) {
    let is_folder = fs::symlink_metadata(host_path(root, names)).is_ok_and(|metadata| metadata.is_dir());
    let decision = decide(&built.tree.files, names, is_folder);
    let shown = decision.as_ref().map(|decision| {
        let rule = decision.rule();
        format!("{}{}: {}", escape_path(&decision.file.path), rule.after_path(), rule.excerpt())
    });
    let decided_by = decision.as_ref().map(|decision| Rule {
        file: lossy(&decision.file.path),
        line: decision.rule().line,
        rule: String::from_utf8_lossy(&decision.rule().text).into_owned(),
    });
    let outcome = match (decision.filter(|decision| !decision.rule().negated), decided_by) {
        (Some(_), decided_by) if !built.matcher.leaves_out(names, is_folder) => {
            let most = reconcile::MOST_PATHS;
            let why = format!("more than {most} paths of its service would need lines of their own");
            PathOutcome::Kept { decided_by, why: Some(why) }
        }
        (Some(decision), Some(decided_by)) => {
            let above = (decision.depth < names.len()).then(|| host_path(root, &names[..decision.depth]));
            let named = built.sections.values().flat_map(|section| &section.paths);
            let by_path = named.filter(|path| names.starts_with(&path.names)).map(|path| path.why.clone());
            let (folder_above, by_path) = (above.as_deref().map(lossy), by_path.into_iter().next());
            PathOutcome::LeftOut { decided_by, folder_above, by_path }
        }
        (_, decided_by) if built.matcher.excludes(names) => PathOutcome::LeftOutByMistake { decided_by },
        (_, decided_by) => PathOutcome::Kept { decided_by, why: None },
    };
    (outcome, shown)
}

/// The rule that would leave the path out if it were not held back.
fn held_back(root: &Path, names: &[Vec<u8>], adopted: &Built) -> Option<(PathOutcome, Option<String>)> {
    let (PathOutcome::LeftOut { decided_by, .. }, rule) = outcome(root, names, adopted) else { return None };
    let why = Some("it is held back until build-ignore --adopt".into());
    Some((PathOutcome::Kept { decided_by: Some(decided_by), why }, rule))
}

fn print(path: &Path, outcome: &PathOutcome, rule: &str) {
    let path = escape_path(path);
    let with = |start: &str, text: &Option<String>, end: &str| {
        text.as_ref().map_or(String::new(), |text| format!("{start}{}{end}", escape(text.as_bytes())))
    };
    match outcome {
        PathOutcome::LeftOut { folder_above, by_path, .. } => {
            let above = with(" with the folder ", folder_above, "");
            let by_path = with(" (by a line for the path itself: ", by_path, ")");
            out!("{path}: {BAD}left out{BAD:#}{above}: {rule}{by_path}");
        }
        PathOutcome::Kept { why, .. } => {
            out!("{path}: {GOOD}kept{GOOD:#}: {rule}{}", with(" does not hold: ", why, ""));
        }
        PathOutcome::LeftOutByMistake { .. } => {
            out!("{path}: {BAD}left out by mistake{BAD:#}, please report it: {rule}");
        }
        PathOutcome::Unknown { why } => out!("{path}: {why}"),
    }
}

fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
