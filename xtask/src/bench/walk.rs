//! `bench walk`: finding every `.resticignore` in 200,000 entries beside `fd`, `find` and `bfs`, what the check of
//! every path costs on top, and how time and memory grow.
//!
//! Without rules there is nothing to check: that run is the walk alone. All trees are warm, that is in the kernel's
//! cache.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use common::cancel::Cancel;
use common::out;
use common::units;

use super::measure::{self, RULES, building, contender, goal, scratch};
use super::tree::Tree;
use crate::build;

const ENTRIES: usize = 200_000;
const MOST_MEMORY: u64 = 200 << 20;

/// Runs all of it and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let tool = build::released("build-ignore")?;
    let walk_is_quick = beside_others(&tool, cancel)?;
    let rules = |count: usize| -> String {
        (0..count).map(|number| format!("name-{number}\n*.e{number}\n")).collect()
    };
    // None may cost more than in proportion.
    measure::growth(
        &[
            ("files", &|home, factor| make(50, 50_000 * factor, RULES, home)),
            ("rules of a service", &|home, factor| make(2, 2_000, &rules(5_000 * factor), home)),
            ("services", &|home, factor| make(500 * factor, 2_000 * factor, RULES, home)),
        ],
        &|home| building("", &tool, home),
        5,
        cancel,
    )?;
    let memory_is_bounded = memory(&tool)?;
    Ok(walk_is_quick && memory_is_bounded)
}

fn beside_others(tool: &Path, cancel: &Cancel) -> Result<bool> {
    let (bare, ruled) = (scratch()?, scratch()?);
    make(200, ENTRIES, "# nothing\n", bare.path())?;
    make(200, ENTRIES, RULES, ruled.path())?;
    let name = ["-name", ".resticignore"];
    let mut contenders = [
        contender("find", "find", &[".", name[0], name[1]], bare.path()),
        contender("bfs", "bfs", &[".", name[0], name[1]], bare.path()),
        contender("fdfind", "fdfind", &["-uu", "--glob", ".resticignore", "."], bare.path()),
        building("build-ignore, no rules", tool, bare.path()),
        building("build-ignore, every path checked", tool, ruled.path()),
    ];
    let title = format!("{ENTRIES} entries, 200 services, warm");
    let medians = measure::compare(&title, &mut contenders, &[], 9, cancel)?;
    let fastest = medians[..3].iter().min().copied().unwrap_or_default();
    let (walk, check) = (medians[3] <= fastest, medians[4] <= fastest * 2);
    let ratio = |time| measure::ratio(time, fastest);
    goal(&format!("the walk ({}) no slower than the fastest", ratio(medians[3])), walk);
    goal(&format!("with the check ({}) at most twice that", ratio(medians[4])), check);
    Ok(walk && check)
}

fn memory(tool: &Path) -> Result<bool> {
    let home = scratch()?;
    make(100, 1_000_000, RULES, home.path())?;
    let started = Instant::now();
    let peak = measure::peak_memory(&mut building("", tool, home.path()).command)?;
    let met = peak <= MOST_MEMORY;
    out!("a million entries: {} at most, in {}", units::bytes(peak), units::duration(started.elapsed()));
    Ok(goal("under 200 MiB", met))
}

/// Services with `entries` files and folders in all: 50 files in a folder, which is three deep.
fn make(services: usize, entries: usize, rules: &str, home: &Path) -> Result<()> {
    let of_each = entries / services;
    let files = if of_each > 53 { of_each * 50 / 53 } else { of_each };
    Tree { services, files, together: 50, endings: &["jpg", "db", "txt", "log"], rules }.make(home)
}
