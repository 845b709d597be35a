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
use common::exit::Exit;
use common::out;
use common::units;

use super::measure::{self, Contender, goal};
use super::restic::scratch;
use crate::build;
use crate::table::table;

const ENTRIES: usize = 200_000;
const ROUNDS: usize = 9;
const MOST_MEMORY: u64 = 200 << 20;

/// Seventeen ordinary rules.
const RULES: &str = "/cache/\n/tmp/\nlogs/\n*.log\n*.tmp\n*.bak\n/thumbs/\n/transcodes/*\n!/transcodes/keep\n\
                     /backup/old/\nnode_modules/\n__pycache__/\n*.sqlite3-wal\n/db/*.pid\n.DS_Store\nlost+found/\n\
                     /metrics/**/raw\n";

/// Runs all of it and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<Exit> {
    let tool = build::released("build-ignore")?;
    let walk_is_quick = beside_others(&tool, cancel)?;
    growth(&tool, cancel)?;
    let memory_is_bounded = memory(&tool)?;
    Ok(if walk_is_quick && memory_is_bounded { Exit::Done } else { Exit::Failed })
}

fn beside_others(tool: &Path, cancel: &Cancel) -> Result<bool> {
    let (bare, ruled) = (scratch()?, scratch()?);
    let shape = TreeShape { services: 200, entries: ENTRIES, rules: "# nothing\n".to_string() };
    shape.make(bare.path())?;
    TreeShape { rules: RULES.to_string(), ..shape }.make(ruled.path())?;
    let bare_home = bare.path();
    let find = |program: &'static str, arguments: &'static [&'static str]| Contender {
        name: program.to_string(),
        command: Box::new(move || {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(bare_home);
            command
        }),
    };
    let contenders = [
        find("find", &[".", "-name", ".resticignore"]),
        find("bfs", &[".", "-name", ".resticignore"]),
        find("fdfind", &["--unrestricted", "--unrestricted", "--glob", ".resticignore", "."]),
        Contender {
            name: "build-ignore, no rules".into(),
            command: Box::new(|| build_in(tool, bare.path())),
        },
        Contender {
            name: "build-ignore, every path checked".into(),
            command: Box::new(|| build_in(tool, ruled.path())),
        },
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
    let rules = |count: usize| {
        (0..count).map(|number| format!("name-{number}\n*.e{number}\n")).collect::<Vec<_>>().concat()
    };
    let shapes = |factor: usize| {
        [
            ("files", TreeShape { services: 50, entries: 50_000 * factor, rules: RULES.to_string() }),
            ("rules of a service", TreeShape { services: 2, entries: 2_000, rules: rules(5_000 * factor) }),
            (
                "services",
                TreeShape { services: 500 * factor, entries: 2_000 * factor, rules: RULES.to_string() },
            ),
        ]
    };
    let mut rows = Vec::new();
    for row in 0..3 {
        let mut cells = Vec::new();
        for factor in [1, 2, 4, 8] {
            let home = scratch()?;
            let (name, shape) = &shapes(factor)[row];
            shape.make(home.path())?;
            let contender =
                [Contender { name: String::new(), command: Box::new(|| build_in(tool, home.path())) }];
            let time = measure::medians(&contender, 5, cancel)?[0];
            if cells.is_empty() {
                cells.push((*name).to_string());
            }
            cells.push(format!("{:.0} ms", time.as_secs_f64() * 1000.0));
        }
        rows.push(std::array::from_fn(|column| cells[column].clone()));
    }
    out!("growth, median of 5 rounds\n{}\n", table(["doubled", "1", "2", "4", "8"], rows));
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

fn build_in(tool: &Path, home: &Path) -> Command {
    // An unchanged file would not be written.
    let _ = fs::remove_file(home.join("containers/backrest/ignorefile.txt"));
    let mut command = Command::new(tool);
    command.env("HOME", home);
    command
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
