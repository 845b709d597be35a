//! What an earlier listener left behind: what may still run, what is reported instead.
//!
//! What a reader gets wrong: when a `pre-backups` ends with the listener, Backrest cancels the backup at once, and what
//! it then sends may find no listener. So the `post-backups` that undoes it has to come from the next listener, and
//! a `pre-backups` that still waited must not run at all: nothing would undo it. A `post-backups` itself is sent once, and never too old.

use bridge::message::Message;
use bridge::request::Preparation;

use super::Listener;
use super::backups::failure_cancels;
use super::facts::Fact;
use crate::door::Origin;
use crate::log::short;
use crate::queue::STALE;
use crate::queue::journal::Entry;
use bridge::action::BuiltIn;
use common::moment::Moment;

impl Listener {
    /// Puts messages that are young enough back into the queue. An action that was running when the listener died is
    /// reported as failed, an old message as dropped; neither is run: nothing runs twice. A `post-backups` is the
    /// exception: what it starts bears a second run, and what it does not start stays stopped.
    pub(super) fn recover(&mut self, entries: Vec<Entry>) {
        let now = Moment::now();
        let mut over = Vec::new();
        for entry in entries {
            let shown = short(entry.line.as_bytes());
            let (id, door) = (entry.id, entry.door);
            let parsed = Message::parse(entry.line.as_bytes());
            let unprepared = parsed
                .clone()
                .ok()
                .filter(|message| message.built_in() == Some(BuiltIn::PreBackups) && !entry.started);
            let why = match (parsed, entry.at.age(&now)) {
                (Ok(message), _) if entry.started => {
                    self.failed_with_listener(&message, door);
                    "failed: the listener stopped while it ran"
                }
                // A message of the listener's own is still valid, and a backup that is over stays over.
                (Ok(message), _)
                    if door == Origin::Timer || message.built_in() == Some(BuiltIn::PostBackups) =>
                {
                    self.queue.resume(entry, message);
                    continue;
                }
                (Err(_), _) => "dropped: it can't be read",
                (_, None) => "dropped: its age is unknown, the clock was set back",
                (_, Some(age)) if age > STALE => "dropped: it is older than 10 min",
                (Ok(message), _) if is_over_with_us(&message, door) => {
                    "dropped: its backup was cancelled when the listener stopped"
                }
                (Ok(message), Some(_)) => {
                    self.queue.resume(entry, message);
                    continue;
                }
            };
            if let Some(message) = unprepared {
                self.backups.push_failed_preparation(&message, "it was not run: the listener was stopped");
            }
            self.log.event(&format!("#{id} {shown} ({door}): {why}"));
            self.facts.note(Fact::LastLost, &format!("#{id} {shown}: {why}"));
            over.push(id);
        }
        self.commit(&over, Vec::new());
    }

    /// An action was running when an earlier listener was killed, so it failed.
    fn failed_with_listener(&mut self, message: &Message, door: Origin) {
        if failure_cancels(message, door) || message.built_in() == Some(BuiltIn::PostBackups) {
            let request = Preparation::parse(&message.text).unwrap_or_default();
            self.backups.undo(request.key);
        }
        if message.built_in() == Some(BuiltIn::PreBackups) {
            self.backups.push_failed_preparation(message, "the listener was stopped while it ran");
        }
    }
}

/// Whether no one needs this message any more once its client was refused. A client that wrote to the FIFO does not
/// wait for the answer, so that backup may well be running.
pub(super) fn is_over_with_us(message: &Message, door: Origin) -> bool {
    message.built_in() == Some(BuiltIn::PreBackups) && door == Origin::Socket
}
