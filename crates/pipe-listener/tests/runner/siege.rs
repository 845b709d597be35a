//! Hostile clients and services in numbers: nothing crashes, spins, grows or keeps an honest one out.
//!
//! In an ordinary run each is short; `cargo xtask soak hostile` sets `BRIDGE_SIEGE` to run them in full.
//! `BRIDGE_SOAK_SEED` repeats a run's bytes.

use std::fs;
use std::io::{IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use common::testing::wait_until;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::sys::stat::Mode;

use crate::host::Host;
use crate::soak::{Random, seed, setting};

/// `full` of something in a soak, a part of it otherwise.
#[track_caller]
fn scale(full: usize, part: usize) -> usize {
    if setting::<u8>("BRIDGE_SIEGE").is_some() { full } else { part }
}

impl Host {
    /// It still runs, is idle, has not grown, and serves.
    #[track_caller]
    fn has_held(&self, before_kib: u64) {
        wait_until("it is served", || self.send(&["ping"]).end.is_success());
        self.honest_clients_are_served();
        wait_until("nothing runs", || self.send(&["status"]).stdout.contains("running: none\nwaiting: 0\n"));
        assert!(self.busy() < 0.3, "it spins");
        assert!(self.resident_kib() < before_kib + (24 << 10), "{} KiB", self.resident_kib());
        let state: u64 = fs::read_dir(self.sandbox.path("containers/backrest/state/queue"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(state < 8 << 20, "{state} bytes of state");
        for name in ["listener.log", "listener.log.1"] {
            let log = self.sandbox.path("containers/backrest/logs").join(name);
            assert!(fs::metadata(log).map_or(0, |log| log.len()) < 1_100_000);
        }
        let log = self.log();
        assert!(!log.contains("panicked") && !log.contains('\x1b'));
    }
}

/// A line of random bytes, or of pieces that mean something.
fn line(random: &mut Random) -> Vec<u8> {
    let pieces: [&[u8]; 14] = [
        b"note",
        b"ping",
        b"status json",
        b" ",
        b"\t",
        b"\0",
        b"\x1b[2J",
        b"\xff",
        b"../",
        b"--key ",
        b"=",
        b"a",
        b"\r",
        "\u{202e}".as_bytes(),
    ];
    let mut line = Vec::new();
    if random.below(2) == 0 {
        let length = random.below(200);
        line.extend((0..length).map(|_| random.below(256) as u8));
    } else {
        for _ in 0..random.below(12) {
            line.extend(pieces[random.below(pieces.len() as u64) as usize]);
        }
    }
    if random.below(50) == 0 {
        line.resize(line.len() + random.below(9000) as usize, b'x');
    }
    if random.below(4) > 0 {
        line.push(b'\n');
    }
    line
}

#[test]
fn random_messages_at_both_doors() {
    let host = Host::listening();
    host.note_and_gate();
    let before = host.resident_kib();
    let mut random = Random(seed());
    let mut fifo = host.open_fifo();
    for _ in 0..scale(30_000, 1000) {
        // A full FIFO is not our concern here.
        let _ = fifo.write(&line(&mut random));
    }
    drop(fifo);
    for _ in 0..scale(30_000, 1000) {
        let mut stream = host.connect();
        let _ = stream.write_all(&line(&mut random));
        if random.below(2) == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0; 64]);
        }
    }
    host.has_held(before);
}

#[test]
fn descriptors_that_come_with_messages_are_not_kept() {
    let host = Host::listening();
    let before = host.resident_kib();
    let open = || fs::read_dir(format!("/proc/{}/fd", host.process())).unwrap().count();
    let at_first = open();
    let file = fs::File::open("/dev/null").unwrap();
    let descriptors = [file.as_raw_fd(); 250];
    let streams: Vec<_> = (0..scale(200, 20))
        .map(|_| {
            let stream = host.connect();
            let message = [ControlMessage::ScmRights(&descriptors)];
            let bytes = [IoSlice::new(b"pin")];
            let sent = sendmsg::<UnixAddr>(stream.as_raw_fd(), &bytes, &message, MsgFlags::empty(), None);
            assert_eq!(sent, Ok(3));
            stream
        })
        .collect();
    host.honest_clients_are_served();
    assert!(open() <= at_first + streams.len() + 8, "{} descriptors", open());
    drop(streams);
    wait_until("they are closed", || open() <= at_first + 1);
    host.has_held(before);
}

