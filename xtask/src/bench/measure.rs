//! Times commands against each other: in turn, several rounds, the median of each.
//!
//! In turn, so that a machine that slows down slows all of them; the median, because a disturbance only ever adds.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::cancel::Cancel;
use common::out;
use common::process::{self, Limits};
use common::units;
use nix::sys::resource::{UsageWho, getrusage};

use crate::table::table;

const IGNORE_FILE: &str = "containers/backrest/ignorefile.txt";
/// Longer than any of them takes.
const LONG: Duration = Duration::from_secs(3600);

/// Seventeen ordinary rules.
pub(super) const RULES: &str = "/cache/\n/tmp/\nlogs/\n*.log\n*.tmp\n*.bak\n/thumbs/\n/transcodes/*\n!/transcodes/keep\n\
                                /backup/old/\nnode_modules/\n__pycache__/\n*.sqlite3-wal\n/db/*.pid\n.DS_Store\n\
                                lost+found/\n/metrics/**/raw\n";

/// Something to time, under the name that the table shows.
pub(super) struct Contender {
    name: &'static str,
    pub(super) command: Command,
    /// What it makes, which is removed before each round: an unchanged file would not be written.
    makes: Option<PathBuf>,
}

impl Contender {
    pub(super) fn of(name: &'static str, command: Command) -> Contender {
        Contender { name, command, makes: None }
    }
}

/// A command that runs in `home`, which is its `HOME` as well.
pub(super) fn contender(
    name: &'static str,
    program: impl AsRef<OsStr>,
    arguments: &[&str],
    home: &Path,
) -> Contender {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(home).env("HOME", home);
    Contender::of(name, command)
}

/// `build-ignore`, which writes the ignore file of `home` anew each time.
pub(super) fn building(name: &'static str, tool: &Path, home: &Path) -> Contender {
    Contender { makes: Some(home.join(IGNORE_FILE)), ..contender(name, tool, &[], home) }
}

/// Many small files: in memory where the machine has such a place.
pub(super) fn scratch() -> Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).context("make a folder to work in")
}

