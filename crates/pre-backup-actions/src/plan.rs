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

/// Fails where one of `only` names nothing of `known_names`.
pub(crate) fn each_names_something(only: &[Glob], known_names: &[&OsStr], what: &str) -> Result<()> {
    for pattern in only {
        if !known_names.iter().any(|name| names(pattern, name)) {
            let error = anyhow::anyhow!(
                "--only {}: no service of that name {what}",
                escape(pattern.glob().as_bytes())
            );
            let there: Vec<_> = known_names.iter().map(|name| name.to_string_lossy()).collect();
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
    Ok((in_order(&mut steps, &mut problems), problems))
}

/// By name, but none before those that it waits for. Of steps that wait for each other one does not wait, which is a
/// problem that says which.
fn in_order(steps: &mut [Step], problems: &mut Vec<Problem>) -> Vec<Step> {
    let mut new_place: Vec<Option<usize>> = vec![None; steps.len()];
    let mut order = Vec::with_capacity(steps.len());
    let next_in_its_way = |steps: &[Step], new_place: &[Option<usize>], place: usize| {
        steps[place].waits_for.iter().copied().find(|other| new_place[*other].is_none())
    };
    while let Some(first) = new_place.iter().position(Option::is_none) {
        let is_ready = |place: &usize| {
            new_place[*place].is_none() && next_in_its_way(steps, &new_place, *place).is_none()
        };
        if let Some(place) = (first..steps.len()).find(is_ready) {
            new_place[place] = Some(order.len());
            order.push(place);
            continue;
        }
        // Each waits for another one of these, so the way from one to the next comes back to where it was.
        let mut way = vec![first];
        while let Some(next) = next_in_its_way(steps, &new_place, way[way.len() - 1]) {
            if let Some(start) = way.iter().position(|place| *place == next) {
                problems.push(break_cycle(steps, &way[start..]));
                break;
            }
            way.push(next);
        }
    }
    let moved = |place: usize| {
        let waits_for = steps[place].waits_for.iter().filter_map(|other| new_place[*other]).collect();
        Step { waits_for, ..steps[place].clone() }
    };
    order.into_iter().map(moved).collect()
}

/// The last of `cycle` does not wait for the first any more.
fn break_cycle(steps: &mut [Step], cycle: &[usize]) -> Problem {
    let (first, last) = (cycle[0], cycle[cycle.len() - 1]);
    steps[last].waits_for.retain(|&place| place != first);
    let names: Vec<_> =
        cycle.iter().chain([&first]).map(|&place| steps[place].candidate.shown_name()).collect();
    let what = format!(
        "after: the services wait for each other ({}); {} does not wait for {}",
        names.join(" → "),
        steps[last].candidate.shown_name(),
        steps[first].candidate.shown_name()
    );
    Problem::new(&steps[last].script.path, what)
}

#[cfg(test)]
mod tests;
