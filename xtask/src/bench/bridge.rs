//! `bench bridge`: the listener beside a Bash loop that reads a FIFO and does `case`, as the old script did.
//!
//! Both start the same program for a message, which writes one byte to a FIFO that is read here: that is the first
//! effect. A message is timed from before the door is opened for it. What a reader would get wrong: the listener also
//! answers, watches over what it started, and has the message in a journal; the Bash loop does none of this.

mod doors;
mod loops;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::cancel::Cancel;
use common::out;
use common::units;

use super::measure::{Spread, exact, goal, ratio};
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
/// Clients at once.
const CLIENTS: usize = 1000;

/// Measures, prints, and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let scratch = tempfile::tempdir().context("make a folder to work in")?;
    let mut effects = Effects::make(scratch.path())?;
    let listener = Listener::start(scratch.path(), SERVICES, cancel)?;
    let bash = Bash::start(scratch.path(), &listener.home, cancel)?;
    let idle = listener.resident()?;
    let alone = Door::None(doors::program(scratch.path()));
    let doors = [&bash.fifo, &listener.fifo, &listener.socket, &alone];

    let effect = first_effects(doors, &mut effects, cancel)?;
    out!("{MESSAGES} messages, one at a time, until the program that each starts has its first effect");
    out!(
        "{}",
        spreads(
            ["Bash loop, FIFO", "pipe-listener, FIFO", "pipe-listener, socket", "the program alone"],
            effect
        )
    );
    let fast = is_fast(effect);

    let (prepared, files) = backups(&bash, &listener, &mut effects, cancel)?;
    out!("\n{BACKUPS} messages `pre-backups`, until the prepare step among {SERVICES} services runs");
    out!("{}", spreads(["Bash loop, FIFO", "pipe-listener, socket"], prepared));
    let [theirs, ours] = prepared;
    let at_once = goal(
        "at most half of the loop's median and p99",
        2 * ours.median <= theirs.median && 2 * ours.p99 <= theirs.p99,
    );
    out!("\n{BACKUPS} messages `build-ignore`, until the ignore file of {SERVICES} services is whole");
    out!("{}", spreads(["Bash loop, FIFO", "pipe-listener, socket"], files));

    let bash_flood = flood(&bash.fifo, FLOOD, "ping", &mut effects)?;
    let own_flood = flood(&listener.fifo, FLOOD, "ping", &mut effects)?;
    out!("\n{FLOOD} messages `ping` at once through the FIFO, which start nothing");
    out!("{}", rates(FLOOD, bash_flood, own_flood));
    let many = goal("at least ten times as many a second", 10 * own_flood <= bash_flood);

    let bash_programs = flood(&bash.fifo, PROGRAMS, "note", &mut effects)?;
    let own_programs = flood(&listener.fifo, PROGRAMS, "note", &mut effects)?;
    out!("\n{PROGRAMS} messages at once through the FIFO, a program each, one after another");
    out!("{}", rates(PROGRAMS, bash_programs, own_programs));

    let (answers, calls) = round_trips(&listener, cancel)?;
    out!("\n{MESSAGES} times `ping` and its answer");
    out!(
        "{}",
        spreads(["over an open folder's socket", "backrest-send ping, started each time"], [answers, calls])
    );

    let (answered, took) = listener.socket.ask_all_at_once(CLIENTS)?;
    out!("\n{CLIENTS} clients at once: {answered} answered in {}", exact(took));
    let all = goal("all are answered", answered == CLIENTS);

    let (after, most) = (listener.resident()?, listener.most_resident()?);
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
            answer.read_to_its_end()?;
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
) -> Result<([Spread; 2], [Spread; 2])> {
    let (mut prepared, mut files) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..BACKUPS {
        ensure!(!cancel.is_cancelled(), "interrupted");
        for (message, times) in [("pre-backups\n", &mut prepared), ("build-ignore\n", &mut files)] {
            std::thread::sleep(PAUSE);
            let started = Instant::now();
            bash.fifo.send(message)?;
            effects.wait_for(1)?;
            times[0].push(started.elapsed());
        }

        listener.forget_the_ignore_file()?;
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        let answer = listener.socket.send("pre-backups\n")?;
        effects.wait_for(1)?;
        prepared[1].push(started.elapsed());
        answer.read_to_its_end()?;

        listener.forget_the_ignore_file()?;
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        listener.socket.send("build-ignore\n")?.read_to_its_end()?;
        files[1].push(started.elapsed());
    }
    Ok((prepared.map(Spread::of), files.map(Spread::of)))
}

/// From the first byte of `count` messages of that name to the effect of one more after them.
fn flood(door: &Door, count: usize, name: &str, effects: &mut Effects) -> Result<Duration> {
    let text = format!("{name}\n").repeat(count) + "note\n";
    let started = Instant::now();
    door.send(&text)?.read_to_its_end()?;
    effects.wait_for(if name == "note" { count + 1 } else { 1 })?;
    Ok(started.elapsed())
}

fn round_trips(listener: &Listener, cancel: &Cancel) -> Result<(Spread, Spread)> {
    let (mut answers, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..MESSAGES {
        ensure!(!cancel.is_cancelled(), "interrupted");
        let started = Instant::now();
        listener.socket.send("ping\n")?.read_to_its_end()?;
        answers.push(started.elapsed());
        let started = Instant::now();
        listener.call_the_client()?;
        calls.push(started.elapsed());
    }
    Ok((Spread::of(answers), Spread::of(calls)))
}

fn spreads<const N: usize>(names: [&str; N], spreads: [Spread; N]) -> String {
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
    table(["", "median", "of first", "p99", "of first", "longest"], rows)
}

fn rates(count: usize, bash: Duration, own: Duration) -> String {
    let rows = [("Bash loop", bash), ("pipe-listener", own)].map(|(name, took)| {
        let rate = count as f64 / took.as_secs_f64();
        let of_first = bash.as_secs_f64() / took.as_secs_f64();
        [name.to_string(), exact(took), format!("{rate:.0}"), format!("{of_first:.1}")]
    });
    table(["", "took", "messages a second", "of the first"], rows)
}
