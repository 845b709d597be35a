//! The clients that are connected to the socket, in bounded number.
//!
//! At the limit the client that has been silent for the longest time is dropped, so ten thousand silent connections
//! keep no other client out. Answers are written when the client can take them, never waited for.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use bridge::exit_code::ExitCode;
use bridge::frame::Frame;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::door::ClientId;
use crate::door::connection::{Connection, Heard};

/// More connections than this are not kept at a time.
const MOST: u64 = 2048;
/// Descriptors that are needed for other things.
const RESERVE: u64 = 128;
/// Where all of them together have not read so much, output is taken from those who have not read on for longest.
const ALL_ANSWERS: usize = 4 << 20;
/// At most this number are let in before the others are looked at again.
const AT_ONCE: usize = 256;

/// The connections by number; a lower number is older.
#[derive(Debug)]
pub(crate) struct Clients {
    connections: BTreeMap<ClientId, Connection>,
    /// Who went away while an answer was promised, and whether it wanted to know the end: it had not closed its own side.
    gone: Vec<(ClientId, bool)>,
    /// Messages that have come in.
    lines: Vec<(ClientId, Vec<u8>)>,
    next: u64,
    most: usize,
}

impl Clients {
    /// No client yet. Raises the limit of open files if that is needed and allowed.
    pub(crate) fn new() -> Clients {
        let limit = || getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        let (soft, hard) = limit();
        if soft < MOST + RESERVE {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(MOST + RESERVE), hard);
        }
        let most = limit().0.saturating_sub(RESERVE).clamp(16, MOST);
        Clients {
            connections: BTreeMap::new(),
            gone: Vec::new(),
            lines: Vec::new(),
            next: 1,
            most: usize::try_from(most).unwrap_or(16),
        }
    }

    /// Accepts new clients and reads what they send at once.
    pub(crate) fn let_in(&mut self, socket: &UnixListener, now: Instant) {
        for _ in 0..AT_ONCE {
            let stream = match socket.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Out of descriptors, most likely: one less, and the next round tries again.
                Err(_) => return self.send_one_away(),
            };
            if self.connections.len() >= self.most {
                self.send_one_away();
            }
            if self.connections.len() >= self.most {
                // All the others wait for an answer that they were promised.
                continue;
            }
            let Ok(mut connection) = Connection::new(stream, now) else { continue };
            let client = ClientId(self.next);
            self.next += 1;
            // Who connects speaks at once, as a rule.
            if note(client, connection.read(now), &mut self.lines) {
                self.connections.insert(client, connection);
            }
        }
    }

    fn send_one_away(&mut self) {
        let silent = self.connections.iter().find(|(_, connection)| !connection.is_waiting());
        if let Some(client) = silent.map(|(client, _)| *client) {
            self.connections.remove(&client);
        }
    }

    fn remove(&mut self, client: ClientId) {
        let removed = self.connections.remove(&client);
        let removed = removed.filter(Connection::is_waiting);
        self.gone.extend(removed.map(|connection| (client, !connection.is_half_closed())));
    }

    /// Those who have gone away since the last call although an answer was promised, and whether they wanted to know it.
    pub(crate) fn take_gone(&mut self) -> Vec<(ClientId, bool)> {
        std::mem::take(&mut self.gone)
    }

    /// Those who are to be waited for: what for, and whose it is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientId, &Connection)> {
        self.connections.iter().map(|(client, connection)| (*client, connection))
    }

    pub(crate) fn is_there(&self, client: ClientId) -> bool {
        self.connections.contains_key(&client)
    }

    /// Reads from and writes to one that is ready.
    pub(crate) fn attend(&mut self, client: ClientId, hung_up: bool, now: Instant) {
        let Some(connection) = self.connections.get_mut(&client) else { return };
        let heard = if connection.is_speaking() { connection.read(now) } else { Heard::Nothing };
        let left = hung_up && heard == Heard::Nothing;
        if !note(client, heard, &mut self.lines) || left || !connection.write(now) {
            self.remove(client);
        }
    }

    /// Attends to those whose time has come.
    pub(crate) fn overdue(&mut self, now: Instant) {
        let lines = &mut self.lines;
        self.connections.retain(|&client, connection| note(client, connection.overdue(now), lines));
        self.bound_the_unread();
    }

    /// The messages that have come in since the last call.
    pub(crate) fn take_lines(&mut self) -> Vec<(ClientId, Vec<u8>)> {
        std::mem::take(&mut self.lines)
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

    pub(crate) fn due(&self) -> Option<Instant> {
        self.connections.values().filter_map(Connection::due).min()
    }

    pub(crate) fn send(&mut self, client: Option<ClientId>, frame: &Frame) {
        let Some(client) = client else { return };
        let Some(connection) = self.connections.get_mut(&client) else { return };
        connection.send(frame);
        if matches!(frame, Frame::Accepted(_)) {
            connection.look_for_half_close();
        }
        if !connection.write(Instant::now()) {
            self.remove(client);
        }
    }

    /// Sends `client` the end of its answer, after a note unless that is empty.
    pub(crate) fn finish(&mut self, client: Option<ClientId>, code: ExitCode, note: &str) {
        if !note.is_empty() {
            self.send(client, &Frame::Note(note.into()));
        }
        self.send(client, &Frame::End(code));
    }
}

/// Notes a line. Returns whether the client is still there.
fn note(client: ClientId, heard: Heard, lines: &mut Vec<(ClientId, Vec<u8>)>) -> bool {
    let is_there = heard != Heard::Gone;
    if let Heard::Line(line) = heard {
        lines.push((client, line));
    }
    is_there
}
