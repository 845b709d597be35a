//! Messages that were accepted and have not ended: in memory in the order of their arrival, and on disk.
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

const LANES: [Lane; 2] = [Lane::Actions, Lane::Notifications];

/// A message that is to be accepted.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) message: Message,
    /// What it means, where that was looked up.
    pub(crate) action: Option<Action>,
    pub(crate) door: Origin,
    /// Who waits for the answer.
    pub(crate) client: Option<ClientId>,
    /// Where the FIFO's spool ended with it.
    pub(crate) spool: Option<Mark>,
    /// When it was taken, if that was not just now.
    pub(crate) at: Option<Moment>,
}

/// A message that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) message: Message,
    /// What it means. Not kept while it waits: a file may be another by then.
    pub(crate) action: Option<Action>,
    pub(crate) door: Origin,
    pub(crate) client: Option<ClientId>,
    /// When it was started, once it is.
    pub(crate) started: Option<Instant>,
}

impl Job {
    /// The lane it runs in.
    pub(crate) fn lane(&self) -> Lane {
        lane_of(&self.message)
    }
}

/// The lane of a message. A file of the user's runs in the lane of the built-in action that it replaces.
pub(crate) fn lane_of(message: &Message) -> Lane {
    message.built_in().and_then(BuiltIn::lane).unwrap_or(Lane::Actions)
}

/// What a step of the queue brought.
#[derive(Debug, Default)]
pub(crate) struct Advanced {
    /// The numbers of the new messages, in their order, and how many of their lane run or wait before each.
    pub(crate) accepted: Vec<(u64, usize)>,
    /// What has to be run now.
    pub(crate) started: Vec<Job>,
}

/// What an earlier listener left.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Messages that have not ended, oldest first.
    pub(crate) entries: Vec<Entry>,
    /// What is wrong with the journal.
    pub(crate) damage: Damage,
}

#[derive(Debug, Default)]
struct WaitingLane {
    running: Option<Job>,
    waiting: VecDeque<Job>,
}

/// The messages that have not ended.
#[derive(Debug)]
pub(crate) struct Queue {
    journal: Journal,
    lines: [WaitingLane; 2],
    /// What has ended while the disk was full.
    unrecorded: Vec<u64>,
    paused: bool,
}

impl Queue {
    /// The queue on disk in `folder`, which is made where it is missing.
    pub(crate) fn open(folder: &Path) -> Result<(Queue, Recovered)> {
        let (journal, damage) = Journal::open(&folder.join(QUEUE_JOURNAL)).context("open the queue")?;
        let entries = journal.open_entries().cloned().collect();
        let queue = Queue { journal, lines: Default::default(), unrecorded: Vec::new(), paused: false };
        Ok((queue, Recovered { entries, damage }))
    }

    /// Puts a message back that an earlier listener had accepted and not started. It is on disk already.
    pub(crate) fn resume(&mut self, id: u64, message: Message, door: Origin) {
        let job = Job { id, message, action: None, door, client: None, started: None };
        self.line(job.lane()).waiting.push_back(job);
    }

