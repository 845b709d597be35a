//! A home with a listener in it that tests start, kill and talk to.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::testing::{Ran, Sandbox, built, copy_program, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The client, built once.
#[track_caller]
pub(crate) fn client() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("backrest-send", "backrest-send"))
}

pub(crate) struct Host {
    pub(crate) sandbox: Sandbox,
    pub(crate) listener: Option<Child>,
    /// The program that is run, where it is not the built one.
    pub(crate) program: PathBuf,
    /// More of its command line and environment.
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Who the listener runs as, where that is not who runs the test.
    user: Option<u32>,
}

impl Host {
    /// A home without a listener.
    #[track_caller]
    pub(crate) fn new() -> Host {
        let sandbox = Sandbox::new();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_pipe-listener"));
        Host { sandbox, listener: None, program, arguments: Vec::new(), environment: Vec::new(), user: None }
    }

    /// A home with a listener that answers.
    #[track_caller]
    pub(crate) fn listening() -> Host {
        let mut host = Host::new();
        host.start();
        host
    }

    /// The listener's command, not started.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.sandbox.command(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.sandbox.path("bin").display());
        if !self.environment.iter().any(|(name, _)| name == "PATH") {
            command.env("PATH", path);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Lets the listener run without root's rights, also where root runs the tests. Everything it needs must be there.
    #[track_caller]
    pub(crate) fn as_ordinary_user(&mut self) {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        // The build folder may be closed to others than root.
        self.with_tools(&[]);
        const ORDINARY: u32 = 65534;
        self.user = Some(ORDINARY);
        give_away(self.sandbox.home().parent().unwrap(), ORDINARY);
    }

    /// Starts the listener and waits until it answers.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let child =
            self.command().stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("start the listener");
        self.listener = Some(child);
        wait_until("the listener answers", || {
            self.send(&["ping"]).end == common::process::End::Exited(0) || self.has_ended()
        });
        assert!(!self.has_ended(), "the listener stopped: {}", self.log());
    }

    #[track_caller]
    fn has_ended(&mut self) -> bool {
        self.listener.as_mut().is_some_and(|child| child.try_wait().expect("look at the listener").is_some())
    }

    /// Ends it as a crash would.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let mut child = self.listener.take().expect("a listener runs");
        child.kill().expect("kill the listener");
        child.wait().expect("wait for the listener");
    }

    /// Asks it to end and waits until it has.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> Duration {
        let mut child = self.listener.take().expect("a listener runs");
        let started = Instant::now();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).expect("send TERM");
        let status = child.wait().expect("wait for the listener");
        assert!(status.success(), "{status}\n{}", self.log());
        started.elapsed()
    }

    /// Its process id.
    #[track_caller]
    pub(crate) fn process(&self) -> u32 {
        self.listener.as_ref().expect("a listener runs").id()
    }

    /// How much of a processor it uses, from 0 to 1, watched for two seconds.
    #[track_caller]
    pub(crate) fn busy(&self) -> f64 {
        let ticks = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process())).unwrap();
            let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        };
        let (before, time) = (ticks(), Duration::from_secs(2));
        std::thread::sleep(time);
        // The kernel counts a hundred a second.
        (ticks() - before) as f64 / 100.0 / time.as_secs_f64()
    }

    pub(crate) fn bridge(&self) -> PathBuf {
        self.sandbox.path("containers/backrest/bridge")
    }

    pub(crate) fn fifo(&self) -> PathBuf {
        self.bridge().join("backrest-pipe")
    }

    /// The client's command.
    #[track_caller]
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(client());
        command.env("BACKREST_BRIDGE", self.bridge()).args(arguments);
        command
    }

    /// Sends a message over the socket and waits for its end.
    #[must_use]
    #[track_caller]
    pub(crate) fn send(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(&mut self.client(arguments))
    }

    /// Starts a client and leaves it running.
    #[track_caller]
    pub(crate) fn send_aside(&self, arguments: &[&str]) -> Child {
        let mut command = self.client(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("start a client")
    }

    /// Writes bytes into the FIFO, as `printf … > backrest-pipe` does, and fails where that would wait.
    #[track_caller]
    pub(crate) fn write(&self, bytes: impl AsRef<[u8]>) {
        self.open_fifo().write_all(bytes.as_ref()).expect("write to the FIFO");
    }

    /// Opens the FIFO for writing; fails if no process has it open for reading.
    #[track_caller]
    pub(crate) fn open_fifo(&self) -> File {
        let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let opened = OpenOptions::new().write(true).custom_flags(nonblocking).open(self.fifo());
        opened.expect("open the FIFO for writing")
    }

    /// Adds an action of the user's.
    #[track_caller]
    pub(crate) fn action(&self, name: &str, script: &str) {
        self.sandbox.script(format!("containers/backrest/actions/{name}"), format!("#!/bin/sh\n{script}\n"));
    }

    /// Adds the action `note`, which writes its text down, and `gate`, which waits until [`Host::open_gate`].
    #[track_caller]
    pub(crate) fn note_and_gate(&self) {
        self.action("note", "echo \"$1\" >> \"$HOME/notes\"");
        self.action("gate", "echo waiting; until [ -e \"$HOME/gate\" ]; do sleep 0.02; done; echo open");
    }

    #[track_caller]
    pub(crate) fn open_gate(&self) {
        self.sandbox.write("gate", "");
    }

    /// What `note` has written.
    pub(crate) fn notes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.sandbox.path("notes")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for_notes(&self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} notes ({:?})\n{}", self.notes(), self.log()), || {
            self.notes().len() >= count
        });
        self.notes()
    }

    /// The listener's log; empty where there is none.
    #[track_caller]
    pub(crate) fn log(&self) -> String {
        let path = self.sandbox.path("containers/backrest/logs/listener.log");
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(&format!("{text:?} in the log"), || self.log().contains(text));
    }

    /// Copies the listener beside substitutes for the tools that it runs.
    #[track_caller]
    pub(crate) fn with_tools(&mut self, tools: &[(&str, &str)]) {
        let program = self.sandbox.path("tools/pipe-listener");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        copy_program(&self.program, &program);
        self.program = program;
        for (name, script) in tools {
            self.sandbox.script(Path::new("tools").join(name), format!("#!/bin/sh\n{script}\n"));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut child) = self.listener.take() {
            let _ = kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(5);
            while Instant::now() < deadline && child.try_wait().is_ok_and(|ended| ended.is_none()) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[track_caller]
fn give_away(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    if std::fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path(), user);
        }
    }
}
