//! `bench bridge`: the listener beside a Bash loop that reads a FIFO and does `case`, as the old script did.
//!
//! Both start the same program for a message, which writes one byte to a FIFO that is read here: that is the first
//! effect. A message is timed from before the door is opened for it. What a reader would get wrong: the listener also
//! answers, watches over what it started, and has the message in a journal; the Bash loop does none of this.

mod doors;
mod loops;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::cancel::Cancel;
use common::out;
use common::units;

use super::measure::{self, Spread, exact, goal, ratio};
use crate::table::table;
use doors::{Door, Effects};
use loops::{Bash, Listener};

/// Messages through each door, one at a time, to time the first effect.
const MESSAGES: usize = 1000;
/// Before each there is time for all that the one before it left to do, as there is between the hooks of a backup.
const PAUSE: Duration = Duration::from_millis(10);
/// Services of a home, each with rules; the last one has a prepare step.
const SERVICES: usize = 30;
/// How often they are prepared, and their ignore file made.
const BACKUPS: usize = 200;
/// Messages at once that start nothing.
const FLOOD: usize = 200_000;
/// Messages at once that start a program each; fewer than may wait.
const PROGRAMS: usize = 500;
const CLIENTS: usize = 1000;

/// Measures, prints, and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let scratch = tempfile::tempdir().context("make a folder to work in")?;
    let mut effects = Effects::make(scratch.path())?;
    let listener = Listener::start(scratch.path(), SERVICES, cancel)?;
    let bash = Bash::start(scratch.path(), &listener.home.at(""), cancel)?;
    let idle = listener.memory("smaps_rollup", "Rss:")?;
    let alone = Door::None(doors::program(scratch.path()));
    let doors = [&bash.fifo, &listener.fifo, &listener.socket, &alone];

    let effect = first_effects(doors, &mut effects, cancel)?;
    show(
        &format!(
            "{MESSAGES} messages, one at a time, until the program that each starts has its first effect"
        ),
        ["Bash loop, FIFO", "pipe-listener, FIFO", "pipe-listener, socket", "the program alone"],
        effect,
    );
    let fast = is_fast(effect);

    let [prepared, files] = backups(&bash, &listener, &mut effects, cancel)?;
    let both = ["Bash loop, FIFO", "pipe-listener, socket"];
    let title =
        format!("{BACKUPS} messages `pre-backups`, until the prepare step among {SERVICES} services runs");
    show(&title, both, prepared);
    let [theirs, ours] = prepared;
    let at_once = goal(
        "at most half of the loop's median and p99",
        2 * ours.median <= theirs.median && 2 * ours.p99 <= theirs.p99,
    );
    let title =
        format!("{BACKUPS} messages `build-ignore`, until the ignore file of {SERVICES} services is whole");
    show(&title, both, files);

    let floods = floods(FLOOD, "ping", [&bash.fifo, &listener.fifo], &mut effects)?;
    let many = goal("at least ten times as many a second", 10 * floods[1] <= floods[0]);
    self::floods(PROGRAMS, "note", [&bash.fifo, &listener.fifo], &mut effects)?;

    let answers = round_trips(&listener, cancel)?;
    let names = ["over an open folder's socket", "backrest-send ping, started each time"];
    show(&format!("{MESSAGES} times `ping` and its answer"), names, answers);

    let (answered, took) = listener.socket.ask_all_at_once(CLIENTS)?;
    out!("\n{CLIENTS} clients at once: {answered} answered in {}", exact(took));
    let all = goal("all are answered", answered == CLIENTS);

    let (after, most) = (listener.memory("smaps_rollup", "Rss:")?, listener.memory("status", "VmHWM:")?);
    out!(
        "\nmemory: {} before it had anything to do, {} after all this, {} at most",
        units::bytes(idle),
        units::bytes(after),
        units::bytes(most)
    );
    let small = goal("at most 3 MiB with nothing to do", idle <= 3 << 20);
    Ok(fast && at_once && many && all && small)
}

/// Whether the goal for the first effect is met. Where the program that both start takes more than half of the loop's
/// time by itself, nothing that starts it can take half of that time; then it is not to be slower than the loop.
fn is_fast([bash, fifo, socket, alone]: [Spread; 4]) -> bool {
    let slower = fifo.median.max(socket.median);
    let half = |took: Spread| 2 * took.median <= bash.median && 2 * took.p99 <= bash.p99;
    let is_half = goal("at most half of the loop's median and p99", half(fifo) && half(socket));
    if is_half || 2 * alone.median <= bash.median {
        return is_half;
    }
    let beyond = |time: Duration| exact(time.saturating_sub(alone.median));
    out!(
        "      out of reach: the program alone takes {} of the loop's time. Beyond it the loop adds {} and the \
         listener {} (FIFO) and {} (socket)",
        ratio(alone.median, bash.median),
        beyond(bash.median),
        beyond(fifo.median),
        beyond(socket.median)
    );
    goal("so at least not slower than the loop, to a tenth of its median", 10 * slower <= 11 * bash.median)
}

