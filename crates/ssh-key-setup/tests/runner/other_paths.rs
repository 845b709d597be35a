//! Servers on which SFTP shows other paths than SSH.

use std::fs;

use crate::servers::restic_works;
use crate::world::World;

#[test]
fn a_path_that_sftp_shows_otherwise_than_ssh_is_shown_both_ways() {
    let world = World::new();
    let home = world.srv("home/locked/home/locked");
    fs::create_dir_all(&home).unwrap();
    fs::rename(world.srv("home/locked/.ssh"), home.join(".ssh")).unwrap();
    std::os::unix::fs::chown(world.srv("home/locked"), Some(0), Some(0)).unwrap();
    std::os::unix::fs::chown(&home, Some(3004), Some(3004)).unwrap();
    let keys = "AuthorizedKeysFile /srv/home/locked/home/locked/.ssh/authorized_keys";
    let ways = format!("Match User locked\n ChrootDirectory /srv/home/locked\n {keys}\nMatch all");
    let _server = world.server(2200, "ed25519", &ways);
    world.trust("nas", 2200, "locked", "ed25519");
    let ran = world.tool(&[
        "nas",
        "--path",
        "/home/locked/r",
        "--authorized-keys",
        "/home/locked/.ssh/authorized_keys",
    ]);
    let ran = ran.expect_success();
    assert!(ran.stdout.contains("over SSH it is /srv/home/locked/home/locked/r"), "{}", ran.everything());
    assert!(ran.stdout.contains("sftp:nas:/home/locked/r\n"), "{}", ran.everything());
    restic_works(&world, "/home/locked/r");
}
