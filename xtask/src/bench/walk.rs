//! `bench walk`: finding every `.resticignore` in 200,000 entries beside `fd`, `find` and `bfs`, what the check of
//! every path costs on top, and how time and memory grow.
//!
//! Without rules there is nothing to check: that run is the walk alone. All trees are warm, that is in the kernel's
//! cache.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::out;
use common::units;

use super::ignore::build_in;
use super::measure::{self, Contender, RULES, goal, scratch};
use crate::build;

const ENTRIES: usize = 200_000;
const ROUNDS: usize = 9;
const MOST_MEMORY: u64 = 200 << 20;

/// Runs all of it and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let tool = build::released("build-ignore")?;
    let walk_is_quick = beside_others(&tool, cancel)?;
    growth(&tool, cancel)?;
    let memory_is_bounded = memory(&tool)?;
    Ok(walk_is_quick && memory_is_bounded)
}

fn beside_others(tool: &Path, cancel: &Cancel) -> Result<bool> {
    let (bare, ruled) = (scratch()?, scratch()?);
    let shape = TreeShape { services: 200, entries: ENTRIES, rules: "# nothing\n".to_string() };
    shape.make(bare.path())?;
    TreeShape { rules: RULES.to_string(), ..shape }.make(ruled.path())?;
    let bare_home = bare.path();
    let find = |program: &'static str, arguments: &'static [&'static str]| {
        Contender::new(program, move || {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(bare_home);
            command
        })
    };
    let contenders = [
        find("find", &[".", "-name", ".resticignore"]),
        find("bfs", &[".", "-name", ".resticignore"]),
        find("fdfind", &["--unrestricted", "--unrestricted", "--glob", ".resticignore", "."]),
        Contender::new("build-ignore, no rules", || build_in(tool, bare.path())),
        Contender::new("build-ignore, every path checked", || build_in(tool, ruled.path())),
    ];
    let medians = measure::medians(&contenders, ROUNDS, cancel)?;
    out!("{ENTRIES} entries, 200 services, warm, median of {ROUNDS} rounds");
    out!("{}", measure::compare(&contenders, &medians));
    let fastest = medians[..3].iter().min().copied().unwrap_or_default();
    let (walk, check) = (medians[3] <= fastest, medians[4] <= fastest * 2);
    let ratio = |time| measure::ratio(time, fastest);
    goal(&format!("the walk ({}) no slower than the fastest", ratio(medians[3])), walk);
    goal(&format!("with the check ({}) at most twice that", ratio(medians[4])), check);
    Ok(walk && check)
}

/// Files, rules and services doubled in turn: none may cost more than in proportion.
fn growth(tool: &Path, cancel: &Cancel) -> Result<()> {
    let make =
        |services, entries, rules: String, home: &Path| TreeShape { services, entries, rules }.make(home);
    let rules = |count: usize| (0..count).map(|number| format!("name-{number}\n*.e{number}\n")).collect();
    measure::growth(
        &[
            ("files", &|home, factor| make(50, 50_000 * factor, RULES.into(), home)),
            ("rules of a service", &|home, factor| make(2, 2_000, rules(5_000 * factor), home)),
            ("services", &|home, factor| make(500 * factor, 2_000 * factor, RULES.into(), home)),
        ],
        &|home| build_in(tool, home),
        5,
        cancel,
    )?;
    Ok(())
}

fn memory(tool: &Path) -> Result<bool> {
    let home = scratch()?;
    TreeShape { services: 100, entries: 1_000_000, rules: RULES.to_string() }.make(home.path())?;
    let started = Instant::now();
    let peak = measure::peak_memory(&mut build_in(tool, home.path()))?;
    let met = peak <= MOST_MEMORY;
    out!("a million entries: {} at most, in {}", units::bytes(peak), units::duration(started.elapsed()));
    Ok(goal("under 200 MiB", met))
}

struct TreeShape {
    services: usize,
    entries: usize,
    rules: String,
}

impl TreeShape {
    /// Services with folders of 50 files, three deep.
    fn make(&self, home: &Path) -> Result<()> {
        let folders = (self.entries / self.services).div_ceil(53).max(1);
        for service in 0..self.services {
            let root = home.join(format!("data/service-{service:04}"));
            for folder in 0..folders {
                let folder = root.join(format!("library/{}/{folder}", folder % 7));
                fs::create_dir_all(&folder).context("make a folder")?;
                for file in 0..50.min(self.entries / self.services) {
                    let ending = ["jpg", "db", "txt", "log"][file % 4];
                    fs::write(folder.join(format!("file-{file}.{ending}")), "").context("make a file")?;
                }
            }
            fs::write(root.join(".resticignore"), &self.rules).context("write the rules")?;
        }
        fs::create_dir_all(home.join("containers/backrest")).context("make Backrest's folder")
    }
}
