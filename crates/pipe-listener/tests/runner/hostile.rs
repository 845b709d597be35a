//! The other end is not trusted: whatever it does, nothing outside is touched and honest clients are served.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::testing::wait_until;

use crate::host::Host;

/// An honest client is served within this time, whatever else goes on.
const SERVED: Duration = Duration::from_secs(10);

impl Host {
    #[track_caller]
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.bridge().join("backrest.sock")).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    #[track_caller]
    fn answer_to(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[track_caller]
    pub(crate) fn honest_clients_are_served(&self) {
        let started = Instant::now();
        self.send(&["ping"]).expect_success();
        assert!(started.elapsed() < SERVED, "{:?}", started.elapsed());
    }

    #[track_caller]
    pub(crate) fn resident_kib(&self) -> u64 {
        self.kib("VmRSS:")
    }

    /// The most memory that it held at any time.
    #[track_caller]
    fn peak_kib(&self) -> u64 {
        self.kib("VmHWM:")
    }

    #[track_caller]
    fn kib(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[test]
fn lines_that_are_no_messages_are_refused_with_a_reason() {
    let host = Host::listening();
    let long = [vec![b'a'; 5000], b"\n".to_vec()].concat();
    for (bytes, why) in [
        (b"\0\n" as &[u8], "control character"),
        (b"\x1b[31mping\n", "control character"),
        ("ping \u{85}\n".as_bytes(), "control character"),
        (b"ping\xff\n", "not UTF-8"),
        (b"\n", "empty"),
        (b"/bin/sh\n", "does not start with a name"),
        (b"$(reboot)\n", "does not start with a name"),
        (&long, "longer than 4,096 bytes"),
    ] {
        let answer = host.answer_to(bytes);
        assert!(answer.contains(why) && answer.ends_with(". 64\n"), "{bytes:?}: {answer}");
    }
    let log = host.log();
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
}

#[test]
fn what_could_reorder_a_line_is_escaped_in_the_log() {
    let host = Host::listening();
    host.answer_to("nothing \u{202e}gnihton\n".as_bytes());
    assert!(host.log().contains("\\u{202e}gnihton"), "{}", host.log());
}

#[test]
fn half_a_message_is_taken_after_a_silence() {
    let host = Host::listening();
    assert!(host.answer_to(b"ping").contains("| pong"));
    let mut stream = host.connect();
    stream.write_all(b"pi").unwrap();
    stream.write_all(b"ng\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("| pong"), "{answer}");
}

#[test]
fn thousands_of_silent_connections_keep_no_client_out() {
    let host = Host::listening();
    let before = host.resident_kib();
    let mut silent = Vec::new();
    for _ in 0..10_000 {
        // Our own limit of descriptors may end it first; the oldest are closed by the listener anyway.
        match UnixStream::connect(host.bridge().join("backrest.sock")) {
            Ok(stream) => silent.push(stream),
            Err(_) => silent.truncate(200),
        }
        if silent.len() >= 800 {
            silent.drain(..400);
        }
    }
    host.honest_clients_are_served();
    assert!(host.peak_kib() < before + (8 << 10), "{before} KiB before, {} at most", host.peak_kib());
    drop(silent);
    host.honest_clients_are_served();
}

#[test]
fn a_flood_is_bounded_in_memory_and_in_the_log() {
    let host = Host::listening();
    host.note_and_gate();
    host.send(&["--no-wait", "gate"]).expect_success();
    let before = host.resident_kib();
    let line = format!("note {}\n", "x".repeat(4000));
    let mut fifo = fs::OpenOptions::new().write(true).open(host.fifo()).unwrap();
    for _ in 0..5_000 {
        fifo.write_all(line.as_bytes()).unwrap();
    }
    for _ in 0..200_000 {
        fifo.write_all(b"junk of no use\n").unwrap();
    }
    drop(fifo);
    host.honest_clients_are_served();
    let most = host.peak_kib();
    // 1,024 messages of 4 KiB wait, in memory and while the journal is made anew.
    assert!(most < before + (32 << 10), "{before} KiB before, {most} at most");
    let logs: u64 = fs::read_dir(host.sandbox.path("containers/backrest/logs"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(logs < 64 << 10, "{logs} bytes of log");
    let state: u64 = fs::read_dir(host.sandbox.path("containers/backrest/state/queue"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(state < 16 << 20, "{state} bytes of state");
    let ran = host.send(&["note", "one too many"]).expect_code(75);
    assert!(ran.stderr.contains("too many messages wait already"), "{}", ran.stderr);
    host.open_gate();
}

#[test]
fn a_slow_reader_costs_neither_time_nor_memory() {
    let host = Host::listening();
    host.action("much", "yes 'a line of output that no client reads' | head -n 500000");
    let before = host.resident_kib();
    let mut slow = host.connect();
    slow.write_all(b"much\n").unwrap();
    host.wait_for_log("much (socket): done");
    assert!(host.peak_kib() < before + (4 << 10), "{before} KiB before, {} at most", host.peak_kib());
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" lines left out: they were not read fast enough\n"), "{}", answer.len());
    assert!(answer.ends_with(". 0\n"));
}

#[test]
fn hundreds_of_slow_readers_together_cost_little_memory() {
    let host = Host::listening();
    host.action("much", "head -c 300000 /dev/zero | tr '\\0' a | fold -w 60");
    let before = host.resident_kib();
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = host.connect();
            stream.write_all(b"much\n").unwrap();
            stream
        })
        .collect();
    wait_until("all have run", || host.send(&["status"]).stdout.contains("running: none\nwaiting: 0\n"));
    // Each could have 256 KiB by itself, 50 MiB in all. 4 MiB are kept of it; buffers that grow take as much again.
    assert!(host.peak_kib() < before + (16 << 10), "{before} KiB before, {} at most", host.peak_kib());
    // Who reads has all of it, all the same.
    let ran = host.send(&["much"]).expect_success();
    assert!(ran.stdout.len() >= 300_000 && ran.stderr.is_empty(), "{}", ran.stderr);
    drop(slow);
}

#[test]
fn a_client_that_leaves_or_stays_for_ever_delays_no_other() {
    let host = Host::listening();
    host.note_and_gate();
    let mut leaves = host.connect();
    leaves.write_all(b"note it runs all the same\n").unwrap();
    drop(leaves);
    let stays: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = host.connect();
            stream.write_all(b"ping\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(host.wait_for_notes(1), ["it runs all the same"]);
    host.honest_clients_are_served();
    drop(stays);
}

#[test]
fn an_action_that_others_could_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::listening();
    host.action("open", "touch \"$HOME/ran\"");
    let file = host.sandbox.path("containers/backrest/actions/open");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = host.send(&["open"]).expect_code(1);
    assert!(ran.stderr.contains("chmod go-w"), "{}", ran.stderr);
    assert!(!host.sandbox.path("ran").exists());
}

#[test]
fn a_writer_that_never_stops_keeps_neither_the_others_nor_the_end_waiting() {
    let mut host = Host::listening();
    let flood = |host: &Host| {
        let mut command = host.sandbox.command("sh");
        command.args(["-c", "exec yes \"ping $(printf %3000d 7)\" > \"$0\""]).arg(host.fifo());
        command.stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let before = host.resident_kib();
    let mut writers = vec![flood(&host), flood(&host)];
    host.honest_clients_are_served();
    // They go on writing to the one that has no name any more.
    fs::remove_file(host.fifo()).unwrap();
    wait_until("there is a new one", || host.fifo().exists());
    host.honest_clients_are_served();
    writers.extend([flood(&host), flood(&host)]);
    host.honest_clients_are_served();
    assert!(host.peak_kib() < before + (8 << 10), "{before} KiB before, {} at most", host.peak_kib());
    assert!(host.terminate() < Duration::from_secs(10));
    for mut writer in writers {
        let _ = writer.kill();
        let _ = writer.wait();
    }
}

#[test]
fn an_action_that_writes_without_end_delays_no_client() {
    let host = Host::listening();
    host.action("endless", "exec yes");
    let before = host.resident_kib();
    let mut reads = host.connect();
    reads.write_all(b"endless\n").unwrap();
    // What is read is passed on as fast as it is read.
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 64 << 10];
        while reads.read(&mut chunk).is_ok_and(|length| length > 0) {}
    });
    for _ in 0..10 {
        host.honest_clients_are_served();
    }
    assert!(host.peak_kib() < before + (8 << 10), "{before} KiB before, {} at most", host.peak_kib());
    drop(host);
    reader.join().unwrap();
}

#[test]
fn a_line_that_always_stays_open_does_not_fill_the_disk() {
    let host = Host::listening();
    let spool = host.sandbox.path("containers/backrest/state/queue/spool");
    let mut fifo = fs::OpenOptions::new().write(true).open(host.fifo()).unwrap();
    // Each write ends within a line.
    let piece = ["x".repeat(1000), String::from("\n"), "y".repeat(1000)].concat();
    let writer =
        std::thread::spawn(move || (0..8192).for_each(|_| fifo.write_all(piece.as_bytes()).unwrap()));
    let mut most = 0;
    while !writer.is_finished() {
        most = most.max(fs::metadata(&spool).unwrap().len());
        std::thread::sleep(Duration::from_millis(5));
    }
    writer.join().unwrap();
    assert!(most <= (2 << 20) + 5000, "{most} bytes");
    host.honest_clients_are_served();
}
