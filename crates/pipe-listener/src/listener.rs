//! One poll loop over the FIFO, the socket, the actions and the timers; no client can block another.
//!
//! One thread does all of this and owns the queue; a thread per lane runs actions and reports through a bounded
//! channel. When nothing happens, nothing wakes up: poll(2) sleeps until a descriptor is ready or something is due.

mod backups;
mod doors;
mod events;
mod facts;
mod intake;
mod lanes;
mod notices;
mod poll;
mod recover;
mod timers;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bridge::action::Lane;
use bridge::exit_code::ExitCode;
use common::cancel::Cancel;
use common::exit::{Exit, HintExt};
use common::layout::Layout;
use common::lock::{self, Attempt, Lock};
use common::private;
use common::record_log::Damage;
use common::settings::Settings;
use common::text::escape_path;
use pipe_listener::folder::Folder;

use crate::cli::Cli;
use crate::door::fifo::MOST_READS;
use crate::door::fifo_keeper;
use crate::log::Log;
use crate::queue::{LANES, Queue};
use crate::reply::Clients;
use crate::run::{Runner, tailscale};
use backups::Backups;
use doors::Doors;
use events::Inbox;
use facts::Facts;
use lanes::Lanes;
use notices::Notices;
use recover::is_over_with_us;
use timers::{Timer, Timers};

pub(crate) fn start(cli: &Cli) -> Result<Exit> {
    if cli.hold {
        return fifo_keeper::hold();
    }
    let settings = Settings::load(&cli.flags, None, None)?;
    common::problem::warn("pipe-listener", &settings.problems);
    let (folder, notes) = Folder::open(&settings)?;
    let _lock = only_listener(&settings.layout())?;
    let (cancel, ending) = (Cancel::new().context("start")?, Cancel::new().context("start")?);
    let runner = Runner { settings, timeout: cli.action_timeout, grace: cli.grace, cancel, ending };
    Listener::open(runner, folder, &notes)?.serve()
}

/// As long as this is held, no other process touches the queue.
fn only_listener(layout: &Layout) -> Result<Lock> {
    private::folder(&layout.state()).with_context(|| format!("make: {}", escape_path(layout.state())))?;
    // A program that a killed listener was just starting holds the lock until its exec(2): a moment.
    let patience = Instant::now() + Duration::from_secs(1);
    loop {
        match lock::attempt(&layout.listener_lock())? {
            Attempt::Held(lock) => return Ok(lock),
            Attempt::Busy(_) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(20)),
            Attempt::Busy(holder) => {
                return Err(anyhow!("another listener is already running ({holder})"))
                    .hint("nothing to do; see its state with: backrest-send status");
            }
        }
    }
}

/// The parts of the loop.
struct Listener {
    runner: Runner,
    signals: Cancel,
    log: Log,
    doors: Doors,
    clients: Clients,
    queue: Queue,
    lanes: Lanes,
    inbox: Inbox,
    backups: Backups,
    notices: Notices,
    timers: Timers,
    facts: Facts,
}

impl Listener {
    fn open(runner: Runner, folder: Folder, notes: &[String]) -> Result<Listener> {
        let layout = runner.settings.layout();
        // Signals first: one that comes now must not cut a start short.
        let signals = Cancel::on_signals().context("watch for signals")?;
        let mut log = Log::open(&layout.listener_log(), &layout.message_counts())?;
        let (queue, entries, damage) = Queue::open(&layout.queue())?;
        let doors = Doors::open(folder, &layout, queue.mark(), damage == Damage::default())?;
        log.event(&format!(
            "the listener started: version {}, process {}, bridge {}",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            escape_path(doors.path())
        ));
        notes.iter().for_each(|line| log.event(line));
        if !damage.unreadable.is_empty() {
            let lines = common::text::count(damage.unreadable.len(), "line");
            log.event(&format!("{lines} of the queue could not be read"));
        }

        let backups = Backups::load(&runner.settings);
        let inbox = Inbox::new().context("start")?;
        let lanes = Lanes::new(&runner, &inbox.events()).context("start the threads of the actions")?;
        let mut timers = Timers::default();
        timers.set(Timer::Network, tailscale::due(&runner.settings));
        let mut listener = Listener {
            runner,
            signals,
            log,
            doors,
            clients: Clients::new(),
            queue,
            lanes,
            inbox,
            backups,
            notices: Notices::default(),
            timers,
            facts: Facts::new(),
        };
        listener.recover(entries);
        listener.queue.set_mark(listener.doors.fifo.start()).context("write the queue")?;
        while listener.doors.fifo.read_backlog()? {
            listener.take_arrivals();
            listener.commit(&[], Vec::new());
        }
        Ok(listener)
    }

    fn serve(mut self) -> Result<Exit> {
        // Without systemd there is no one to notify.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        while !self.is_over() {
            let ready = self.wait()?;
            self.attend(&ready);
        }
        self.end();
        Ok(Exit::Done)
    }

    /// When the loop has to go round next, whatever happens until then.
    fn due(&self) -> Option<Instant> {
        let times = [self.timers.next(), self.doors.due(), self.clients.due(), self.log.due()];
        times.into_iter().flatten().min()
    }

    /// A signal asks us to stop: nothing more is taken or started. The running action gets its grace, what waits stays
    /// on disk, and every client gets an answer.
    fn begin_end(&mut self) {
        if self.timers.is_set(Timer::Stop) {
            return;
        }
        let grace = self.runner.grace;
        self.timers.set(Timer::Stop, Some(grace));
        self.queue.pause();
        self.runner.ending.cancel();
        self.doors.close_socket();
        let running = self
            .queue
            .running(Lane::Actions)
            .map(|job| format!("; {} may go on for {}", job.message.name, common::units::duration(grace)));
        self.log.event(&format!("the listener was asked to stop{}", running.unwrap_or_default()));
        for job in LANES.into_iter().flat_map(|lane| self.queue.waiting_in(lane)) {
            let is_over = is_over_with_us(&job.message, job.door);
            let what = if is_over { "is not run" } else { "runs when it is back within 10 min" };
            self.clients.finish(job.client, ExitCode::Later, &format!("the listener stops; this {what}"));
        }
    }

    /// The grace is over: what still runs is ended.
    fn press_end(&mut self, now: Instant) {
        if self.timers.take(Timer::Stop, now) {
            self.runner.cancel.cancel();
            self.lanes.stop_all();
            // The children have a grace of their own; their threads report.
            self.timers.set(Timer::Stop, Some(Duration::from_secs(60)));
        }
    }

    fn is_over(&self) -> bool {
        self.timers.is_set(Timer::Stop) && LANES.iter().all(|&lane| self.queue.running(lane).is_none())
    }

    /// Takes what the FIFO still holds, and closes.
    fn end(mut self) {
        let now = Instant::now();
        // A writer that never stops must not keep us: what it goes on to write is the next listener's.
        for _ in 0..MOST_READS {
            if !self.doors.fifo.receive(now).is_ok_and(|any| any) {
                break;
            }
            self.take_arrivals();
            self.commit(&[], Vec::new());
        }
        self.doors.fifo.take_open_line();
        self.take_arrivals();
        self.commit(&[], Vec::new());
        self.doors.leave();
        let left = self.queue.waiting();
        let waiting = if left == 0 { String::new() } else { format!("; {left} wait for the next") };
        self.log.event(&format!("the listener stopped{waiting}"));
    }
}