    /// Accepts `new` messages, notes what has `ended`, and starts what comes next. Fails where that can't be written
    /// down; then nothing was accepted or started, and `new` is as it was.
    pub(crate) fn advance(&mut self, new: &mut Vec<New>, ended: &[u64]) -> io::Result<Advanced> {
        for line in &mut self.lines {
            line.running.take_if(|job| ended.contains(&job.id));
            line.waiting.retain(|job| !ended.contains(&job.id));
        }
        self.unrecorded.extend(ended);
        let mut records: Vec<_> = self.unrecorded.iter().map(|&id| Record::Ended { id }).collect();

        let mut jobs = Vec::with_capacity(new.len());
        for (id, new) in (self.journal.next_id()..).zip(new.iter()) {
            let message = new.message.clone();
            jobs.push(Job { id, message, action: None, door: new.door, client: new.client, started: None });
        }
        let starting = LANES.map(|lane| self.would_start(lane, &jobs));
        let now = Moment::now();
        for (job, new) in jobs.iter_mut().zip(new.iter()) {
            let at = new.at.clone().unwrap_or_else(|| now.clone());
            let (line, door, spool) = (job.message.to_string(), job.door, new.spool);
            // In one record, so that no crash can come between the two.
            let started = starting.contains(&Some(job.id));
            job.action = new.action.clone().filter(|_| started);
            records.push(Record::Accepted(Entry { id: job.id, at, door, line, spool, started }));
        }
        let waited = |id: &&u64| **id < self.journal.next_id();
        records.extend(starting.iter().flatten().filter(waited).map(|&id| Record::Started { id }));
        if records.is_empty() {
            return Ok(Advanced::default());
        }
        self.journal.append(&records)?;

        new.clear();
        self.unrecorded.clear();
        let mut advanced = Advanced::default();
        for job in jobs {
            let line = self.line(job.lane());
            let ahead = line.waiting.len() + usize::from(line.running.is_some());
            advanced.accepted.push((job.id, ahead));
            line.waiting.push_back(job);
        }
        for lane in LANES {
            let paused = self.paused;
            let line = self.line(lane);
            if line.running.is_none() && !paused {
                line.running =
                    line.waiting.pop_front().map(|job| Job { started: Some(Instant::now()), ..job });
                advanced.started.extend(line.running.clone());
            }
        }
        Ok(advanced)
    }

    /// Waits until everything that was recorded is on the disk. No client is answered before that.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.journal.flush()
    }

    /// Starts nothing more.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// Every message that waits.
    pub(crate) fn waiting_jobs(&self) -> impl Iterator<Item = &Job> {
        self.lines.iter().flat_map(|line| &line.waiting)
    }

    /// The messages that wait in a lane, oldest first.
    pub(crate) fn waiting_in(&self, lane: Lane) -> impl Iterator<Item = &Job> {
        self.lines[lane as usize].waiting.iter()
    }

    /// The message whose answer that client waits for.
    pub(crate) fn job_of(&self, client: ClientId) -> Option<&Job> {
        let jobs = self.lines.iter().flat_map(|line| line.running.iter().chain(&line.waiting));
        jobs.into_iter().find(|job| job.client == Some(client))
    }

    fn would_start(&self, lane: Lane, new: &[Job]) -> Option<u64> {
        let line = &self.lines[lane as usize];
        if line.running.is_some() || self.paused {
            return None;
        }
        line.waiting.front().or_else(|| new.iter().find(|job| job.lane() == lane)).map(|job| job.id)
    }

    /// How many more messages a lane takes.
    pub(crate) fn room(&self, lane: Lane) -> usize {
        ROOM.saturating_sub(self.lines[lane as usize].waiting.len())
    }

    /// What runs in a lane.
    pub(crate) fn running(&self, lane: Lane) -> Option<&Job> {
        self.lines[lane as usize].running.as_ref()
    }

    /// The running message of that number.
    pub(crate) fn running_job(&self, id: u64) -> Option<&Job> {
        self.lines.iter().filter_map(|line| line.running.as_ref()).find(|job| job.id == id)
    }

    /// How many messages wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.iter().map(|line| line.waiting.len()).sum()
    }

    /// Whether something waits that could run, or has ended without a record: [`Queue::advance`] has work.
    pub(crate) fn is_behind(&self) -> bool {
        !self.unrecorded.is_empty()
            || !self.paused
                && self.lines.iter().any(|line| line.running.is_none() && !line.waiting.is_empty())
    }

    /// How far the FIFO's spool has been turned into messages.
    pub(crate) fn mark(&self) -> Mark {
        self.journal.mark()
    }

    /// Writes down that the FIFO's spool goes on at `spool`.
    pub(crate) fn set_mark(&mut self, spool: Mark) -> io::Result<()> {
        self.journal.append(&[Record::Next { id: self.journal.next_id(), spool }])
    }

    #[cfg(test)]
    fn next_id(&self) -> u64 {
        self.journal.next_id()
    }

    fn line(&mut self, lane: Lane) -> &mut WaitingLane {
        &mut self.lines[lane as usize]
    }
}
