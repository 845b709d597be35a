//! Messages that have come in and not ended: in memory in the order of their arrival, and once accepted on disk.
//!
//! There are two lanes. Actions run one after another; notifications, which wait for a server on the network, one
//! after another beside them. Everything changes through [`Queue::advance`], which writes first and only then
//! returns what may be started, and after [`Queue::flush`] what may be acknowledged: nothing runs unrecorded.

pub(crate) mod journal;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bridge::action::{BuiltIn, Lane};
use bridge::message::Message;

use crate::dispatch::Action;
use crate::door::{ClientId, Origin};
use common::layout::QUEUE_JOURNAL;
use common::moment::Moment;
use common::record_log::Damage;
use journal::{Entry, Journal, Mark, Record};

/// A message that could not be run for this long is not run any more: its backup is over.
pub(crate) const STALE: Duration = Duration::from_secs(600);
/// How many messages may wait in a lane.
pub(crate) const ROOM: usize = 1024;

pub(crate) const LANES: [Lane; 2] = [Lane::Actions, Lane::Notifications];

/// A message that is to be accepted, or was.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its number; 0 until it is accepted.
    pub(crate) id: u64,
    pub(crate) message: Message,
    /// What it means, if that was just looked up. Not kept while it waits: a file may be another by then.
    pub(crate) action: Option<Action>,
    pub(crate) door: Origin,
    pub(crate) client: Option<ClientId>,
    /// What was wrong with the preparation goes before the text of this notification.
    pub(crate) with_preparation: bool,
    /// Where the FIFO's spool ended with it.
    pub(crate) spool: Option<Mark>,
    /// When it was taken, if that was not just now.
    pub(crate) at: Option<Moment>,
    /// When it was started, once it is.
    pub(crate) started: Option<Instant>,
}

impl Job {
    pub(crate) fn new(message: Message, door: Origin) -> Job {
        let (action, client, with_preparation) = (None, None, false);
        Job { id: 0, message, action, door, client, with_preparation, spool: None, at: None, started: None }
    }

    /// The lane it runs in. A file of the user's runs in the lane of the built-in action that it replaces.
    pub(crate) fn lane(&self) -> Lane {
        self.message.built_in().and_then(BuiltIn::lane).unwrap_or(Lane::Actions)
    }

    fn entry(&self, started: bool) -> Entry {
        let at = self.at.clone().unwrap_or_else(Moment::now);
        let (line, door, spool) = (self.message.to_string(), self.door, self.spool);
        Entry { id: self.id, at, door, line, spool, started }
    }
}

/// What a step of the queue brought.
#[derive(Debug, Default)]
pub(crate) struct Advanced {
    /// The numbers of the new messages, in their order.
    pub(crate) accepted: Vec<u64>,
    /// What has to be run now.
    pub(crate) started: Vec<Job>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    journal: Journal,
    /// Of each lane what runs, if anything does, and then what waits.
    lanes: [VecDeque<Job>; 2],
    /// What has come through the FIFO and is not accepted yet. No client waits for it: while the disk is full it is
    /// kept, and nothing more is read.
    from_fifo: Vec<Job>,
    from_others: Vec<Job>,
    /// Up to where the FIFO's lines have been looked at.
    passed: Mark,
    /// What has ended while the disk was full.
    unrecorded: Vec<u64>,
    paused: bool,
}

impl Queue {
    /// The queue on disk in `folder`, which is made if it is missing. Returns the messages of an earlier listener that
    /// have not ended, oldest first, and what is wrong with the journal.
    pub(crate) fn open(folder: &Path) -> Result<(Queue, Vec<Entry>, Damage)> {
        let (journal, entries, damage) =
            Journal::open(&folder.join(QUEUE_JOURNAL)).context("open the queue")?;
        let queue = Queue {
            journal,
            lanes: Default::default(),
            from_fifo: Vec::new(),
            from_others: Vec::new(),
            passed: Mark::default(),
            unrecorded: Vec::new(),
            paused: false,
        };
        Ok((queue, entries, damage))
    }

    /// Puts a message back that an earlier listener had accepted and not started. It is on disk already.
    pub(crate) fn resume(&mut self, entry: Entry, message: Message) {
        let Entry { id, at, door, spool, .. } = entry;
        let job = Job { id, at: Some(at), spool, ..Job::new(message, door) };
        self.lanes[job.lane() as usize].push_back(job);
    }

    /// Takes a message, if there is room for it in its lane. The listener's own are always taken.
    pub(crate) fn add(&mut self, job: Job) -> bool {
        let lane = job.lane();
        let coming = self.from_fifo.iter().chain(&self.from_others).filter(|job| job.lane() == lane).count();
        let waiting = self.lanes[lane as usize].len() - usize::from(self.running(lane).is_some());
        let has_room = job.door == Origin::Timer || waiting + coming < ROOM;
        if has_room {
            if job.door == Origin::Fifo { &mut self.from_fifo } else { &mut self.from_others }.push(job);
        }
        has_room
    }

    /// Whether something from the FIFO could not be accepted yet.
    pub(crate) fn holds_up_fifo(&self) -> bool {
        !self.from_fifo.is_empty()
    }

