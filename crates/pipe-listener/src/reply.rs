//! Everybody who is connected to the socket, in bounded number.
//!
//! When the house is full the one goes who has said nothing for the longest time, so ten thousand silent connections
//! keep nobody out. Answers are written when the client can take them, never waited for.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use bridge::frame::Frame;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::door::Asker;
use crate::door::connection::{Connection, Heard};

/// More connections than this are not kept at a time.
const MOST: u64 = 2048;
/// Descriptors that are needed for other things.
const RESERVE: u64 = 128;
/// Where all of them together have not read so much, output is taken from those who have not read on for longest.
const ALL_ANSWERS: usize = 4 << 20;
/// So many are let in before the others are looked at again.
const AT_ONCE: usize = 256;

/// A client that went away before its message had ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) asker: Asker,
    /// It had not closed its own side before: it wanted to know the end.
    pub(crate) waited: bool,
}

/// The connections by number; a lower number is older.
#[derive(Debug)]
pub(crate) struct Clients {
    connections: BTreeMap<Asker, Connection>,
    /// Who went away while an answer was promised.
    gone: Vec<Gone>,
    next: u64,
    most: usize,
}

impl Clients {
    /// Nobody yet. Raises the limit of open files where that is needed and allowed.
    pub(crate) fn new() -> Clients {
        let mut allowed = 1024;
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let wanted = (MOST + RESERVE).min(hard);
            let raised = soft >= wanted || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
            allowed = if raised { soft.max(wanted) } else { soft };
        }
        let most = allowed.saturating_sub(RESERVE).clamp(16, MOST);
        Clients {
            connections: BTreeMap::new(),
            gone: Vec::new(),
            next: 1,
            most: usize::try_from(most).unwrap_or(16),
        }
    }

    /// Lets in who waits at the door and hears what they say at once.
    pub(crate) fn let_in(&mut self, socket: &UnixListener, now: Instant) -> Vec<(Asker, Vec<u8>)> {
        let mut said = Vec::new();
        for _ in 0..AT_ONCE {
            let stream = match socket.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Out of descriptors, most likely: one less, and the next round tries again.
                Err(_) => {
                    self.send_one_away();
                    break;
                }
            };
            if self.connections.len() >= self.most {
                self.send_one_away();
            }
            if self.connections.len() >= self.most {
                // All the others wait for an answer that they were promised.
                continue;
            }
            let Ok(mut connection) = Connection::new(stream, now) else { continue };
            let asker = Asker(self.next);
            self.next += 1;
            // Who connects speaks at once, as a rule.
            match connection.read(now) {
                Heard::Line(line) => said.push((asker, line)),
                Heard::Nothing => {}
                Heard::Gone => continue,
            }
            self.connections.insert(asker, connection);
        }
        said
    }

    fn send_one_away(&mut self) {
        let silent = self.connections.iter().find(|(_, connection)| !connection.is_waiting());
        if let Some(asker) = silent.map(|(asker, _)| *asker) {
            self.connections.remove(&asker);
        }
    }

    fn remove(&mut self, asker: Asker) {
        let removed = self.connections.remove(&asker);
        let removed = removed.filter(Connection::is_waiting);
        self.gone.extend(removed.map(|connection| Gone { asker, waited: !connection.is_half_closed() }));
    }

    /// Those who have gone away since the last call although an answer was promised.
    pub(crate) fn take_gone(&mut self) -> Vec<Gone> {
        std::mem::take(&mut self.gone)
    }

    /// Those who are to be waited for: what for, and whose it is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Asker, &Connection)> {
        self.connections.iter().map(|(asker, connection)| (*asker, connection))
    }

    /// Whether that one is still connected.
    pub(crate) fn is_there(&self, asker: Asker) -> bool {
        self.connections.contains_key(&asker)
    }

    /// Reads from and writes to one that is ready. Gives its line once it has one.
    pub(crate) fn attend(&mut self, asker: Asker, hung_up: bool, now: Instant) -> Option<Vec<u8>> {
        let connection = self.connections.get_mut(&asker)?;
        let heard = if connection.is_speaking() { connection.read(now) } else { Heard::Nothing };
        let left = hung_up && heard == Heard::Nothing;
        if heard == Heard::Gone || left || !connection.write(now) {
            self.remove(asker);
        }
        match heard {
            Heard::Line(line) => Some(line),
            _ => None,
        }
    }

    /// Attends to those whose time has come. Gives their lines.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(Asker, Vec<u8>)> {
        let mut said = Vec::new();
        self.connections.retain(|&asker, connection| match connection.overdue(now) {
            Heard::Nothing => true,
            Heard::Gone => false,
            Heard::Line(line) => {
                said.push((asker, line));
                true
            }
        });
        self.bound_the_unread();
        said
    }

    /// Whose action runs is not touched: it may well read as fast as it can.
    fn bound_the_unread(&mut self) {
        let mut unread: usize = self.connections.values().map(Connection::unread).sum();
        while unread > ALL_ANSWERS {
            let connections = self.connections.values_mut();
            let ended = connections.filter_map(|connection| Some((connection.idle_since()?, connection)));
            let Some((_, connection)) = ended.min_by_key(|(since, _)| *since) else { return };
            unread -= connection.unread();
            connection.shorten();
            unread += connection.unread();
        }
    }

    /// When the next one's time comes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.connections.values().filter_map(Connection::due).min()
    }

    /// Tells `asker`, if it is still there.
    pub(crate) fn say(&mut self, asker: Option<Asker>, frame: &Frame) {
        let Some(asker) = asker else { return };
        let Some(connection) = self.connections.get_mut(&asker) else { return };
        connection.say(frame);
        if matches!(frame, Frame::Accepted(_)) {
            connection.look_for_half_close();
        }
        if !connection.write(Instant::now()) {
            self.remove(asker);
        }
    }
}
