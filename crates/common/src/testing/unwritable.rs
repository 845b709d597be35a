//! Standard output that can't be written: a full disk and a reader that went away. Each tool's tests have a table of
//! command lines for it; help and version of all tools are tested in `create-backrest-pipe`.

use std::process::Command;

use super::{Ran, Sandbox};

/// Where standard output leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// A disk without space.
    FullDisk,
    /// A pipe whose reader was gone before the first byte.
    ClosedPipe,
}

impl Unwritable {
    /// All of them, for a loop.
    pub const ALL: [Unwritable; 2] = [Unwritable::FullDisk, Unwritable::ClosedPipe];
}

impl Sandbox {
    /// Runs `command`, which prints something and exits with `code` if all of it is read. Panics unless it reports a
    /// full disk in exactly one line and by its exit code, and a reader that went away not at all.
    #[must_use = "check that the work was finished"]
    #[track_caller]
    pub fn run_unwritable(&self, command: &Command, output: Unwritable, code: i32) -> Ran {
        let (script, code, lines) = match output {
            Unwritable::FullDisk => (r#"exec "$0" "$@" >/dev/full"#, code.max(1), 1),
            Unwritable::ClosedPipe => (r#"exec 3> >(:); wait $!; exec "$0" "$@" >&3 3>&-"#, code, 0),
        };
        let mut shell = self.command("bash");
        shell.args(["-c", script]).arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = self.run(&mut shell).expect_code(code);
        let about = ran.stderr.lines().filter(|line| line.contains("standard output")).collect::<Vec<_>>();
        let is_full =
            |line: &&str| line.ends_with(": write to standard output: No space left on device (os error 28)");
        assert!(about.len() == lines && about.iter().all(is_full), "{output:?}: {}", ran.everything());
        assert!(!ran.stderr.contains("panicked"), "{output:?}: {}", ran.everything());
        ran
    }
}
