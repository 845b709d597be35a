//! `bench restic`: the processor time that an exclude file costs restic, by its form: line by line and relative as the
//! old script wrote it, ours, and ours with `--lean`, each beside a run without any.
//!
//! restic tries every pattern on every path. What counts is what a file adds. One dry run is enough for what adds a lot
//! and takes minutes; without a file and with `--lean` the difference is small, so it is the median of some runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::out;

use super::measure::{self, RULES, contender, goal, scratch};
use super::tree::{Tree, service};
use crate::build;
use crate::table::table;

/// Services and files in each.
const SIZES: [(usize, usize); 2] = [(60, 500), (200, 1000)];
/// The exclude files, none first, and how many runs each is measured over.
const FILES: [(Option<&str>, usize); 4] =
    [(None, 5), (Some("relative"), 1), (Some("ours"), 1), (Some("lean"), 5)];
const GOAL: f64 = 1.0 / 3.0;
const LEAN_GOAL: f64 = 1.0 / 30.0;

/// Makes the trees, runs restic over each, and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let tool = build::released("build-ignore")?;
    let mut all_met = true;
    for (services, files) in SIZES {
        let scratch = scratch()?;
        all_met &= one_size(&tool, scratch.path(), services, files, cancel)?;
    }
    Ok(all_met)
}

fn one_size(tool: &Path, home: &Path, services: usize, files: usize, cancel: &Cancel) -> Result<bool> {
    // Some of which the rules are about.
    let endings = [&["jpg"; 49][..], &["log"]].concat();
    Tree { services, files, together: files / 100, endings: &endings, rules: RULES }.make(home)?;
    let line_by_line: String =
        (0..services).flat_map(|number| RULES.lines().map(move |rule| relative(number, rule))).collect();
    fs::write(home.join("relative"), line_by_line).context("write the relative file")?;
    for (name, flags) in [("ours", [].as_slice()), ("lean", ["--lean"].as_slice())] {
        let mut build = contender("", tool, flags, home).command;
        measure::time(build.arg("--mount").arg(home).args(["--output", name]), cancel)?;
    }
    let restic = |arguments: &[&str]| {
        let mut restic = contender("", "restic", arguments, home).command;
        restic.env("RESTIC_REPOSITORY", home.join("repository")).env("RESTIC_PASSWORD", "measured");
        restic.env("RESTIC_CACHE_DIR", home.join("cache"));
        restic
    };
    measure::time(&mut restic(&["init"]), cancel)?;

    let mut times: [Vec<Duration>; FILES.len()] = Default::default();
    let rounds = FILES.iter().map(|(_, rounds)| *rounds).max().unwrap_or(0);
    for round in 0..rounds {
        for (times, (name, _)) in times.iter_mut().zip(FILES).filter(|(_, (_, rounds))| round < *rounds) {
            let mut backup = restic(&["backup", "--quiet", "--dry-run"]);
            backup.arg(home.join("data")).args(name.iter().flat_map(|name| ["--exclude-file", name]));
            times.push(measure::processor_time(&mut backup, cancel)?);
        }
    }
    let times = times.map(measure::median);
    let added: Vec<f64> =
        times.iter().map(|time| (time.as_secs_f64() - times[0].as_secs_f64()).max(0.0)).collect();
    out!(
        "{services} services of {} rules and {files} files, processor time of a dry run",
        RULES.lines().count()
    );
    out!("{}", compare(&times, &added));
    let met = added[2] <= added[1] * GOAL;
    let lean_met = added[3] <= added[1] * LEAN_GOAL;
    goal("ours adds at most 1/3 of the relative file", met);
    goal("with --lean at most 1/30", lean_met);
    Ok(met && lean_met)
}

fn compare(times: &[Duration], added: &[f64]) -> String {
    let seconds = |value: f64| format!("{value:.2} s");
    let names = ["none", "line by line, relative", "build-ignore", "build-ignore --lean"];
    let rows = names.iter().enumerate().map(|(row, name)| {
        let of_relative = match row {
            0 => String::new(),
            _ => measure::ratio(Duration::from_secs_f64(added[row]), Duration::from_secs_f64(added[1])),
        };
        [(*name).to_string(), seconds(times[row].as_secs_f64()), seconds(added[row]), of_relative]
    });
    table(["exclude file", "took", "added", "of relative"], rows)
}

/// A line as the old script wrote it.
fn relative(number: usize, rule: &str) -> String {
    let (sign, rule) = rule.strip_prefix('!').map_or(("", rule), |rule| ("!", rule));
    format!("{sign}data/{}/{rule}\n", service(number))
}
