//! How long it takes to compile the rules of 1,000 services, each with 20 of its own: from the bytes of the files to
//! the text of the exclude file, with the lines read back as they are before each check, but no disk.
//!
//! Prints microseconds, the median of some rounds. No two files are alike, so that nothing is compiled just once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use build_ignore::rules_file::{Rules, RulesFile};
use build_ignore::section::{self, Section};
use build_ignore::translate::line::SeenAt;
use mimalloc::MiMalloc;
use rayon::prelude::*;

/// As the tool has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SERVICES: usize = 1000;
const ROUNDS: usize = 1;

/// `@` becomes the number of the service.
const RULES: [&str; 20] = [
    "/cache@/",
    "/tmp@/",
    "logs@/",
    "*.log@",
    "*.tmp@",
    "*.bak@",
    "/thumbs@/",
    "/transcodes@/*",
    "!/transcodes@/keep",
    "/backup/old@/",
    "node_modules@/",
    "__pycache@__/",
    "*.sqlite@-wal",
    "*.sqlite@-shm",
    "/db@/*.pid",
    ".DS_Store@",
    "lost+found@/",
    "/metrics/**/raw@",
    "/uploads@/[0-9]*.part",
    "!/uploads@/0.part",
];

fn main() {
    let root = Path::new("/home/user/data");
    let contents: Vec<Vec<u8>> =
        (0..SERVICES).map(|number| RULES.join("\n").replace('@', &number.to_string()).into_bytes()).collect();
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| compile(root, &contents)).collect();
    times.sort();
    common::out!("{}", times[ROUNDS / 2].as_micros());
}

fn compile(root: &Path, contents: &[Vec<u8>]) -> Duration {
    let started = Instant::now();
    let files: Vec<Arc<RulesFile>> = contents
        .par_iter()
        .enumerate()
        .map(|(number, content)| {
            let service = format!("service-{number:04}");
            let path = root.join(&service).join(".resticignore");
            Arc::new(RulesFile::new(path, vec![service.into_bytes()], Arc::new(Rules::read(content))))
        })
        .collect();
    let seen_at = SeenAt { names: vec![b"userdata".to_vec(), b"data".to_vec()], inner: Vec::new() };
    let sections = section::compile(&files, &seen_at.base(), &[], false, 8);
    let took = started.elapsed();
    let lines = sections.values().flat_map(Section::lines).count();
    assert!(lines >= SERVICES * RULES.len(), "{lines} lines");
    took
}