    /// Accepts what has come in, notes what has `ended`, and starts what comes next. Fails if that can't be written
    /// down; then nothing was started, and of what has come in only what is from the FIFO or the listener itself is kept.
    /// Returns the clients of the rest with the error.
    pub(crate) fn advance(&mut self, ended: &[u64]) -> Result<Advanced, (io::Error, Vec<ClientId>)> {
        let mut new = std::mem::take(&mut self.from_fifo);
        let from_fifo = new.len();
        new.append(&mut self.from_others);
        self.record(&mut new, ended).map_err(|error| {
            let others = new.split_off(from_fifo).into_iter();
            self.from_fifo = new;
            let (own, refused): (Vec<_>, Vec<_>) = others.partition(|job| job.door == Origin::Timer);
            self.from_others = own;
            (error, refused.into_iter().filter_map(|job| job.client).collect())
        })
    }

    fn record(&mut self, new: &mut Vec<Job>, ended: &[u64]) -> io::Result<Advanced> {
        self.lanes.iter_mut().for_each(|lane| lane.retain(|job| !ended.contains(&job.id)));
        self.unrecorded.extend(ended);
        let mut records: Vec<_> = self.unrecorded.iter().map(|&id| Record::Ended { id }).collect();

        for (id, job) in (self.journal.next_id()..).zip(new.iter_mut()) {
            job.id = id;
            job.at.get_or_insert_with(Moment::now);
        }
        let starting = LANES.map(|lane| self.would_start(lane, new));
        // In one record, so that no crash can come between the two.
        let record = |job: &Job| Record::Accepted(job.entry(starting.contains(&Some(job.id))));
        records.extend(new.iter().map(record));
        let waited = |id: &&u64| **id < self.journal.next_id();
        records.extend(starting.iter().flatten().filter(waited).map(|&id| Record::Started { id }));
        if records.is_empty() {
            return Ok(Advanced::default());
        }
        self.journal.append(&records)?;

        self.unrecorded.clear();
        let mut advanced = Advanced::default();
        for mut job in new.drain(..) {
            job.action = job.action.filter(|_| starting.contains(&Some(job.id)));
            advanced.accepted.push(job.id);
            self.lanes[job.lane() as usize].push_back(job);
        }
        for job in self.lanes.iter_mut().filter_map(VecDeque::front_mut) {
            if starting.contains(&Some(job.id)) {
                job.started = Some(Instant::now());
                advanced.started.push(job.clone());
            }
        }
        self.shorten();
        Ok(advanced)
    }

    fn shorten(&mut self) {
        let jobs = self.lanes.iter().flatten();
        self.journal.shorten(|| jobs.map(|job| job.entry(job.started.is_some())));
    }

    /// Waits until everything that was recorded is on the disk. No client is answered before that.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.journal.flush()
    }

    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// The messages that wait in a lane, oldest first.
    pub(crate) fn waiting_in(&self, lane: Lane) -> impl Iterator<Item = &Job> {
        self.lanes[lane as usize].iter().filter(|job| job.started.is_none())
    }

    pub(crate) fn job_of(&self, client: ClientId) -> Option<&Job> {
        self.lanes.iter().flatten().find(|job| job.client == Some(client))
    }

    fn would_start(&self, lane: Lane, new: &[Job]) -> Option<u64> {
        if self.running(lane).is_some() || self.paused {
            return None;
        }
        let waiting = self.waiting_in(lane).next();
        waiting.or_else(|| new.iter().find(|job| job.lane() == lane)).map(|job| job.id)
    }

    pub(crate) fn running(&self, lane: Lane) -> Option<&Job> {
        self.lanes[lane as usize].front().filter(|job| job.started.is_some())
    }

    pub(crate) fn job(&self, id: u64) -> Option<&Job> {
        self.lanes.iter().flatten().find(|job| job.id == id)
    }

    /// How many messages run or wait before this one.
    pub(crate) fn ahead(&self, job: &Job) -> usize {
        self.lanes[job.lane() as usize].iter().take_while(|before| before.id != job.id).count()
    }

    pub(crate) fn waiting(&self) -> usize {
        let waiting = self.lanes.iter().flatten().filter(|job| job.started.is_none()).count();
        waiting + self.from_fifo.len() + self.from_others.len()
    }

    /// Whether [`Queue::advance`] has work. While the disk is full that is only to refuse clients: `may_write` is false.
    pub(crate) fn has_work(&self, may_write: bool) -> bool {
        let may_start = LANES.into_iter().any(|lane| self.would_start(lane, &[]).is_some());
        let is_behind = !self.unrecorded.is_empty() || may_start;
        let refuses = self.from_others.iter().any(|job| job.door != Origin::Timer);
        may_write && (self.holds_up_fifo() || is_behind || !self.from_others.is_empty()) || refuses
    }

    pub(crate) fn mark(&self) -> Mark {
        self.journal.mark()
    }

    /// The FIFO's lines up to `mark` have been looked at.
    pub(crate) fn pass(&mut self, mark: Mark) {
        self.passed = self.passed.max(mark);
    }

    /// Writes down how far the FIFO was read if the last lines needed no record, so that they are not read again.
    pub(crate) fn record_passed(&mut self) -> io::Result<()> {
        self.set_mark(self.passed)
    }

    /// Writes down that the FIFO's spool goes on at `spool`, if that is not written down yet.
    pub(crate) fn set_mark(&mut self, spool: Mark) -> io::Result<()> {
        if spool <= self.mark() {
            return Ok(());
        }
        self.journal.append(&[Record::Next { id: self.journal.next_id(), spool }])?;
        self.shorten();
        Ok(())
    }

    #[cfg(test)]
    fn next_id(&self) -> u64 {
        self.journal.next_id()
    }
}