/// In turn, so that a machine that slows down slows all of them.
fn first_effects(doors: [&Door; 4], effects: &mut Effects, cancel: &Cancel) -> Result<[Spread; 4]> {
    let mut times = [const { Vec::new() }; 4];
    // The first few warm the caches and do not count.
    for number in 0..MESSAGES + 20 {
        for (door, times) in doors.iter().zip(&mut times) {
            ensure!(!cancel.is_cancelled(), "interrupted");
            std::thread::sleep(PAUSE);
            let started = Instant::now();
            let answer = door.send("note\n")?;
            effects.wait_for(1)?;
            if number >= 20 {
                times.push(started.elapsed());
            }
            answer()?;
        }
    }
    Ok(times.map(Spread::of))
}

/// What a hook asks for before a backup, until the prepare step runs and until the ignore file is whole. The loop starts
/// what the old scripts were, the ignore file first; the listener starts `pre-backup-actions` and `build-ignore`.
fn backups(
    bash: &Bash,
    listener: &Listener,
    effects: &mut Effects,
    cancel: &Cancel,
) -> Result<[[Spread; 2]; 2]> {
    let mut times = [const { [const { Vec::new() }; 2] }; 2];
    for _ in 0..BACKUPS {
        for (message, [theirs, ours]) in ["pre-backups\n", "build-ignore\n"].into_iter().zip(&mut times) {
            ensure!(!cancel.is_cancelled(), "interrupted");
            std::thread::sleep(PAUSE);
            let started = Instant::now();
            bash.fifo.send(message)?()?;
            effects.wait_for(1)?;
            theirs.push(started.elapsed());

            listener.forget_the_ignore_file()?;
            std::thread::sleep(PAUSE);
            let started = Instant::now();
            let answer = listener.socket.send(message)?;
            if message == "pre-backups\n" {
                effects.wait_for(1)?;
                ours.push(started.elapsed());
                answer()?;
            } else {
                answer()?;
                ours.push(started.elapsed());
            }
        }
    }
    Ok(times.map(|both| both.map(Spread::of)))
}

/// Prints and returns the time from the first byte of `count` messages of that name to the effect of one more after them,
/// for the loop's door and for the listener's.
fn floods(count: usize, name: &str, doors: [&Door; 2], effects: &mut Effects) -> Result<[Duration; 2]> {
    let text = format!("{name}\n").repeat(count) + "note\n";
    let mut times = [Duration::ZERO; 2];
    for (door, time) in doors.iter().zip(&mut times) {
        let started = Instant::now();
        door.send(&text)?()?;
        effects.wait_for(if name == "note" { count + 1 } else { 1 })?;
        *time = started.elapsed();
    }
    let rows = ["Bash loop", "pipe-listener"].into_iter().zip(times).map(|(name, took)| {
        let rate = count as f64 / took.as_secs_f64();
        let of_first = times[0].as_secs_f64() / took.as_secs_f64();
        [name.to_string(), exact(took), format!("{rate:.0}"), format!("{of_first:.1}")]
    });
    let what = if name == "ping" { "which start nothing" } else { "a program each, one after another" };
    out!("\n{count} messages `{name}` at once through the FIFO, {what}");
    out!("{}", table(["", "took", "messages a second", "of the first"], rows));
    Ok(times)
}

fn round_trips(listener: &Listener, cancel: &Cancel) -> Result<[Spread; 2]> {
    let (mut answers, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..MESSAGES {
        let started = Instant::now();
        listener.socket.send("ping\n")?()?;
        answers.push(started.elapsed());
        calls.push(measure::time(Command::new(&listener.client).arg("ping"), cancel)?);
    }
    Ok([answers, calls].map(Spread::of))
}

/// Prints how the times of the same thing are spread.
fn show<const N: usize>(title: &str, names: [&str; N], spreads: [Spread; N]) {
    let first = spreads[0];
    let rows = names.into_iter().zip(spreads).map(|(name, spread)| {
        [
            name.to_string(),
            exact(spread.median),
            ratio(spread.median, first.median),
            exact(spread.p99),
            ratio(spread.p99, first.p99),
            exact(spread.longest),
        ]
    });
    out!("\n{title}\n{}", table(["", "median", "of first", "p99", "of first", "longest"], rows));
}
