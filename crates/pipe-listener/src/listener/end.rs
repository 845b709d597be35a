//! An orderly stop: the running action gets its grace, what waits stays on disk, and every client gets an answer.

use std::time::Instant;

use bridge::exit_code::ExitCode;
use common::cancel::Cancel;

use super::Listener;
use super::recover::is_over_with_us;
use crate::door::fifo::MOST_READS;
use bridge::action::Lane;

impl Listener {
    /// A signal asks us to end: nothing more is taken or started.
    pub(super) fn begin_end(&mut self, now: Instant) {
        if self.timers.is_stopping() {
            return;
        }
        self.timers.stopping = Some(now + self.grace);
        self.queue.pause();
        self.runner.ending.cancel();
        self.doors.close_socket();
        let running = match self.queue.running(Lane::Actions) {
            Some(job) => {
                format!("; {} may go on for {}", job.message.name, common::units::duration(self.grace))
            }
            None => String::new(),
        };
        self.log.event(&format!("the listener was asked to stop{running}"));
        let waiting: Vec<_> = self
            .queue
            .waiting_jobs()
            .map(|job| (job.client, is_over_with_us(&job.message, job.door)))
            .collect();
        for (client, is_over) in waiting {
            let what = if is_over { "is not run" } else { "runs when it is back within 10 min" };
            self.refuse(client, ExitCode::Later, format!("the listener stops; this {what}"));
        }
    }

    /// The grace is over: what still runs is ended.
    pub(super) fn press_end(&mut self, now: Instant) {
        if self.timers.stopping.is_some_and(|at| at <= now) {
            self.runner.cancel.cancel();
            self.running.values().for_each(Cancel::cancel);
            // The children have a grace of their own; their threads report.
            self.timers.stopping = Some(now + std::time::Duration::from_secs(60));
        }
    }

    /// Whether all is done that an end waits for.
    pub(super) fn is_over(&self) -> bool {
        let runs =
            [Lane::Actions, Lane::Notifications].into_iter().any(|lane| self.queue.running(lane).is_some());
        self.timers.is_stopping() && !runs
    }

    /// Takes what the FIFO still holds, and closes.
    pub(super) fn end(mut self) {
        let now = Instant::now();
        // A writer that never stops must not keep us: what it goes on to write is the next listener's.
        for _ in 0..MOST_READS {
            if !self.doors.fifo.receive(now).is_ok_and(|any| any) {
                break;
            }
            self.take_arrivals();
            self.commit(&[]);
        }
        self.doors.fifo.take_open_line();
        self.take_arrivals();
        self.commit(&[]);
        self.doors.leave();
        let left = self.queue.waiting();
        let waiting = if left == 0 { String::new() } else { format!("; {left} wait for the next") };
        self.log.event(&format!("the listener stopped{waiting}"));
    }
}
