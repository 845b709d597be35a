//! What comes from the container is data: names that no file can have, escapes, lines without an end, downloads that
//! break off without an error.

use common::contract::verification::{FaultKind, Outcome};

use super::world::World;
use super::{expect_fault, expect_only_fault};

#[test]
fn a_download_that_breaks_off_with_status_200_is_found() {
    let world = World::new();
    world.back_up();
    world.server.state.lock().unwrap().breaks_after = Some(40_000);
    let found = world.found_in_sample(50);
    expect_fault(&found, FaultKind::DumpBroken, "db.json");
    expect_fault(&found, FaultKind::NotRestored, "data/photos/large.raw");
    let of_dump = found.faults.iter().find(|fault| fault.kind == FaultKind::DumpBroken).unwrap();
    assert!(of_dump.what.contains("after 40000 of "), "{found:#?}");
    assert_eq!(found.services["data/wiki"].dumps_proved, 0);
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    let world = World::new();
    world.back_up();
    let before = world.sandbox.tree();
    let forgeries: [fn(String) -> String; 4] = [
        |listing| listing.replace("\"start.txt\"", "\"..\""),
        |listing| listing.replace("\"start.txt\"", "\"../../../../etc/passwd\""),
        |listing| listing.replace("\"start.txt\"", "\"/etc/passwd\""),
        |listing| listing.replace("\"db.json\"", "\"x\\u0000y\""),
    ];
    for forge in forgeries {
        world.server.state.lock().unwrap().forge = Some(forge);
        let ran = world.verify(&["--json"]).expect_code(1);
        assert!(ran.stderr.contains("a name that no file can have"), "{}", ran.everything());
        world.expect_nothing_left();
    }
    let without_result = |tree: &str| {
        let lines = tree.lines().filter(|line| !line.contains("state")).map(str::to_string);
        lines.collect::<Vec<_>>()
    };
    assert_eq!(without_result(&world.sandbox.tree()), without_result(&before));
}

#[test]
fn escapes_in_a_name_do_not_reach_the_terminal() {
    let world = World::new();
    world.back_up();
    world.server.state.lock().unwrap().forge =
        Some(|listing| listing.replace("\"start.txt\"", "\"start\\u001b]0;owned\\u0007\\u202e.txt\""));
    let ran = world.verify(&["--sample", "3"]).expect_code(1);
    let is_raw = |c: char| c == '\u{1b}' || c == '\u{7}' || c == '\u{202e}';
    assert!(!ran.stdout.contains(is_raw) && !ran.stderr.contains(is_raw), "{}", ran.everything());
    assert!(ran.stdout.contains("]0;owned"), "{}", ran.everything());
}

#[test]
fn endless_names_and_sizes_are_bounded() {
    let world = World::new();
    world.back_up();
    // A name of a million bytes fits into an operation's output; no file can have it.
    world.server.state.lock().unwrap().forge =
        Some(|listing| listing.replace("\"start.txt\"", &format!("\"{}\"", "x".repeat(1_000_000))));
    let ran = world.verify(&[]).expect_code(1);
    assert!(ran.stderr.contains("a name that no file can have") && ran.stderr.len() < 1000, "{}", ran.stderr);
    // A dump that claims to have 8 EiB: there is no room for it, and nothing is read.
    world.server.state.lock().unwrap().forge = Some(|listing| {
        let lines = listing.lines().map(|line| match line.contains("\"db.json\"") {
            true => line.replace("\"asize\":200", "\"asize\":9000000000000000"),
            false => line.into(),
        });
        lines.map(|line| line + "\n").collect()
    });
    let found = world.found();
    assert_eq!(found.outcome, Outcome::Wrong);
    expect_fault(&found, FaultKind::DumpNotChecked, "db.json");
}

#[test]
fn a_listing_without_an_end_is_no_listing() {
    let world = World::new();
    world.back_up();
    world.server.state.lock().unwrap().forge = Some(|mut listing| {
        listing.truncate(listing.rfind("start.txt").unwrap());
        listing
    });
    let ran = world.verify(&[]).expect_code(1);
    assert!(ran.stderr.contains("list the snapshot: "), "{}", ran.everything());
    world.server.state.lock().unwrap().forge = None;
    world.back_up_with(&["--exclude", "start.txt"]);
    expect_only_fault(&world.found(), FaultKind::Missing, "data/wiki/pages/start.txt");
}
