//! Standard output that can't be written: every mode finishes its work and none panics.

use common::testing::Unwritable;

use crate::servers::our_lines;
use crate::world::World;

/// Each mode in turn, whether it changes the tool's key on the server, and whether `nas` is set up then.
const MODES: &[(&[&str], bool, bool)] = &[
    (&["nas"], true, true),
    (&["--check"], false, true),
    (&["--check", "--json"], false, true),
    (&["nas", "--remove", "--offline"], false, false),
    (&["nas", "--json"], false, true),
    (&["--rotate"], true, true),
    (&["nas", "--remove"], true, false),
    (&[], false, false),
    (&["--json"], false, false),
];

#[track_caller]
fn every_mode_finishes_its_work(output: Unwritable) {
    let (world, _server) = World::with_nas(2200, "bash");
    for &(arguments, changes, is_set_up) in MODES {
        let before = our_lines(&world);
        let command = &mut world.command("ssh-key-setup");
        let ran = world.sandbox.run_unwritable(command.args(arguments), output, 0);
        assert_eq!(our_lines(&world) != before, changes, "{}", ran.everything());
        let config = world.text(&world.folder("config"));
        assert_eq!(config.contains("Host nas\n"), is_set_up, "{config}\n{}", ran.everything());
    }
}

#[test]
fn a_full_disk_is_reported_after_the_work() {
    every_mode_finishes_its_work(Unwritable::FullDisk);
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    every_mode_finishes_its_work(Unwritable::ClosedPipe);
}