/// Prints the median over `rounds` of each contender, and of what was measured otherwise, and returns them in that order.
/// A command that fails fails the measurement.
pub(super) fn compare(
    title: &str,
    contenders: &mut [Contender],
    more: &[(&'static str, Duration)],
    rounds: usize,
    cancel: &Cancel,
) -> Result<Vec<Duration>> {
    let names: Vec<_> = contenders.iter().map(|contender| contender.name).collect();
    let medians = medians(contenders, rounds, cancel)?;
    let times: Vec<_> = names.into_iter().zip(medians).chain(more.iter().copied()).collect();
    let first = times.first().map(|(_, time)| *time).unwrap_or_default();
    let rows = times.iter().map(|(name, time)| [(*name).to_string(), exact(*time), ratio(*time, first)]);
    out!("{title}, median of {rounds} rounds\n{}", table(["", "median", "of the first"], rows));
    Ok(times.into_iter().map(|(_, time)| time).collect())
}

fn medians(contenders: &mut [Contender], rounds: usize, cancel: &Cancel) -> Result<Vec<Duration>> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    // The first round warms the caches and does not count.
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            if let Some(made) = &contender.makes {
                let _ = fs::remove_file(made);
            }
            let took = time(&mut contender.command, cancel)?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// How long `command` takes, once.
pub(super) fn time(command: &mut Command, cancel: &Cancel) -> Result<Duration> {
    let started = Instant::now();
    process::capture(command, b"", Limits::within(LONG), Some(cancel))?.success()?;
    Ok(started.elapsed())
}

/// A tree that is made larger by a factor, under the name that the table shows.
pub(super) type Growing<'a> = (&'a str, &'a dyn Fn(&Path, usize) -> Result<()>);

/// Prints the time of `command` in the home of each tree, once, twice, four and eight times as large; returns the largest
/// growth from the first to the last.
pub(super) fn growth(
    trees: &[Growing<'_>],
    command: &dyn Fn(&Path) -> Contender,
    rounds: usize,
    cancel: &Cancel,
) -> Result<f64> {
    let (mut rows, mut most) = (Vec::new(), 0.0);
    for (name, make) in trees {
        let mut times = [Duration::ZERO; 4];
        for (time, factor) in times.iter_mut().zip([1, 2, 4, 8]) {
            let home = scratch()?;
            make(home.path(), factor)?;
            *time = medians(&mut [command(home.path())], rounds, cancel)?[0];
        }
        let growth = times[3].as_secs_f64() / times[0].as_secs_f64().max(0.001);
        most = growth.max(most);
        let [one, two, four, eight] = times.map(|time| format!("{:.0} ms", time.as_secs_f64() * 1000.0));
        rows.push([(*name).to_string(), one, two, four, eight, format!("{growth:.1}")]);
    }
    out!("growth, median of {rounds} rounds\n{}", table(["doubled", "1", "2", "4", "8", "growth"], rows));
    Ok(most)
}

/// The most memory, in bytes, that the command's process held at once. The kernel keeps the highest value; it is read
/// every few milliseconds until the process has ended.
pub(super) fn peak_memory(command: &mut Command) -> Result<u64> {
    let mut child = command.stdout(Stdio::null()).spawn().context("start the command")?;
    let mut peak = 0;
    let ended = loop {
        peak = peak.max(memory(child.id(), "status", "VmHWM:").unwrap_or(0));
        if let Some(ended) = child.try_wait().context("wait for the command")? {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    ensure!(ended.success() && peak > 0, "measure memory: {ended}");
    Ok(peak)
}

/// What a line of a file of `/proc/PROCESS` counts, in bytes.
pub(super) fn memory(process: u32, file: &str, line: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().strip_suffix(" kB"));
    Some(found?.parse::<u64>().ok()? * 1024)
}

/// The processor time that the command and what it started took.
pub(super) fn processor_time(command: &mut Command, cancel: &Cancel) -> Result<Duration> {
    let before = used_by_children()?;
    time(command, cancel)?;
    Ok(used_by_children()? - before)
}

fn used_by_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("ask for the children's processor time")?;
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

/// The one in the middle; of an even number the later one.
pub(super) fn median(times: Vec<Duration>) -> Duration {
    Spread::of(times).median
}

/// How many times of the same thing are spread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) median: Duration,
    /// 99 of 100 took at most this.
    pub(super) p99: Duration,
    pub(super) longest: Duration,
}

impl Spread {
    pub(super) fn of(mut times: Vec<Duration>) -> Spread {
        times.sort();
        let at = |place: usize| times.get(place).copied().unwrap_or_default();
        Spread {
            median: at(times.len() / 2),
            p99: at((times.len() * 99).div_ceil(100).saturating_sub(1)),
            longest: times.last().copied().unwrap_or_default(),
        }
    }
}

pub(super) fn goal(what: &str, is_met: bool) -> bool {
    out!("goal: {what}: {}", if is_met { "met" } else { "missed" });
    is_met
}

/// Milliseconds with the digits that matter.
pub(super) fn exact(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.2} ms"),
        ..1000.0 => format!("{milliseconds:.1} ms"),
        _ => units::duration(time),
    }
}

/// `1/23` or `1.4`: how many times `other` fits, in the form that reads best.
pub(super) fn ratio(time: Duration, other: Duration) -> String {
    let ratio = time.as_secs_f64() / other.as_secs_f64();
    if ratio < 0.5 { format!("1/{:.1}", 1.0 / ratio) } else { format!("{ratio:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_put_in_order_and_compared_as_people_say_it() {
        let times = [3, 1, 900, 2, 4].map(Duration::from_millis);
        assert_eq!(median(times.to_vec()), Duration::from_millis(3), "one disturbed round changes nothing");
        let spread = Spread::of((1..=100).map(Duration::from_millis).collect());
        assert_eq!((spread.p99, spread.longest), (Duration::from_millis(99), Duration::from_millis(100)));
        assert_eq!(Spread::of(vec![Duration::from_millis(7)]).p99, Duration::from_millis(7));
        let second = Duration::from_secs(1);
        assert_eq!(ratio(Duration::from_millis(40), second), "1/25.0");
        assert_eq!(ratio(Duration::from_millis(950), second), "0.95");
    }
}
