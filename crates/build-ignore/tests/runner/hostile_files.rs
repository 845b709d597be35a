//! Ignore files made to break the tool: noise, brackets without end, thousands of rules, NUL bytes, pipes and links in place
//! of the file. Real git and real restic judge: nothing that git keeps may be missing from the backup.
//!
//! `IGNORE_HOSTILE` sets how many files there are; `cargo xtask soak hostile` takes 2,150. `IGNORE_SEED` repeats a run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use common::testing::Sandbox;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::command_line::PROGRAM;
use crate::oracle::{Restic, kept_by_git, scratch};
use crate::property::setting;

const IN_A_BATCH: u64 = 50;
/// A batch takes a second or two; with the machine busy several times that.
const MOST: Duration = Duration::from_secs(60);
/// What the good service has in the exclude file, whatever its neighbours do.
const GOOD: &str = "/*.log\n";

const NAMES: [&str; 12] =
    ["a", "b", "cache", "x.log", "keep", "[x]", "q?", "back\\slash", "**", "!bang", "#hash", "$HOME"];

/// The content of one hostile file.
fn content(random: &mut StdRng) -> Vec<u8> {
    let special = b"*?[]!^-\\/#$ \t\r\n\n:.ab\0\xc3\xa9\xff\xfe\xef\xbb\xbf{},~\"'";
    let some = |random: &mut StdRng, bytes: &[u8], most: usize| -> Vec<u8> {
        let length = random.random_range(0..most);
        (0..length).map(|_| bytes[random.random_range(0..bytes.len())]).collect()
    };
    let all: Vec<u8> = (0..=255).collect();
    let count = random.random_range(1..300);
    match random.random_range(0..10) {
        0 => some(random, &all, 4096),
        1 | 2 => some(random, special, 4096),
        3 => [b"[", b"\\", b"*", b"?"][random.random_range(0..4)].repeat(20_000),
        4 => format!("{}z\n!{}z\n", "a/**/".repeat(count), "**/a/".repeat(count)).into_bytes(),
        5 => [b"[[:alpha:]-\xff".repeat(count), some(random, special, 200)].concat(),
        6 => (0..1500).flat_map(|number| format!("{number}*\n!{number}\n").into_bytes()).collect(),
        7 => some(random, b"\0\r\n*a/!", 2000),
        8 => [b"\xff\xfe".to_vec(), some(random, b"*\0a\0\n\0", 400)].concat(),
        _ => [b"*\n".to_vec(), b"!*/\n!".repeat(count), "d/".repeat(count).into_bytes()].concat(),
    }
}

/// A service with a small tree, and a hostile file in it or in one of its folders.
#[track_caller]
fn service(random: &mut StdRng, folder: &Path) {
    for _ in 0..8 {
        let depth = random.random_range(1..6);
        let mut path = folder.to_path_buf();
        path.extend((0..depth).map(|_| NAMES[random.random_range(0..NAMES.len())]));
        // A file may be in the way of a folder; then it is not made.
        let made = fs::create_dir_all(path.parent().unwrap()).and_then(|()| fs::write(&path, "x"));
        drop(made);
    }
    fs::create_dir_all(folder.join("deep")).unwrap();
    for file in [folder.join(".resticignore"), folder.join("deep/.resticignore")] {
        if random.random_range(0..3) < 2 {
            fs::write(file, content(random)).unwrap();
        }
    }
    fs::write(folder.join("deep/f"), "x").unwrap();
}

/// A folder, a link or nothing readable where the file should be. git reads no rules from these.
#[track_caller]
fn special(random: &mut StdRng, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("x.log"), "x").unwrap();
    let file = folder.join(".resticignore");
    match random.random_range(0..3) {
        0 => fs::create_dir(file).unwrap(),
        1 => symlink("/dev/zero", file).unwrap(),
        _ => symlink(folder.join("x.log"), file).unwrap(),
    }
}

#[test]
fn nothing_is_lost_and_no_other_service_is_touched() {
    let seed = setting("IGNORE_SEED").unwrap_or_else(rand::random);
    println!("IGNORE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let [_, restic] = Restic::both();
    let mut left = setting("IGNORE_HOSTILE").unwrap_or(50);
    while left > 0 {
        let batch = left.min(IN_A_BATCH);
        left -= batch;
        let (sandbox, scratch) = (Sandbox::new(), scratch());
        let data = sandbox.path("data");
        sandbox.write("data/good/.resticignore", "*.log\n");
        sandbox.write("data/good/x.log", "x");
        for number in 0..batch {
            let folder = data.join(format!("hostile-{number}"));
            match random.random_range(0..10) {
                0 => special(&mut random, &folder),
                _ => service(&mut random, &folder),
            }
        }
        // What would block a program that opens it.
        for name in ["pipe/.resticignore", "pipe/deep/.resticignore"] {
            let path = data.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let started = Instant::now();
        let mount = sandbox.home().display().to_string();
        sandbox.run(sandbox.command(PROGRAM).args(["--mount", &mount])).expect_success();
        assert!(started.elapsed() < MOST, "seed {seed}: {:?}", started.elapsed());
        let written = fs::read(sandbox.path("containers/backrest/ignorefile.txt")).unwrap();
        let good = format!("{}{GOOD}", data.join("good").display());
        assert!(
            written.windows(good.len()).any(|part| part == good.as_bytes()),
            "seed {seed}: the good service"
        );
        // git waits for a writer of a pipe.
        fs::remove_dir_all(data.join("pipe")).unwrap();
        let kept = kept_by_git(&data, scratch.path());
        let backed_up = restic.backed_up(&data, &sandbox.path("containers/backrest/ignorefile.txt"));
        let lost: Vec<String> =
            kept.difference(&backed_up).map(|path| path.escape_ascii().to_string()).collect();
        assert_eq!(lost, [""; 0], "seed {seed}");
    }
}
