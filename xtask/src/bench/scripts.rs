//! `bench scripts`: 200 prepare scripts that do nothing, beside a Bash loop that runs them. The goal is not to be
//! slower, although each gets a process group, a deadline, a log and a journal entry.
//!
//! One after another is the fair comparison; the run with as many jobs as the tool likes is shown beside it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::Exit;

use super::measure::{self, Contender};
use crate::build;

const SERVICES: usize = 200;
const ROUNDS: usize = 7;

/// Written from the description of the old script.
const LOOP: &str = r#"
for folder in "$1"/*/; do
    if [ -x "$folder/prepare-backup.sh" ]; then
        cd "$folder" && ./prepare-backup.sh
    fi
done
"#;

/// Makes the scripts, times them, and tells whether the goal is met.
pub(super) fn run(cancel: &Cancel) -> Result<Exit> {
    let tool = build::released("pre-backup-actions")?;
    let home = tempfile::tempdir().context("make a folder to work in")?;
    let home = home.path();
    make_scripts(home)?;
    let with = |arguments: &'static [&'static str]| {
        let tool = &tool;
        Box::new(move || {
            let mut command = Command::new(tool);
            command.args(arguments).env("HOME", home);
            command
        })
    };
    let contenders = [
        Contender {
            name: "Bash loop".into(),
            command: Box::new(|| {
                let mut command = Command::new("bash");
                command.args(["-c", LOOP, "loop"]).arg(home.join("data"));
                command
            }),
        },
        Contender { name: "pre-backup-actions --jobs 1".into(), command: with(&["--jobs", "1"]) },
        Contender { name: "pre-backup-actions".into(), command: with(&[]) },
    ];
    let medians = measure::medians(&contenders, ROUNDS, cancel)?;
    println!("{SERVICES} scripts that do nothing, median of {ROUNDS} rounds");
    println!("{}", measure::table(&contenders, &medians));
    let met = medians[1] <= medians[0];
    println!("goal: not slower than the loop, one after another: {}", if met { "met" } else { "missed" });
    Ok(if met { Exit::Done } else { Exit::Failed })
}

fn make_scripts(home: &Path) -> Result<()> {
    for number in 0..SERVICES {
        let folder = home.join(format!("data/service-{number:03}"));
        fs::create_dir_all(&folder).context("make a service")?;
        common::atomic::write(&folder.join("prepare-backup.sh"), b"#!/bin/sh\n:\n", 0o755)?;
    }
    fs::create_dir_all(home.join("containers/backrest")).context("make Backrest's folder")
}
