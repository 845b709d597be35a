//! `kill -9` at every step of a set-up, a rotation and a removal: the server never loses another user's key, the container
//! is never shut out, no key is forgotten on the server, and the next run ends where an undisturbed one does.
//!
//! The steps on the server are the calls of sftp: a program in its place kills the tool before the first, the second,
//! and so on. The steps in the folder are system calls, at which strace kills it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use common::process::End;
use common::testing::wait_until;

use crate::world::{Server, World};

/// The system calls that change the folder.
const CHANGES: &str = "link,linkat,rename,renameat,renameat2,unlink,unlinkat";

/// Where the tool is killed.
#[derive(Clone, Debug)]
enum Step {
    /// Before this call of sftp.
    Sftp(usize),
    /// On entering the system call of that name and number.
    Folder(String, usize),
}

/// A world in which runs can be killed, and the account's keys as they were before all of it.
struct Killing {
    world: World,
    _server: Server,
    before: String,
}

impl Killing {
    #[track_caller]
    fn new() -> Killing {
        let (world, server) = World::with_nas(2200, "bash");
        let sftp = world.srv("bin/sftp");
        let script = "#!/bin/sh\necho >> /srv/calls\n\
                      if [ \"$(wc -l < /srv/calls)\" -eq \"$(cat /srv/kill-before)\" ]; then\n\
                      kill -KILL $PPID; exit 1; fi\nexec /usr/bin/sftp \"$@\"\n";
        fs::write(&sftp, script).unwrap();
        fs::set_permissions(&sftp, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(world.srv("calls"), "").unwrap();
        fs::write(world.srv("kill-before"), "0\n").unwrap();
        let before = world.text(&world.authorized_keys("bash"));
        Killing { world, _server: server, before }
    }

    fn traced(&self, options: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.world.command("strace");
        command.args(["-qq", "-e", &format!("trace={CHANGES}")]).args(options);
        command.args(["/srv/bin/ssh-key-setup"]).args(arguments);
        command
    }

    /// All steps of an undisturbed run.
    #[track_caller]
    fn steps(&self, arguments: &[&str]) -> Vec<Step> {
        fs::write(self.world.srv("calls"), "").unwrap();
        self.world.run(&mut self.traced(&["-o", "/srv/trace"], arguments)).expect_success();
        let calls = self.world.text(&self.world.srv("calls")).lines().count();
        let mut steps: Vec<Step> = (1..=calls).map(Step::Sftp).collect();
        let trace = self.world.text(&self.world.srv("trace"));
        let names = || trace.lines().filter_map(|line| Some((line.split_once('(')?.0, line)));
        for (at, (name, line)) in names().enumerate() {
            if line.contains("data/backrest/ssh/") {
                let which = names().take(at + 1).filter(|(other, _)| *other == name).count();
                steps.push(Step::Folder(name.to_owned(), which));
            }
        }
        steps
    }

    #[track_caller]
    fn kill_at(&self, step: &Step, arguments: &[&str]) {
        let world = &self.world;
        fs::write(world.srv("calls"), "").unwrap();
        let end = match step {
            Step::Sftp(call) => {
                fs::write(world.srv("kill-before"), format!("{call}\n")).unwrap();
                world.run(world.command("ssh-key-setup").args(arguments)).end
            }
            Step::Folder(name, which) => {
                let inject = format!("inject={name}:signal=KILL:when={which}");
                world.run(&mut self.traced(&["-o", "/srv/trace", "-e", &inject], arguments)).end
            }
        };
        fs::write(world.srv("kill-before"), "0\n").unwrap();
        assert_eq!(end, End::Killed(9), "{step:?}");
    }

    /// The public keys of ours that the server has.
    #[track_caller]
    fn on_the_server(&self) -> Vec<String> {
        let keys = self.world.text(&self.world.authorized_keys("bash"));
        assert!(keys.starts_with(&self.before), "other keys are never lost: {keys}");
        let ours = keys[self.before.len()..].lines().map(|line| {
            assert!(line.starts_with("restrict,command=\"internal-sftp"), "{line}");
            line.split(' ').rev().nth(2).unwrap().to_owned()
        });
        ours.collect()
    }

    /// The key files of the folder with their public keys, without those that were put aside.
    #[track_caller]
    fn in_the_folder(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.world.folder("")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let keys = names.filter(|name| {
            name.starts_with("id_ed25519") && !name.ends_with(".pub") && !name.contains(".old-")
        });
        keys.map(|name| {
            let path = format!("/root/data/backrest/ssh/{name}");
            let ran =
                self.world.run(self.world.command("ssh-keygen").args(["-y", "-f", &path])).expect_success();
            (name, ran.stdout.split(' ').nth(1).unwrap().trim().to_owned())
        })
        .collect()
    }

    /// Whatever the server has is a key that lies in the folder, too.
    #[track_caller]
    fn nothing_is_forgotten(&self, step: &Step) {
        let folder = self.in_the_folder();
        let server = self.on_the_server();
        assert!(server.len() <= 2, "{step:?}: {server:?}");
        for key in server {
            assert!(folder.iter().any(|(_, own)| *own == key), "{step:?}: {key} is in {folder:?}");
        }
    }

    #[track_caller]
    fn container_gets_in(&self, step: &Step) {
        let mut sftp = self.world.in_container("sftp");
        let ran = self.world.run(sftp.args(["-b", "/dev/null", "nas"]));
        assert!(ran.end.is_success(), "{step:?}: {}", ran.everything());
    }

    /// One key on the server, which is the folder's, and nothing half done.
    #[track_caller]
    fn all_is_well(&self, step: &Step) {
        let folder = self.in_the_folder();
        let current = folder.iter().find(|(name, _)| name == "id_ed25519").expect("the key");
        assert_eq!(self.on_the_server(), std::slice::from_ref(&current.1), "{step:?}");
        assert_eq!(folder.len(), 1, "{step:?}: {folder:?}");
        let names = fs::read_dir(self.world.folder("")).unwrap().flatten().map(|entry| entry.file_name());
        let hidden: Vec<_> = names.filter(|name| name.to_str().unwrap().starts_with('.')).collect();
        assert!(hidden.is_empty(), "{step:?}: {hidden:?}");
        let left = fs::read_dir(self.world.authorized_keys("bash").parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "{step:?}: nothing is left beside authorized_keys");
        let proofs = fs::read_dir(self.world.srv("home/bash/restic")).unwrap().count();
        assert_eq!(proofs, 0, "{step:?}: nothing is left where the repository will lie");
        self.container_gets_in(step);
        self.nothing_is_open(step);
    }

    /// No temporary folder of a killed run, and no connection that it left logged in.
    #[track_caller]
    fn nothing_is_open(&self, step: &Step) {
        let script = "for process in /proc/[0-9]*; do\n\
                      [ \"$(readlink $process/ns/mnt)\" = \"$(readlink /proc/self/ns/mnt)\" ] || continue\n\
                      tr '\\0' ' ' < $process/cmdline | grep '[C]ontrolMaster=yes'\n\
                      done 2> /dev/null\nls -A /tmp | grep backrest-part\ntrue\n";
        let ran = self.world.run(self.world.command("sh").args(["-c", script]));
        assert_eq!(ran.stdout, "", "{step:?}: {}", ran.everything());
    }

    #[track_caller]
    fn set_up(&self) {
        self.world.tool(&["nas"]).expect_success();
    }

    /// As if nothing had ever been set up.
    #[track_caller]
    fn start_afresh(&self) {
        fs::write(self.world.authorized_keys("bash"), &self.before).unwrap();
        let _ = fs::remove_dir_all(self.world.folder(""));
    }
}

#[test]
fn a_set_up_that_is_killed_anywhere_is_finished_by_a_later_run() {
    let killing = Killing::new();
    let steps = killing.steps(&["nas"]);
    assert!(steps.len() > 12, "{steps:?}");
    for step in &steps {
        killing.start_afresh();
        killing.kill_at(step, &["nas"]);
        killing.nothing_is_forgotten(step);
        killing.set_up();
        killing.all_is_well(step);
    }
}

#[test]
fn a_rotation_that_is_killed_anywhere_is_finished_by_a_later_run() {
    let killing = Killing::new();
    killing.set_up();
    let steps = killing.steps(&["nas", "--rotate"]);
    assert!(steps.iter().filter(|step| matches!(step, Step::Folder(..))).count() >= 8, "{steps:?}");
    let mut with_both_keys = 0;
    for step in &steps {
        killing.kill_at(step, &["nas", "--rotate"]);
        killing.container_gets_in(step);
        killing.nothing_is_forgotten(step);
        with_both_keys += usize::from(killing.on_the_server().len() == 2);
        killing.set_up();
        killing.all_is_well(step);
    }
    assert!(with_both_keys >= 8, "both keys were on the server {with_both_keys} times");
}

#[test]
fn a_removal_that_is_killed_anywhere_is_finished_by_a_later_one() {
    let killing = Killing::new();
    killing.set_up();
    for step in killing.steps(&["nas", "--remove"]) {
        killing.set_up();
        killing.kill_at(&step, &["nas", "--remove"]);
        killing.nothing_is_forgotten(&step);
        let _ = killing.world.run(killing.world.command("ssh-key-setup").args(["nas", "--remove"]));
        assert_eq!(killing.on_the_server(), [""; 0], "{step:?}");
        assert_eq!(killing.world.text(&killing.world.folder("config")), "", "{step:?}");
    }
}

#[test]
fn the_removal_of_a_host_whose_rotation_was_killed_leaves_no_key_behind() {
    let killing = Killing::new();
    killing.set_up();
    let steps = killing.steps(&["nas", "--rotate"]);
    let mut with_both_keys = 0;
    // Each third step is one of every way to be half done.
    for step in steps.iter().step_by(3) {
        killing.kill_at(step, &["nas", "--rotate"]);
        with_both_keys += usize::from(killing.on_the_server().len() == 2);
        let ran = killing.world.tool(&["nas", "--remove"]).expect_success();
        assert_eq!(killing.on_the_server(), [""; 0], "{step:?}\n{}", ran.everything());
        killing.set_up();
        killing.all_is_well(step);
    }
    assert!(with_both_keys >= 3, "both keys were on the server {with_both_keys} times");
}

/// Any moment, not only a step: while ssh logs in, while a file is on its way, between two of them.
#[test]
fn nothing_is_left_of_fifty_runs_that_were_killed_at_any_time() {
    let killing = Killing::new();
    let world = &killing.world;
    let start = Instant::now();
    killing.set_up();
    let undisturbed = start.elapsed();
    let commands: [&[&str]; 5] =
        [&["nas"], &["nas", "--rotate"], &["nas"], &["--check"], &["nas", "--remove"]];
    let mut killed = 0;
    for number in 0..50u32 {
        // All moments of a run, in an order in which neighbours are far from each other.
        let moment = undisturbed * (number * 19 % 50) / 100;
        let script = "at=$1; shift; \"$@\" & sleep $at; kill -KILL $! && wait $!";
        let mut command = world.command("sh");
        command.args(["-c", &format!("{{ {script}; }} > /dev/null 2>&1"), "sh"]);
        command.arg(format!("{:.3}", moment.as_secs_f64())).arg("ssh-key-setup");
        let ran = world.run(command.args(commands[number as usize % commands.len()]));
        killed += u32::from(ran.end == End::Exited(128 + 9));
    }
    assert!(killed >= 20, "{killed} of 50 runs were killed");
    world.tool(&["nas"]).expect_success();
    let listing = || world.run(world.command("ls").args(["-A", "/run/tmp"])).expect_success().stdout;
    assert_eq!(listing(), "");
    // A zombie, which the world's first process does not reap, has no program any more.
    let running = "readlink /proc/[0-9]*/exe | grep -xE '/usr/bin/(ssh|sftp)'";
    wait_until("all of ssh has ended", || {
        !world.run(world.command("sh").args(["-c", running])).end.is_success()
    });
    killing.all_is_well(&Step::Sftp(0));
}
