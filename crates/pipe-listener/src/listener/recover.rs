//! What an earlier listener left behind: what may still run, what is reported instead.

use pipe_listener::message::Message;

use super::{Listener, STALE};
use crate::clock::Moment;
use crate::log::short;
use crate::queue::Recovered;

impl Listener {
    /// Puts messages that are young enough back into the queue. An action that was running when the listener died is
    /// reported as failed, an old message as dropped; neither is run: nothing runs twice.
    pub(super) fn recover(&mut self, recovered: Recovered) {
        if recovered.damage.unreadable > 0 {
            let lines = common::text::count(recovered.damage.unreadable, "line");
            self.log.say(&format!("{lines} of the queue could not be read"));
        }
        let now = Moment::now();
        let mut over = Vec::new();
        for entry in recovered.entries {
            let shown = short(entry.line.as_bytes());
            let (id, door) = (entry.id, entry.door);
            let why = match (Message::parse(entry.line.as_bytes()), entry.at.age(&now)) {
                _ if entry.started => "failed: the listener ended while it ran",
                (Err(_), _) => "dropped: it can't be read",
                (_, None) => "dropped: how old it is can't be told, the clock was set back",
                (_, Some(age)) if age > STALE => "dropped: it is older than 10 min",
                (Ok(message), Some(_)) => {
                    self.queue.resume(id, message, door);
                    continue;
                }
            };
            self.log.say(&format!("#{id} {shown} ({door}): {why}"));
            self.remember("last-lost", &format!("#{id} {}: {why}", short(entry.line.as_bytes())));
            over.push(id);
        }
        self.commit(&over);
    }
}
