//! `bench ignore`: the ignore file of 1,000 services with 20 lines each, beside a Bash loop that does what the old
//! script did. The goal is a twentieth of its time, for the whole run and for compiling alone.
//!
//! The loop only puts a prefix before each line; it decides nothing, walks nothing and gets most files wrong. It is
//! what there was. find and grep show what it takes to list the same folders, and to read the same files as well; the
//! compiler alone has 20 rules for each service, no two of which are alike, and no disk.

use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;

use super::measure::{self, building, contender, goal};
use super::tree::{EMPTY, Tree};
use crate::{background, build};

const SERVICES: usize = 1000;
const ROUNDS: usize = 7;
const GOAL: f64 = 1.0 / 20.0;

/// Written from the description of the old script: truncate, then add line after line, first the data root's file,
/// then the container root's, for each folder of the container root.
pub(super) const LOOP: &str = r#"
output=$1 data=$2 containers=$3
add() {
    [ -f "$2" ] || return 0
    while IFS= read -r line; do
        case $line in
            '') ;;
            '#'*) echo "$line" >> "$output" ;;
            '!'*) echo "!$1/${line#!}" >> "$output" ;;
            *) echo "$1/$line" >> "$output" ;;
        esac
    done < "$2"
}
: > "$output"
for folder in "$containers"/*/; do
    folder=${folder%/}
    service=${folder##*/}
    add "data/$service" "$data/$service/.resticignore"
    add "$service" "$folder/.resticignore"
done
"#;

/// The rules of each service.
pub(super) const LINES: &str = "# what can be made again\n/cache/\n/tmp/\nlogs/\n*.log\n*.tmp\n*.bak\n\n/thumbs/\n/transcodes/*\n\
                     !/transcodes/keep\n/backup/old/\nnode_modules/\n__pycache__/\n*.sqlite3-wal\n*.sqlite3-shm\n\
                     /db/*.pid\n.DS_Store\nlost+found/\n/metrics/**/raw\n";

/// Makes the services, times both, and returns whether the goal is met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let tool = build::released("build-ignore")?;
    let home = tempfile::tempdir().context("make a folder to work in")?;
    let home = home.path();
    Tree { services: SERVICES, rules: LINES, ..EMPTY }.make(home)?;
    let (find, grep) = ("find, which lists alone", "grep, which lists and reads alone");
    let reading = ["-r", "-c", "", "--include=.resticignore", "data", "containers"];
    let mut contenders = [
        contender("Bash loop", "bash", &["-c", LOOP, "loop", "loop.txt", "data", "containers"], home),
        building("build-ignore", &tool, home),
        contender(find, "find", &["data", "containers", "-name", ".resticignore"], home),
        contender(grep, "grep", &reading, home),
    ];
    let compiling = [("compiling alone, every rule another one", compiling_alone(cancel)?)];
    let title = format!("{SERVICES} services of {} lines", LINES.lines().count());
    let medians = measure::compare(&title, &mut contenders, &compiling, ROUNDS, cancel)?;
    let is_met = |time: Duration| time.as_secs_f64() <= medians[0].as_secs_f64() * GOAL;
    let whole = goal("the whole run at most 1/20 of the loop", is_met(medians[1]));
    let alone = goal("compiling alone at most 1/20 of the loop", is_met(medians[4]));
    Ok(whole && alone)
}

/// The median of what `benches/compile.rs` prints, a new process each time.
fn compiling_alone(cancel: &Cancel) -> Result<Duration> {
    let mut benchmark = build::benchmark("build-ignore", "compile")?;
    let mut once = || -> Result<Duration> {
        let printed = background::output_of(&mut benchmark, b"", Some(cancel))?;
        let microseconds = printed.trim().parse().context("read what it prints")?;
        Ok(Duration::from_micros(microseconds))
    };
    // The first time warms the caches and does not count.
    once()?;
    Ok(measure::median((0..ROUNDS).map(|_| once()).collect::<Result<_>>()?))
}
