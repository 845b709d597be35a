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

/// As on a Synology: the shares are SFTP's root, the account's home is `/home` there, and a session starts in the root.
#[test]
fn a_path_of_a_nas_is_understood_as_ssh_shows_it_and_as_sftp_does() {
    let world = World::new();
    let layout = "set -e; mkdir -p /srv/volume1/homes /srv/volume1/backup /srv/nas/home /srv/nas/backup
        mv /srv/home/locked /srv/volume1/homes/locked; chown 3004:3004 /srv/volume1/backup
        mount --bind /srv/volume1/homes/locked /srv/nas/home; mount --bind /srv/volume1/backup /srv/nas/backup";
    world.run(world.command("sh").args(["-c", layout])).expect_success();
    let keys = "AuthorizedKeysFile /srv/volume1/homes/%u/.ssh/authorized_keys";
    let ways = format!("Match User locked\n ChrootDirectory /srv/nas\n {keys}\nMatch all");
    let _server = world.server(2200, "ed25519", &ways);
    world.trust("nas", 2200, "locked", "ed25519");
    for (number, path) in ["/srv/volume1/backup/r", "/backup/r"].into_iter().enumerate() {
        let ran = world.tool(&["nas", "--path", path]).expect_success();
        assert!(ran.stdout.contains("sftp:nas:/backup/r\n"), "{path}\n{}", ran.everything());
        restic_works(&world, &format!("/backup/r/{number}"));
        assert!(world.srv(&format!("volume1/backup/r/{number}")).is_dir(), "{path}");
        let keys = world.text(&world.srv("volume1/homes/locked/.ssh/authorized_keys"));
        assert_eq!(keys.matches("backrest-backup-key").count(), 1, "{keys}");
        // Either form again means the same folder.
        for again in ["/srv/volume1/backup/r", "/backup/r"] {
            let ran = world.tool(&["nas", "--path", again]).expect_success();
            assert!(ran.stdout.contains("unchanged"), "{again}\n{}", ran.everything());
        }
        world.tool(&["nas", "--remove"]).expect_success();
    }
    let ran = world.tool(&["nas", "--path", "/srv/volume1/backup/r"]).expect_success();
    assert!(ran.stdout.contains("over SSH it is /srv/volume1/backup/r"), "{}", ran.everything());
}
