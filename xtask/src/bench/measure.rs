//! Times commands against each other: in turn, several rounds, the median of each.
//!
//! In turn, so that a machine that slows down slows all of them; the median, because a disturbance only ever adds.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::cancel::Cancel;
use common::out;
use common::process::{self, Limits};
use common::units;
use nix::sys::resource::{UsageWho, getrusage};

use crate::table::table;

/// Seventeen ordinary rules.
pub(super) const RULES: &str = "/cache/\n/tmp/\nlogs/\n*.log\n*.tmp\n*.bak\n/thumbs/\n/transcodes/*\n!/transcodes/keep\n\
                                /backup/old/\nnode_modules/\n__pycache__/\n*.sqlite3-wal\n/db/*.pid\n.DS_Store\n\
                                lost+found/\n/metrics/**/raw\n";

/// Something to time, under the name that the table shows.
pub(super) struct Contender<'a> {
    name: &'a str,
    /// A new command for each round.
    pub(super) command: Box<dyn Fn() -> Command + 'a>,
}

impl<'a> Contender<'a> {
    pub(super) fn new(name: &'a str, command: impl Fn() -> Command + 'a) -> Contender<'a> {
        Contender { name, command: Box::new(command) }
    }
}

/// Many small files: in memory where the machine has such a place.
pub(super) fn scratch() -> Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).context("make a folder to work in")
}

/// The median over `rounds` of each contender, in their order. A command that fails fails the measurement.
pub(super) fn medians(contenders: &[Contender<'_>], rounds: usize, cancel: &Cancel) -> Result<Vec<Duration>> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    // The first round warms the caches and does not count.
    for round in 0..=rounds {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let mut command = (contender.command)();
            let started = Instant::now();
            let limits = Limits::within(Duration::from_secs(600));
            process::capture(&mut command, b"", limits, Some(cancel))?.success()?;
            if round > 0 {
                times.push(started.elapsed());
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// A tree that is made larger by a factor, under the name that the table shows.
pub(super) type Growing<'a> = (&'a str, &'a dyn Fn(&Path, usize) -> Result<()>);

/// Prints the time of `command` in the home of each tree, once, twice, four and eight times as large; returns the largest
/// growth from the first to the last.
pub(super) fn growth(
    trees: &[Growing<'_>],
    command: &dyn Fn(&Path) -> Command,
    rounds: usize,
    cancel: &Cancel,
) -> Result<f64> {
    let (mut rows, mut most) = (Vec::new(), 0.0);
    for (name, make) in trees {
        let mut times = [Duration::ZERO; 4];
        for (time, factor) in times.iter_mut().zip([1, 2, 4, 8]) {
            let home = scratch()?;
            make(home.path(), factor)?;
            *time = medians(&[Contender::new("", || command(home.path()))], rounds, cancel)?[0];
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
    process::capture(command, b"", Limits::within(Duration::from_secs(3600)), Some(cancel))?.success()?;
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

/// The table: each contender's time, and as a part of the first one's.
pub(super) fn compare(contenders: &[Contender<'_>], medians: &[Duration]) -> String {
    compare_times(named(contenders, medians))
}

/// Each contender's name with its time.
pub(super) fn named<'a>(
    contenders: &[Contender<'a>],
    medians: &[Duration],
) -> impl Iterator<Item = (&'a str, Duration)> {
    contenders.iter().map(|contender| contender.name).zip(medians.iter().copied())
}

/// The same of times under their names.
pub(super) fn compare_times<'a>(times: impl IntoIterator<Item = (&'a str, Duration)>) -> String {
    let mut times = times.into_iter().peekable();
    let first = times.peek().map(|(_, time)| *time).unwrap_or_default();
    let rows = times.map(|(name, time)| [name.to_string(), exact(time), ratio(time, first)]);
    table(["", "median", "of the first"], rows)
}

/// Prints whether a goal is met, and returns it.
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
    fn one_disturbed_round_does_not_move_the_median() {
        let times = [3, 1, 900, 2, 4].map(Duration::from_millis);
        assert_eq!(median(times.to_vec()), Duration::from_millis(3));
    }

    #[test]
    fn of_a_hundred_times_one_may_be_longer() {
        let spread = Spread::of((1..=100).map(Duration::from_millis).collect());
        assert_eq!((spread.p99, spread.longest), (Duration::from_millis(99), Duration::from_millis(100)));
        assert_eq!(Spread::of(vec![Duration::from_millis(7)]).p99, Duration::from_millis(7));
    }

    #[test]
    fn ratios_read_as_people_say_them() {
        let second = Duration::from_secs(1);
        assert_eq!(ratio(Duration::from_millis(40), second), "1/25.0");
        assert_eq!(ratio(Duration::from_millis(950), second), "0.95");
    }
}
