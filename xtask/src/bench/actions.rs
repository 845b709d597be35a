//! `bench actions`: prepare scripts that do nothing beside a Bash loop that runs them, what a script that prints a lot
//! costs, and the check of a dump beside `gzip -t`.
//!
//! The Bash loop only starts each script. Here each also gets a process group, a deadline, a log, a clean environment,
//! a line in the journal and one in its history.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::cancel::Cancel;
use common::out;
use common::units;
use rand::Rng;
use tempfile::TempDir;

use super::measure::{self, contender, goal};
use super::tree::{EMPTY, Tree, service};
use crate::{build, trees};

const SERVICES: usize = 200;
const ROUNDS: usize = 9;
const MOST_MEMORY: u64 = 20 << 20;
const GIBIBYTE: u64 = 1 << 30;

/// Written from the description of the old script.
const LOOP: &str = r#"
for folder in "$1"/*/; do
    if [ -x "$folder/prepare-backup.sh" ]; then
        cd "$folder" && ./prepare-backup.sh
    fi
done
"#;

const NOTHING: &str = "#!/bin/sh\n:\n";
const MUCH: &str = "#!/bin/sh\nyes 'a line as a dump program writes many of them' | head --bytes=1G\n";
/// The dump is there already; it counts as new.
const DUMP: &str = "#!/bin/sh\n# dump: dump.gz kind=gzip\ntouch dump.gz\n";

/// Measures all three, and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let tool = build::released("pre-backup-actions")?;
    build::released("build-ignore")?;
    let goals = [many_scripts(&tool, cancel)?, much_output(&tool)?, large_dump(&tool, cancel)?];
    Ok(goals.iter().all(|met| *met))
}

/// Measures the scripts that do nothing, and returns whether their goals are met.
pub(super) fn run_scripts(cancel: &Cancel) -> Result<bool> {
    many_scripts(&build::released("pre-backup-actions")?, cancel)
}

fn many_scripts(tool: &Path, cancel: &Cancel) -> Result<bool> {
    let home = home_of(SERVICES, NOTHING)?;
    let home = home.path();
    let data = home.join("data").to_string_lossy().into_owned();
    let (one, two) = ("pre-backup-actions --jobs 1", "pre-backup-actions --jobs 2");
    let mut contenders = [
        contender("Bash loop", "bash", &["-c", LOOP, "loop", &data], home),
        contender(one, tool, &["--jobs", "1"], home),
        contender(two, tool, &["--jobs", "2"], home),
    ];
    let title = format!("{SERVICES} scripts that do nothing");
    let medians = measure::compare(&title, &mut contenders, &[], ROUNDS, cancel)?;
    let alone = scripts_alone(home)?;
    let each = |time: Duration| time.as_secs_f64() * 1000.0 / SERVICES as f64;
    out!(
        "a script alone takes {:.2} ms; beyond that the loop takes {:.2} ms a script, pre-backup-actions {:.2} ms",
        each(alone),
        each(medians[0]) - each(alone),
        each(medians[1]) - each(alone)
    );
    let one = goal("one after another no slower than the loop", medians[1] <= medians[0]);
    let two =
        goal("two at a time at most 0.6 of it", medians[2].as_secs_f64() <= 0.6 * medians[0].as_secs_f64());
    Ok(one && two)
}

/// The scripts started from here one after another: the median of as many rounds.
fn scripts_alone(home: &Path) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for number in 0..SERVICES {
            let script = script(home, number);
            let status = Command::new(script).stdin(Stdio::null()).status().context("start a script")?;
            ensure!(status.success(), "a script ended with {status}");
        }
        times.push(started.elapsed());
    }
    Ok(measure::median(times))
}

fn much_output(tool: &Path) -> Result<bool> {
    let home = home_of(1, MUCH)?;
    let started = Instant::now();
    let peak = measure::peak_memory(&mut contender("", tool, &[], home.path()).command)?;
    let took = units::duration(started.elapsed());
    out!("\na script that prints 1 GiB: {} of memory at most, in {took}", units::bytes(peak));
    Ok(goal("at most 20 MiB", peak <= MOST_MEMORY))
}

fn large_dump(tool: &Path, cancel: &Cancel) -> Result<bool> {
    let home = home_of(1, DUMP)?;
    let dump = script(home.path(), 0).with_file_name("dump.gz");
    let holds = make_dump(&dump, cancel)?;
    let mut contenders = [
        contender("gzip -t", "gzip", &["-t", &dump.to_string_lossy()], home.path()),
        contender("pre-backup-actions", tool, &[], home.path()),
    ];
    let title = format!("\na gzip dump of 1 GiB that holds {}", units::bytes(holds));
    let medians = measure::compare(&title, &mut contenders, &[], 3, cancel)?;
    let [theirs, ours] =
        contenders.each_mut().map(|contender| measure::processor_time(&mut contender.command, cancel));
    let (theirs, ours) = (theirs?, ours?);
    out!("processor time: {} and {}", measure::exact(theirs), measure::exact(ours));
    Ok(goal("no slower than gzip -t", medians[1] <= medians[0] && ours <= theirs))
}

/// What a database writes, packed: members of 16 MiB until there is 1 GiB of them. Returns the size of the content.
fn make_dump(path: &Path, cancel: &Cancel) -> Result<u64> {
    let mut random = rand::rng();
    let mut text = Vec::new();
    while text.len() < 50 << 20 {
        let (id, amount, key) = (random.random::<u32>(), random.random::<u16>(), random.random::<u128>());
        writeln!(text, "{id}\t2026-03-01 03:00:07+01\tcustomer {amount}\t{key:032x}\t\\N\tt")?;
    }
    let mut gzip = Command::new("gzip");
    let limits = common::process::Limits::within(Duration::from_secs(600));
    let plain = path.with_extension("plain");
    fs::write(&plain, &text).context("write a dump")?;
    common::process::capture(gzip.arg("--keep").arg(&plain), b"", limits, Some(cancel))?.success()?;
    let member = fs::read(path.with_extension("plain.gz")).context("read a packed dump")?;
    let mut file = File::create(path).context("make a dump")?;
    let mut members = 0;
    while members * (member.len() as u64) < GIBIBYTE {
        file.write_all(&member).context("write a dump")?;
        members += 1;
    }
    Ok(members * text.len() as u64)
}

/// A home with services that all have that prepare script.
fn home_of(services: usize, text: &str) -> Result<TempDir> {
    let home = tempfile::tempdir().context("make a folder to work in")?;
    Tree { services, ..EMPTY }.make(home.path())?;
    (0..services).try_for_each(|number| trees::write(&script(home.path(), number), text, 0o755))?;
    Ok(home)
}

fn script(home: &Path, number: usize) -> PathBuf {
    home.join("data").join(service(number)).join("prepare-backup.sh")
}
