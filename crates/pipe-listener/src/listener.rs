//! One poll loop over the FIFO, the socket, the actions and the timers; no client can block another.
//!
//! One thread does all of this and owns the queue; a thread per lane runs actions and reports through a bounded
//! channel. When nothing happens, nothing wakes up: poll(2) sleeps until a descriptor is ready or something is due.

mod backups;
mod doors;
mod end;
mod events;
mod facts;
mod intake;
mod notices;
mod poll;
mod recover;
mod timers;

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use common::cancel::Cancel;
use common::exit::{Exit, HintExt};
use common::lock::{self, Attempt, Lock};
use common::private;
use common::record_log::Damage;
use common::settings::Settings;
use common::units;

use crate::cli::Cli;
use crate::door::fifo_keeper;
use crate::log::Log;
use crate::queue::journal::Mark;
use crate::queue::{Job, New, Queue};
use crate::reply::Clients;
use crate::run::{Outcome, Runner};
use crate::tally::Tally;
use backups::Backups;
use bridge::action::Lane;
use doors::Doors;
use events::{Event, Events, Start, Wake};
use facts::Facts;
use notices::Notices;
use timers::Timers;

/// What the command line asks for.
pub(crate) fn start(cli: &Cli) -> Result<Exit> {
    if cli.hold {
        return fifo_keeper::hold();
    }
    let settings = Settings::load(&cli.flags, None, None)?;
    common::problem::warn("pipe-listener", &settings.problems);
    Listener::open(settings, cli)?.serve()
}

/// Everything the loop knows.
struct Listener {
    settings: Settings,
    runner: Runner,
    grace: Duration,
    log: Log,
    tally: Tally,
    doors: Doors,
    clients: Clients,
    queue: Queue,
    /// Taken from the FIFO, not yet written down.
    from_fifo: Vec<New>,
    /// Up to where the FIFO's lines have been looked at.
    passed: Mark,
    /// Progress by a client or by a timer, not yet written down.
    from_others: Vec<New>,
    lanes: [Sender<Start>; 2],
    /// What stops the actions that run, by the number of their message.
    running: BTreeMap<u64, Cancel>,
    /// What has ended and is not recorded yet: it is reported once it is.
    finished: Vec<(Job, Outcome)>,
    backups: Backups,
    notices: Notices,
    events: Events,
    heard: Receiver<Event>,
    wake: Wake,
    signals: Cancel,
    timers: Timers,
    /// Who waits for a status that is being put together.
    status_clients: Vec<(crate::door::ClientId, bool)>,
    facts: Facts,
    since: String,
    // Let go of last.
    _lock: Lock,
}

impl Listener {
    fn open(settings: Settings, cli: &Cli) -> Result<Listener> {
        let (folder, notes) = pipe_listener::folder::Folder::open(&settings)?;
        let layout = settings.layout();
        private::folder(&layout.state())
            .with_context(|| format!("make: {}", common::text::escape_path(layout.state())))?;
        // A program that a killed listener was just starting holds the lock until its exec(2): a moment.
        let patience = Instant::now() + Duration::from_secs(1);
        let mut attempt = lock::attempt(&layout.listener_lock())?;
        while matches!(attempt, Attempt::Busy(_)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
            attempt = lock::attempt(&layout.listener_lock())?;
        }
        let lock = match attempt {
            Attempt::Held(lock) => lock,
            Attempt::Busy(holder) => {
                return Err(anyhow!("another listener is already running ({holder})"))
                    .hint("nothing to do; see its state with: backrest-send status");
            }
        };
        // From here on no other process touches the queue. Signals first: one that comes now must not cut a start short.
        let signals = Cancel::on_signals().context("watch for signals")?;
        let mut log = Log::open(&layout.listener_log())?;
        let (queue, recovered) = Queue::open(&layout.queue())?;
        let doors = Doors::open(folder, &layout, queue.mark(), recovered.damage == Damage::default())?;
        log.event(&format!(
            "the listener started: version {}, process {}, bridge {}",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            common::text::escape_path(doors.folder.path())
        ));
        notes.iter().for_each(|line| log.event(line));

        let (cancel, ending) = (Cancel::new().context("start")?, Cancel::new().context("start")?);
        let runner = Runner { settings: settings.clone(), timeout: cli.action_timeout, cancel, ending };
        let wake = Wake::new().context("start")?;
        let (events, heard) = Events::new(&wake);
        let lanes = [Lane::Actions, Lane::Notifications].map(|lane| {
            let (sender, jobs) = mpsc::channel();
            events::spawn(lane, runner.clone(), jobs, events.clone());
            sender
        });
        let mut timers = Timers::default();
        timers.set_network(crate::run::tailscale::due(&settings));
        let (tally, problem) = Tally::open(&layout.message_counts());
        if let Some(problem) = problem {
            log.event(&problem);
        }
        let backups = Backups::load(&settings);
        let mut listener = Listener {
            settings,
            runner,
            grace: cli.grace,
            log,
            tally,
            doors,
            clients: Clients::new(),
            queue,
            from_fifo: Vec::new(),
            passed: Mark::default(),
            from_others: Vec::new(),
            lanes,
            running: BTreeMap::new(),
            finished: Vec::new(),
            backups,
            notices: Notices::default(),
            events,
            heard,
            wake,
            signals,
            timers,
            status_clients: Vec::new(),
            facts: Facts::default(),
            since: units::now(),
            _lock: lock,
        };
        listener.recover(recovered);
        let start = listener.doors.fifo.start();
        if start > listener.queue.mark() {
            listener.queue.set_mark(start).context("write the queue")?;
        }
        while listener.doors.fifo.read_backlog()? {
            listener.take_arrivals();
            listener.commit(&[]);
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
        let times =
            [self.timers.next(), self.doors.due(), self.clients.due(), self.log.due(), self.tally.due()];
        times.into_iter().flatten().min()
    }
}
