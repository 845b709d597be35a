//! Nothing that was accepted is lost and nothing runs twice, wherever the listener is killed.
//!
//! `BRIDGE_SOAK_KILLS` says how often it is killed (25 if it doesn't), `BRIDGE_SOAK_SEED` repeats a run's moments.
//! A message counts as accepted when write(2) to the FIFO has returned, or when the socket has given its number.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::testing::wait_within;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::Host;

#[test]
fn whatever_was_accepted_ran_once_or_was_reported_however_often_the_listener_is_killed() {
    let kills: usize = setting("BRIDGE_SOAK_KILLS").unwrap_or(25);
    println!("{kills} kills");
    let mut random = Random(seed());
    let mut host = Host::new();
    host.note_and_gate();
    let began = Instant::now();
    host.start();
    // From a moment within its start to one when it has been at work for a while, however fast the machine is.
    let longest = 3 * u64::try_from(began.elapsed().as_micros()).unwrap().clamp(20_000, 2_000_000);

    let clients = Clients::start(&host);
    let mut reported = HashSet::new();
    for round in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(longest)));
        let mut child = host.listener.take().unwrap();
        // One in eight ends in order.
        let signal = if random.below(8) == 0 { Signal::SIGTERM } else { Signal::SIGKILL };
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        child.wait().unwrap();
        collect(&host, &mut reported);
        clients.reported.store(reported.len(), Ordering::Relaxed);
        let mut command = host.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        host.listener = Some(command.spawn().unwrap());
        if round % 100 == 99 {
            println!("{} of {kills}: {} accepted", round + 1, clients.accepted.load(Ordering::Relaxed));
        }
    }
    let accepted = clients.stop();
    // A ping has its turn behind all that waits, and each message is worth a sync of the disk.
    let patience = Duration::from_secs(300);
    let mut listener = host.listener.take().unwrap();
    let mut ended = None;
    wait_within(
        patience,
        || format!("an answer\n{}", host.log()),
        || {
            ended = listener.try_wait().unwrap();
            ended.is_some() || host.send(&["ping"]).end.is_success()
        },
    );
    let printed = ended.map(|_| listener.stderr.take().map(std::io::read_to_string));
    assert!(ended.is_none(), "the listener stopped by itself: {ended:?}: {printed:?}\n{}", host.log());
    host.listener = Some(listener);
    wait_within(
        patience,
        || format!("the last messages\n{}", host.log()),
        || {
            let status = host.send(&["status"]).stdout;
            status.contains("waiting: 0") && status.contains("running: none")
        },
    );
    collect(&host, &mut reported);

    let mut ran: HashMap<String, usize> = HashMap::new();
    for token in host.notes() {
        *ran.entry(token).or_default() += 1;
    }
    let twice: Vec<_> = ran.iter().filter(|(_, times)| **times > 1).collect();
    let vanished: Vec<_> =
        accepted.iter().filter(|token| !ran.contains_key(*token) && !reported.contains(*token)).collect();
    println!(
        "{} accepted, {} ran, {} reported, {} ran twice, {} vanished",
        accepted.len(),
        ran.len(),
        reported.len(),
        twice.len(),
        vanished.len()
    );
    assert!(
        twice.is_empty() && vanished.is_empty(),
        "twice: {twice:?}\nvanished: {vanished:?}\n{}",
        host.log()
    );
    assert!(accepted.len() >= kills, "too few messages to prove anything: {}", accepted.len());
}

/// The tokens of the messages that the log reports as failed or dropped.
fn collect(host: &Host, reported: &mut HashSet<String>) {
    let logs = host.sandbox.path("containers/backrest/logs");
    for name in ["listener.log", "listener.log.1"] {
        let text = std::fs::read(logs.join(name)).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            let bad = line.contains(": failed") || line.contains("dropped");
            let token = line.split_once(" note ").and_then(|(_, rest)| rest.split(' ').next());
            reported.extend(token.filter(|_| bad).map(str::to_string));
        }
    }
}

/// Clients that send through both doors until they are stopped.
struct Clients {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    reported: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Clients {
    fn start(host: &Host) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let (accepted, reported) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let doors: [(&str, PathBuf, Send); 4] = [
            ("f", host.fifo(), through_fifo),
            ("g", host.fifo(), through_fifo),
            ("s", host.bridge().join("backrest.sock"), through_socket),
            ("t", host.bridge().join("backrest.sock"), through_socket),
        ];
        let notes = host.sandbox.path("notes");
        let threads = doors.map(|(name, door, send)| {
            let reported = reported.clone();
            let (stop, accepted, notes) = (stop.clone(), accepted.clone(), notes.clone());
            std::thread::spawn(move || {
                let mut mine = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // Fewer wait than the queue takes.
                    let done = std::fs::metadata(&notes).map_or(0, |m| m.len() / 8) as usize;
                    let done = done + reported.load(Ordering::Relaxed);
                    if accepted.load(Ordering::Relaxed) <= done + 100 {
                        let token = format!("{name}{number:06}");
                        if send(&door, &token) {
                            accepted.fetch_add(1, Ordering::Relaxed);
                            mine.push(token);
                        }
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                mine
            })
        });
        Clients { stop, accepted, reported, threads: threads.into() }
    }

    #[track_caller]
    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

/// Sends a token; returns whether it was accepted.
type Send = fn(&Path, &str) -> bool;

#[track_caller]
fn through_fifo(fifo: &Path, token: &str) -> bool {
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let opened = OpenOptions::new().write(true).custom_flags(nonblocking).open(fifo);
    opened.is_ok_and(|mut fifo| fifo.write_all(format!("note {token}\n").as_bytes()).is_ok())
}

#[track_caller]
fn through_socket(socket: &Path, token: &str) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    if stream.write_all(format!("note {token}\n").as_bytes()).is_err() {
        return false;
    }
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("= ")
}

/// Random enough for moments, and the same for the same seed (xorshift64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[track_caller]
/// Where the random numbers of a run start; printed, so that it can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = setting("BRIDGE_SOAK_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    println!("BRIDGE_SOAK_SEED={seed}");
    seed | 1
}

#[track_caller]
pub(crate) fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}
