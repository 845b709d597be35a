//! Times commands against each other: in turn, several rounds, the median of each.
//!
//! In turn, so that a machine that slows down slows all of them; the median, because a disturbance only ever adds.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::cancel::Cancel;
use common::out;
use common::process::{self, Limits};
use common::units;
use nix::sys::resource::{UsageWho, getrusage};

use crate::table::table;

/// Something to time, under the name that the table shows.
pub(super) struct Contender<'a> {
    pub(super) name: String,
    /// A new command for each round.
    pub(super) command: Box<dyn Fn() -> Command + 'a>,
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

/// The most memory, in bytes, that the command's process held at once. The kernel keeps the highest value; it is read
/// every few milliseconds until the process has ended.
pub(super) fn peak_memory(command: &mut Command) -> Result<u64> {
    let mut child = command.stdout(Stdio::null()).spawn().context("start the command")?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kibibytes.unwrap_or(0) * 1024);
        if let Some(ended) = child.try_wait().context("wait for the command")? {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    ensure!(ended.success() && peak > 0, "measure memory: {ended}");
    Ok(peak)
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
    let names = contenders.iter().map(|contender| contender.name.as_str());
    compare_times(&names.zip(medians.iter().copied()).collect::<Vec<_>>())
}

/// The same of times under their names.
pub(super) fn compare_times(times: &[(&str, Duration)]) -> String {
    let first = times.first().map(|(_, time)| *time).unwrap_or_default();
    let rows = times.iter().map(|(name, time)| [(*name).to_string(), exact(*time), ratio(*time, first)]);
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
