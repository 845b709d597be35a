//! Dumps that are small and ask for much memory or time: neither is spent on them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::scripts::{Home, last_line};

/// Small files that ask for gigabytes, and a decoder for hours: refused within the budget of memory and time.
#[test]
fn a_bomb_takes_neither_memory_nor_time() {
    let home = Home::new();
    let window = "printf '\\050\\265\\057\\375\\000\\260\\003\\000\\000x'";
    home.prepare("window", &format!("# dump: a.zst\n{window} >\"$DUMP_DIR/a.zst\""));
    home.prepare(
        "nested",
        "# dump: a.json.gz\nhead -c 300000000 /dev/zero | tr '\\0' '[' | gzip -1 >\"$DUMP_DIR/a.json.gz\"",
    );
    let part = Command::new("sh").args(["-c", "head -c 20000000 /dev/zero | gzip -1"]).output().unwrap();
    home.sandbox.write("bomb", part.stdout.repeat(500));
    let long =
        "# dump: a.gz kind=gzip\n# timeout: 3s\nmv ../../bomb \"$DUMP_DIR/a.gz\"; touch \"$DUMP_DIR/a.gz\"";
    home.prepare("long", long);
    // With a table of memory so small the tool would be killed by what it was asked for.
    let mut command = home.sandbox.command("sh");
    command.args([
        "-c",
        "ulimit -v 400000; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_pre-backup-actions"),
        "--jobs",
        "1",
    ]);
    let ran = home.sandbox.run(&mut command).expect_code(1);
    let expected = "0 ok, 3 failed: long (dump was not checked in time), nested (dump is damaged), window (dump is damaged)";
    assert_eq!(last_line(&ran.stdout), expected, "{}", ran.everything());
    let line = ran.stdout.lines().find(|line| line.starts_with("long: failed: ")).unwrap();
    assert!(!line.contains(" ms"), "the time shown is the time taken: {line}");
}

/// The most memory that the tool held while it checked `content` as `name`, and its last line.
#[track_caller]
fn memory_of_checking(name: &str, content: &[u8]) -> (u64, String) {
    let home = Home::new();
    home.sandbox.write("dump", content);
    home.prepare(
        "app",
        &format!(
            "# dump: {name}\n# timeout: 2s\nmv ../../dump \"$DUMP_DIR/{name}\"; touch \"$DUMP_DIR/{name}\""
        ),
    );
    let mut child = home.command(&[]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = line.map_or(peak, |kibibytes| kibibytes.parse::<u64>().unwrap() << 10);
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    (peak, last_line(&String::from_utf8_lossy(&output.stdout)).to_string())
}

/// Each of these is far larger once it is unpacked, or declares that it is.
#[test]
fn no_bomb_takes_much_more_memory_than_an_honest_dump() {
    let through = |text: &str| {
        let output = Command::new("sh").args(["-c", text]).output().unwrap();
        assert!(output.status.success(), "{text}");
        output.stdout
    };
    let dumps = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dumps/bookworm");
    let (small, line) = memory_of_checking("pg.sql.gz", &through(&format!("gzip -c {dumps}/pg.sql")));
    assert_eq!(line, "1 ok");
    // Of the largest window that zstd itself accepts, filled.
    let wide = "head -c 150000000 /dev/zero | zstd -q --long=27 --stream-size=150000000";
    let (largest, _) = memory_of_checking("d.zst", &through(wide));
    let zstd = |window: u8, blocks: usize| {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, window][..], &[0x02, 0x00, 0x10, b'x'].repeat(blocks)].concat()
    };
    let archive = fs::read(format!("{dumps}/pg.dump")).unwrap();
    let counts = [&archive[..60], &b"\0\xff\xff\xff\x7f".repeat(2000)].concat();
    let mut database = fs::read(format!("{dumps}/sqlite.db")).unwrap();
    database[48..52].copy_from_slice(&u32::MAX.to_be_bytes());
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display();
    let member = through(&format!("cd '{place}' && touch member && tar -c member | head -c 512"));
    let members = [member.repeat(50_000), vec![0; 1024]].concat();
    let bombs = [
        ("window.zst", zstd(0xb0, 1000), small),
        ("filled.zst", zstd(0x88, 60_000), largest),
        ("frames.zst", zstd(0x88, 1).repeat(5000), largest),
        ("text.sql.gz", through("head -c 300000000 /dev/zero | tr '\\0' '-' | gzip -1"), small),
        ("zeros.bz2", through("head -c 200000000 /dev/zero | bzip2 -1"), small),
        ("zeros.xz", through("head -c 200000000 /dev/zero | xz -0"), small),
        ("zeros.lz4", through("head -c 200000000 /dev/zero | lz4 -q"), small),
        ("nested.json.gz", through("head -c 50000000 /dev/zero | tr '\\0' '[' | gzip -1"), small),
        ("nested.json.xz", through("head -c 5000000 /dev/zero | tr '\\0' '{' | xz -0"), small),
        ("long.json", [b"\"".as_slice(), &b"x".repeat(20_000_000)].concat(), small),
        ("members.tar", members, small),
        ("d.rdb", [b"REDIS0011\xfa\x80\xff\xff\xff\xff".as_slice(), b"x"].concat(), small),
        ("counts.dump", counts, small),
        ("cache.db", database, small),
    ];
    for (name, content, honest) in bombs {
        let (peak, line) = memory_of_checking(name, &content);
        assert!(peak > 0 && peak <= honest + (64 << 20), "{name}: {peak} bytes, {line}");
    }
}
