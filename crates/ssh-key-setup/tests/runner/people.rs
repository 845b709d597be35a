//! People in the world: one at a terminal who answers questions, an ordinary user, and what sudo lets them do.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use common::testing::Ran;

use crate::world::World;

/// What makes `setpriv` start the tool as `me`.
const AS_ME: [&str; 6] = ["--reuid", "3000", "--regid", "3000", "--clear-groups", "ssh-key-setup"];

impl World {
    /// Runs a shell's line on a terminal and answers every question that ends in `question`; returns how many there
    /// were, and all that the screen showed. The line has to succeed, and the answer must not be seen.
    #[track_caller]
    pub(crate) fn on_a_terminal(&self, line: &str, question: &str, answer: &str) -> (usize, String) {
        let (code, answered, seen) = self.typing(line, question, &format!("{answer}\n"));
        assert_eq!(code, Some(0), "{seen}");
        assert!(!seen.contains(answer), "{seen}");
        (answered, seen)
    }

    /// Runs a shell's line on a terminal and presses Ctrl-C at the question; returns the exit code and the screen.
    #[track_caller]
    pub(crate) fn interrupted_at(&self, line: &str, question: &str) -> (Option<i32>, String) {
        let (code, _, seen) = self.typing(line, question, "\u{3}");
        (code, seen)
    }

    /// Types `keys` at every question; returns the exit code, how many questions there were, and the screen.
    #[track_caller]
    fn typing(&self, line: &str, question: &str, keys: &str) -> (Option<i32>, usize, String) {
        let mut command = self.command("script");
        command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("start script");
        let mut typed = child.stdin.take().expect("script's input");
        let mut screen = child.stdout.take().expect("script's output");
        let (mut seen, mut chunk, mut answered) = (String::new(), [0; 4096], 0);
        while let Ok(length @ 1..) = screen.read(&mut chunk) {
            seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
            if seen.matches(question).count() > answered {
                answered += 1;
                typed.write_all(keys.as_bytes()).expect("type the answer");
            }
        }
        (child.wait().expect("script's end").code(), answered, seen)
    }

    /// What an ordinary user, `me`, has who gets into the same servers as root: a home with keys and settings.
    #[track_caller]
    pub(crate) fn ordinary_user(&self) {
        let home = self.srv("home/me");
        for folder in ["containers/backrest", "data/backrest"] {
            fs::create_dir_all(home.join(folder)).expect("make a folder of the user's");
        }
        for name in ["id_ed25519", "config", "known_hosts"] {
            fs::copy(self.root(".ssh").join(name), home.join(".ssh").join(name))
                .expect("copy the user's ssh");
        }
        self.run(self.command("chown").args(["-R", "3000:3000", "/srv/home/me"])).expect_success();
    }

    /// Runs the tool as the ordinary user.
    #[must_use]
    #[track_caller]
    pub(crate) fn as_me(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command("setpriv");
        command.args(AS_ME).args(arguments);
        self.run(command.env("HOME", "/srv/home/me").env("PATH", "/srv/bin:/usr/bin:/bin"))
    }

    /// Lets sudo, a real one, do what `lines` allow, and nothing that the machine's own configuration does.
    #[track_caller]
    pub(crate) fn sudoers(&self, lines: &str) {
        fs::write(self.srv("sudoers"), lines).expect("write sudo's configuration");
        fs::set_permissions(self.srv("sudoers"), Permissions::from_mode(0o440)).expect("close it");
        for mount in [
            &["--bind", "/srv/sudoers", "/etc/sudoers"][..],
            &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/etc/sudoers.d"],
        ] {
            self.run(self.command("mount").args(mount)).expect_success();
        }
    }
}