#[test]
fn clients_that_say_a_byte_now_and_then() {
    let host = Host::listening();
    let before = host.resident_kib();
    let count = scale(3000, 150);
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let wanted = (count as u64 + 200).max(soft).min(hard);
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    let mut slow = Vec::new();
    for number in 0..count {
        // The kernel's queue of connections may be full for a moment.
        wait_until("it is let in", || {
            std::os::unix::net::UnixStream::connect(host.bridge().join("backrest.sock"))
                .map(|stream| slow.push(stream))
                .is_ok()
        });
        let _ = slow[number].write_all(b"p");
    }
    for byte in [b"i", b"n", b"g"] {
        let began = Instant::now();
        host.honest_clients_are_served();
        slow.iter_mut().for_each(|stream| drop(stream.write_all(byte)));
        std::thread::sleep(Duration::from_millis(100).saturating_sub(began.elapsed()));
    }
    drop(slow);
    host.has_held(before);
}

#[test]
fn what_lies_in_the_bridge_changes_all_the_time() {
    let host = Host::listening();
    let before = host.resident_kib();
    let victim = host.sandbox.write("victim", "precious");
    let mut random = Random(seed());
    for round in 0..scale(4400, 150) {
        let name = ["backrest-pipe", "backrest.sock"][random.below(2) as usize];
        let (path, spare) = (host.bridge().join(name), host.bridge().join(format!("spare-{round}")));
        match random.below(5) {
            0 => drop(fs::remove_file(&path)),
            1 => {
                nix::unistd::mkfifo(&spare, Mode::S_IRWXU).unwrap();
                let _ = fs::rename(&spare, &path);
            }
            2 => {
                symlink(&victim, &spare).unwrap();
                let _ = fs::rename(&spare, &path);
            }
            3 => {
                fs::write(&spare, "ping\n").unwrap();
                let _ = fs::rename(&spare, &path);
            }
            _ => {
                let _ = fs::rename(&path, &spare);
                let _ = fs::remove_file(&spare);
            }
        }
        if random.below(8) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(60)));
        }
    }
    for name in ["backrest-pipe", "backrest.sock"] {
        let _ = fs::remove_file(host.bridge().join(name));
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    host.has_held(before);
}

/// What a hostile service may put in the place of its rules.
#[track_caller]
fn put_hostile_rules(path: &std::path::Path, random: &mut Random) {
    let pieces: [&[u8]; 16] = [
        b"**/", b"*", b"?", b"[", b"]", b"[!a-z]", b"\\", b"!", b"/", b"..", b"$HOME", b" ", b"\r", b"\n",
        b"a", b"\xff\0",
    ];
    let mut text = Vec::new();
    match random.below(8) {
        0 => return nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap(),
        1 => return symlink("/dev/zero", path).unwrap(),
        2 => return symlink(path, path).unwrap(),
        3 => return fs::create_dir(path).unwrap(),
        4 => text.resize(random.below(300_000) as usize, b'*'),
        5 => text.extend((0..random.below(20_000)).map(|_| random.below(256) as u8)),
        _ => {
            for _ in 0..random.below(2000) {
                text.extend(pieces[random.below(pieces.len() as u64) as usize]);
            }
        }
    }
    fs::write(path, text).unwrap();
}

#[test]
fn hostile_ignore_files_stall_nothing_and_cost_the_others_no_rule() {
    let tool = common::testing::built("build-ignore", "build-ignore");
    let mut random = Random(seed());
    for _ in 0..scale(43, 2) {
        let host = Host::new();
        host.sandbox.write("data/honest/.resticignore", "thumbs/\n");
        host.sandbox.write("data/honest/thumbs/1.webp", "derived");
        for service in 0..50 {
            let folder = format!("data/hostile-{service}");
            host.sandbox.write(format!("{folder}/a/b/precious"), "precious");
            put_hostile_rules(&host.sandbox.path(format!("{folder}/.resticignore")), &mut random);
        }
        let started = Instant::now();
        let ran = host.sandbox.run(host.sandbox.command(&tool).args(["--mount", "/userdata"]));
        let end = &ran.end;
        assert!(matches!(end, common::process::End::Exited(0 | 1)), "{}", ran.everything());
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains('\x1b'), "{}", ran.stderr);
        let patterns = fs::read(host.sandbox.path("containers/backrest/ignorefile.txt")).unwrap();
        let patterns = String::from_utf8_lossy(&patterns).into_owned();
        assert!(patterns.contains("/userdata/data/honest/thumbs"), "{}", ran.stderr);
    }
}
