//! From what was found to what runs in which order. No I/O.
//!
//! `# after:` is kept to among what runs; a cycle is reported and broken at one place, because a backup that runs in the
//! wrong order is better than none.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use common::exit::HintExt;
use common::problem::Problem;
use common::text::{self, escape, escape_path};
use globset::Glob;

use crate::discover::{Candidate, Script};

/// One prepare step and what it waits for.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) candidate: Candidate,
    pub(crate) script: Script,
    /// Steps, by their place in the plan, that have to be over before this one starts.
    pub(crate) waits_for: Vec<usize>,
}

/// Whether `name` is one of those that `only` names; with nothing in it, all are.
pub(crate) fn is_wanted(name: &OsStr, only: &[Glob]) -> bool {
    only.is_empty() || only.iter().any(|pattern| names(pattern, name))
}

/// A service whose name is the pattern's very text is meant even where the text is a glob.
fn names(pattern: &Glob, name: &OsStr) -> bool {
    name == OsStr::new(pattern.glob()) || pattern.compile_matcher().is_match(Path::new(name))
}

/// Fails where one of `only` names nothing of `names_there`.
pub(crate) fn each_names_something(only: &[Glob], names_there: &[&OsStr], what: &str) -> Result<()> {
    for pattern in only {
        if !names_there.iter().any(|name| names(pattern, name)) {
            let error = anyhow::anyhow!(
                "--only {}: no service of that name {what}",
                escape(pattern.glob().as_bytes())
            );
            let there: Vec<_> = names_there.iter().map(|name| name.to_string_lossy()).collect();
            return Err(error).hint(match text::meant(pattern.glob(), there.iter().map(AsRef::as_ref)) {
                Some(near) => format!("did you mean {}?", escape(near.as_bytes())),
                None => "pre-backup-actions --list shows all that have one".into(),
            });
        }
    }
    Ok(())
}

/// The steps of `candidates` that `only` names, in the order in which they start, and what is odd about it.
///
/// Fails where one of `only` names no service.
pub(crate) fn steps(candidates: &[Candidate], only: &[Glob]) -> Result<(Vec<Step>, Vec<Problem>)> {
    let with_script = candidates.iter().filter(|candidate| candidate.prepare.is_some());
    let names: Vec<_> = with_script.map(|candidate| candidate.name.as_os_str()).collect();
    each_names_something(only, &names, "has a prepare-backup.sh")?;
    let mut problems = Vec::new();
    let mut steps = Vec::new();
    for candidate in candidates.iter().filter(|candidate| is_wanted(&candidate.name, only)) {
        match &candidate.prepare {
            Some(script) => steps.push(Step {
                candidate: candidate.clone(),
                script: script.clone(),
                waits_for: Vec::new(),
            }),
            None => problems.push(Problem::new(
                candidate.after.as_ref().map_or_else(|| candidate.data.clone(), |after| after.path.clone()),
                "is never run: there is no prepare-backup.sh beside it",
            )),
        }
    }
    let places: BTreeMap<_, _> =
        steps.iter().enumerate().map(|(place, step)| (step.candidate.name.clone(), place)).collect();
    for step in &mut steps {
        for (line, name) in &step.script.declarations.after {
            match places.get(name) {
                Some(place) => step.waits_for.push(*place),
                // A service that was left out by --only is no mistake in the script.
                None if candidates.iter().any(|other| other.name == *name) => {}
                None => problems.push(Problem::at_line(
                    &step.script.path,
                    *line,
                    format!(
                        "after: no service {} with a prepare-backup.sh; nothing is waited for",
                        escape_path(name)
                    ),
                )),
            }
        }
    }
    problems.extend(break_cycles(&mut steps));
    Ok((in_order(&steps), problems))
}

/// Takes one edge out of every cycle, and says which.
fn break_cycles(steps: &mut [Step]) -> Vec<Problem> {
    let mut problems = Vec::new();
    while let Some(cycle) = find_cycle(steps) {
        let (first, last) = (cycle[0], cycle[cycle.len() - 1]);
        steps[last].waits_for.retain(|&place| place != first);
        let names: Vec<_> =
            cycle.iter().chain([&first]).map(|&place| steps[place].candidate.shown()).collect();
        let what = format!(
            "after: the services wait for each other ({}); {} does not wait for {}",
            names.join(" → "),
            steps[last].candidate.shown(),
            steps[first].candidate.shown()
        );
        problems.push(Problem::new(&steps[last].script.path, what));
    }
    problems
}

/// A cycle, if there is one: each waits for the next, and the last for the first.
fn find_cycle(steps: &[Step]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Closed,
    }
    let mut marks = vec![Mark::New; steps.len()];
    for start in 0..steps.len() {
        // The way from `start`, each with the number of edges that were followed already.
        let mut way: Vec<(usize, usize)> = Vec::new();
        if marks[start] == Mark::New {
            marks[start] = Mark::Open;
            way.push((start, 0));
        }
        while let Some((place, followed)) = way.last_mut() {
            let place = *place;
            let Some(&next) = steps[place].waits_for.get(*followed) else {
                marks[place] = Mark::Closed;
                way.pop();
                continue;
            };
            *followed += 1;
            match marks[next] {
                Mark::New => {
                    marks[next] = Mark::Open;
                    way.push((next, 0));
                }
                Mark::Open => {
                    let cycle = way.iter().map(|(place, _)| *place).skip_while(|place| *place != next);
                    return Some(cycle.collect());
                }
                Mark::Closed => {}
            }
        }
    }
    None
}

/// By name, but none before those that it waits for.
fn in_order(steps: &[Step]) -> Vec<Step> {
    let mut new_place: BTreeMap<usize, usize> = BTreeMap::new();
    let mut ordered = Vec::with_capacity(steps.len());
    while ordered.len() < steps.len() {
        let is_ready = |place: &usize| {
            !new_place.contains_key(place)
                && steps[*place].waits_for.iter().all(|other| new_place.contains_key(other))
        };
        let Some(place) = (0..steps.len()).find(is_ready) else { break };
        new_place.insert(place, ordered.len());
        let mut step = steps[place].clone();
        step.waits_for = step.waits_for.iter().map(|other| new_place[other]).collect();
        ordered.push(step);
    }
    ordered
}

#[cfg(test)]
mod tests;
