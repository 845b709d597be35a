//! Run by an ordinary user: `config` has to become root's, because ssh in the container takes no other.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::world::{PASSWORD, World};

const FOLDER: &str = "/srv/home/me/data/backrest/ssh";

#[track_caller]
fn world() -> (World, crate::world::Server) {
    let (world, server) = World::with_nas(2200, "bash");
    world.ordinary_user();
    (world, server)
}

/// Owner and mode of the folder's config.
#[track_caller]
fn config(world: &World) -> (u32, u32) {
    let found = fs::metadata(world.srv("home/me/data/backrest/ssh/config")).unwrap();
    (found.uid(), found.mode() & 0o7777)
}

/// Root, as in the container, reaches the server with the folder of another user.
#[track_caller]
fn works_in_the_container(world: &World, repository: &str) {
    let mut init = world.in_container_with(FOLDER, "restic");
    let repository = format!("sftp:nas:/srv/home/bash/restic/{repository}");
    world.run(init.args(["-r", &repository, "init"])).expect_success();
}

#[test]
fn sudo_without_a_password_makes_config_roots() {
    let (world, _server) = world();
    world.sudoers(&format!("me ALL=(root) NOPASSWD: /usr/bin/chown 0 {FOLDER}/config\n"));
    let first = world.as_me(&["nas"]).expect_success();
    assert_eq!(config(&world), (0, 0o640), "{}", first.everything());
    works_in_the_container(&world, "one");
    let again = world.as_me(&["nas"]).expect_success();
    assert!(again.stdout.contains("unchanged"), "{}", again.everything());
    world.as_me(&["--check"]).expect_success();
    // Written anew, it is given again.
    world.as_me(&["nas", "--no-restrict"]).expect_success();
    assert_eq!(config(&world), (0, 0o640));
    world.as_me(&["nas", "--rotate"]).expect_success();
    works_in_the_container(&world, "two");
    world.as_me(&["nas", "--remove"]).expect_success();
}

#[test]
fn sudo_asks_for_the_password_on_the_terminal() {
    let (world, _server) = world();
    world.sudoers("me ALL=(root) ALL\n");
    let line = "setpriv --reuid 3000 --regid 3000 --clear-groups env HOME=/srv/home/me ssh-key-setup nas";
    let (answered, seen) = world.on_a_terminal(line, "password for me:", PASSWORD);
    assert_eq!((answered, config(&world)), (1, (0, 0o640)), "{seen}");
    assert!(seen.contains("sudo may ask for your password") && seen.contains("sftp:nas:"), "{seen}");
    works_in_the_container(&world, "one");
}

#[test]
fn without_sudo_the_commands_to_type_are_printed_and_help() {
    let (world, _server) = world();
    world.as_me(&["nas", "--rootless"]).expect_success();
    assert_eq!(config(&world), (3000, 0o600));
    world.sudoers("# no one may do anything\n");
    let ran = world.as_me(&["nas"]).expect_code(1);
    assert!(
        ran.stderr.contains("Bad owner or permissions")
            && ran.stderr.contains(&format!("chmod 640 {FOLDER}/config && sudo chown 0 {FOLDER}/config")),
        "{}",
        ran.everything()
    );
    // It is right: ssh in the container does refuse it.
    let refused = world.run(world.in_container_with(FOLDER, "ssh").args(["nas", "true"])).expect_code(255);
    assert!(
        refused.stderr.contains("Bad owner or permissions on /root/.ssh/config"),
        "{}",
        refused.everything()
    );
    // What it says to type is what helps.
    let path = world.srv("home/me/data/backrest/ssh/config");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    world.as_me(&["nas"]).expect_success();
    world.as_me(&["--check"]).expect_success();
    works_in_the_container(&world, "one");
}

#[test]
fn a_folder_that_docker_made_as_root_comes_with_the_one_command_that_helps() {
    let (world, _server) = world();
    for folder in ["data/backrest", "containers/backrest"] {
        let path = world.srv(&format!("home/me/{folder}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
        let ran = world.as_me(&["nas", "--rootless"]).expect_code(1);
        let command = format!("hint: sudo chown 3000:3000 /srv/home/me/{folder}\n");
        assert!(
            ran.stderr.contains("ermission denied") && ran.stderr.contains(&command),
            "{}",
            ran.everything()
        );
        std::os::unix::fs::chown(&path, Some(3000), Some(3000)).unwrap();
    }
    world.as_me(&["nas", "--rootless"]).expect_success();
}
