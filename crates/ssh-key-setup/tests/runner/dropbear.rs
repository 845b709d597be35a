//! A server of the world's that is no OpenSSH: Dropbear, as routers have it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use common::testing::wait_until;

use crate::servers::{know, our_lines, restic_works};
use crate::world::World;

/// A running Dropbear.
pub(crate) struct Dropbear {
    child: Child,
    host_key: String,
}

impl Dropbear {
    /// Its public host key: `ssh-ed25519 AAAA…`.
    pub(crate) fn host_key(&self) -> &str {
        &self.host_key
    }
}

/// Ends what started it; the server itself ends with the world.
impl Drop for Dropbear {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    /// Starts a Dropbear.
    #[track_caller]
    pub(crate) fn dropbear(&self, port: u16) -> Dropbear {
        self.dropbear_of("/usr/sbin/dropbear", port)
    }

    /// Starts the Dropbear that lies at `program`.
    #[track_caller]
    fn dropbear_of(&self, program: &str, port: u16) -> Dropbear {
        let script = format!(
            "dropbearkey -t ed25519 -f /srv/dropbear >/srv/dropbear.pub 2>&1 && \
             exec {program} -F -E -p 127.0.0.1:{port} -r /srv/dropbear -P /srv/dropbear.pid"
        );
        let mut command = self.command("sh");
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("start dropbear");
        wait_until("dropbear starts", || self.srv("dropbear.pid").exists());
        let public = self.text(&self.srv("dropbear.pub"));
        let key = public.lines().find(|line| line.starts_with("ssh-ed25519 ")).expect("dropbear's host key");
        let host_key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        Dropbear { child, host_key }
    }
}

/// No sftp-server is where Debian has it, as on a router.
#[track_caller]
fn take_sftp_server_away(world: &World) {
    fs::create_dir_all(world.srv("lib")).unwrap();
    common::testing::copy_program("/usr/lib/openssh/sftp-server", world.srv("lib/sftp-server"));
    let mut command = world.command("mount");
    world.run(command.args(["-t", "tmpfs", "tmpfs", "/usr/lib/openssh"])).expect_success();
}

#[test]
fn a_dropbear_without_an_sftp_server_comes_with_the_package_to_install() {
    let world = World::new();
    take_sftp_server_away(&world);
    let server = world.dropbear(2200);
    know(&world, 2200, "bash", server.host_key());
    let before = world.text(&world.authorized_keys("bash"));
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(ran.stderr.contains("install openssh-sftp-server there"), "{}", ran.everything());
    assert_eq!(world.text(&world.authorized_keys("bash")), before);
    // The key was put in by hand, so it is the folder's key that gets no SFTP.
    let public = world.text(&world.folder("id_ed25519.pub"));
    fs::write(world.authorized_keys("bash"), before + &public).unwrap();
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(ran.stderr.contains("install openssh-sftp-server there"), "{}", ran.everything());
}

/// The same Dropbear, built for an sftp-server at `/srv/lib`, which is in no list of ours.
#[test]
fn a_dropbear_with_its_sftp_server_in_another_place_is_set_up_without_a_command() {
    let world = World::new();
    take_sftp_server_away(&world);
    let mut program = fs::read("/usr/sbin/dropbear").unwrap();
    let built_in = b"/usr/lib/sftp-server";
    let at = program.windows(built_in.len()).position(|window| window == built_in).expect("its path");
    program[at..at + built_in.len()].copy_from_slice(b"/srv/lib/sftp-server");
    fs::write(world.srv("bin/dropbear"), program).unwrap();
    fs::set_permissions(world.srv("bin/dropbear"), Permissions::from_mode(0o755)).unwrap();
    let server = world.dropbear_of("/srv/bin/dropbear", 2200);
    know(&world, 2200, "bash", server.host_key());
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("can't limit"), "{}", ran.everything());
    let lines = our_lines(&world);
    assert!(lines.len() == 1 && !lines[0].contains("command="), "{lines:?}");
    restic_works(&world, "/srv/home/bash/restic/r");
    let again = world.tool(&["nas"]).expect_success();
    assert!(again.stdout.contains("unchanged"), "{}", again.everything());
    world.tool(&["--check"]).expect_success();
    world.tool(&["nas", "--no-restrict"]).expect_success();
    world.tool(&["nas", "--remove"]).expect_success();
    assert!(our_lines(&world).is_empty());
}
