//! The whole way of a backup: the messages of Backrest's hooks over the bridge, the real listener, real restic.
//!
//! What Backrest itself does is done here in its order: START has to succeed, else restic does not start; ERROR or
//! SUCCESS and END follow. Only Uptime Kuma is a stand-in, which writes down what arrives.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::process::End;
use common::testing::{Ran, built, wait_until, wait_within};

use crate::scripts::{Home, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// The binaries of other crates, which lie beside ours and find each other there.
struct Programs {
    listener: PathBuf,
    client: PathBuf,
}

#[track_caller]
fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        built("build-ignore", "build-ignore");
        built("backrest-push", "backrest-push");
        Programs {
            listener: built("pipe-listener", "pipe-listener"),
            client: built("backrest-send", "backrest-send"),
        }
    })
}

struct Way {
    home: Home,
    listener: Option<Child>,
    pushes: Receiver<String>,
    push_url: String,
    deadline: &'static str,
}

impl Way {
    /// A home with a database that is written to, a listener, and an empty repository.
    #[track_caller]
    fn new(deadline: &'static str) -> Way {
        let home = Home::new();
        home.sandbox.write("data/app/up", "");
        std::fs::create_dir(home.sandbox.path("data/app/data")).unwrap();
        let rows = "CREATE TABLE t(a); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 500) INSERT INTO t SELECT n FROM c;";
        let mut sqlite = home.sandbox.command("sqlite3");
        home.sandbox.run(sqlite.arg(home.sandbox.path("data/app/data/app.db")).arg(rows)).expect_success();
        home.sandbox.write("data/app/.resticignore", "/data/app.db*\n");
        home.prepare("app", "# dump: dump.sqlite kind=sqlite\nset -eu\n[ ! -e ../gate ] || { touch here; until [ -e go ]; do sleep 0.02; done; }\nrm -f up\nsqlite3 data/app.db \".backup '$DUMP_DIR/dump.sqlite'\"");
        home.after(
            "app",
            "[ ! -e ../after-gate ] || { touch after-here; until [ -e go ]; do sleep 0.02; done; }\ntouch up",
        );
        let (pushes, push_url) = uptime_kuma();
        let mut way = Way { home, listener: None, pushes, push_url, deadline };
        way.restic(&["init"]).expect_success();
        way.start();
        way
    }

    #[track_caller]
    fn start(&mut self) {
        let mut command = self.home.sandbox.command(&programs().listener);
        command.env("UPTIME_KUMA_PUSH_URL", &self.push_url).env("AFTER_DEADLINE", self.deadline);
        // The container's mount is where both roots are for this restic.
        command.env("BACKUP_MOUNT", self.home.sandbox.home());
        self.listener =
            Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        wait_until("the listener answers", || self.send(&["ping"]).end.is_success());
    }

    #[track_caller]
    fn kill(&mut self) {
        let mut listener = self.listener.take().expect("a listener runs");
        listener.kill().unwrap();
        listener.wait().unwrap();
    }

    #[track_caller]
    fn client(&self, message: &[&str]) -> Command {
        let mut command = self.home.sandbox.command(&programs().client);
        command.env("BACKREST_BRIDGE", self.home.sandbox.path("containers/backrest/bridge")).args(message);
        command
    }

    #[must_use]
    #[track_caller]
    fn send(&self, message: &[&str]) -> Ran {
        self.home.sandbox.run(&mut self.client(message))
    }

    #[must_use]
    #[track_caller]
    fn restic(&self, arguments: &[&str]) -> Ran {
        let mut command = self.home.sandbox.command("restic");
        command.args(["--no-cache", "--quiet"]).args(arguments).env("RESTIC_PASSWORD", "test");
        command.env("RESTIC_REPOSITORY", self.home.sandbox.path("repository"));
        self.home.sandbox.run(&mut command)
    }

    #[must_use]
    #[track_caller]
    fn restic_backup(&self) -> Ran {
        let exclude = format!(
            "--exclude-file={}",
            self.home.sandbox.path("containers/backrest/ignorefile.txt").display()
        );
        let data = self.home.sandbox.path("data").to_string_lossy().into_owned();
        self.restic(&["backup", &exclude, &data])
    }

    /// A backup as Backrest makes it; `true` where it succeeded.
    #[track_caller]
    fn back_up(&self) -> bool {
        if self.send(&["pre-backups"]).end != End::Exited(0) {
            // Backrest's own words; it does not say what the hook's output was.
            self.fails("\"task cancelled: exit status 1\"");
            return false;
        }
        let restic = self.restic_backup();
        if !restic.end.is_success() {
            self.fails("restic failed");
            return false;
        }
        self.send(&["post-backups"]).expect_success();
        self.send(&["notify-up"]).expect_success();
        true
    }

    #[track_caller]
    fn fails(&self, why: &str) {
        self.send(&["post-backups"]).expect_success();
        self.send(&["notify-down", why]).expect_success();
    }

    #[track_caller]
    fn pushed(&self) -> String {
        self.pushes.recv_timeout(PATIENCE).expect("a push arrives")
    }

    fn is_up(&self) -> bool {
        self.home.exists("data/app/up")
    }

    #[track_caller]
    fn snapshots(&self) -> usize {
        let listed = self.restic(&["snapshots", "--json"]).expect_success().stdout;
        serde_json::from_str::<Vec<serde_json::Value>>(&listed).unwrap().len()
    }

    /// No one sends anything more: the listener alone has to bring it back.
    #[track_caller]
    fn comes_up_by_itself(&self) {
        let is_back = || self.is_up() && !self.home.journal().exists();
        wait_within(PATIENCE, || format!("it stays stopped\n{}", self.log()), is_back);
    }

    #[track_caller]
    fn log(&self) -> String {
        self.home.lines("containers/backrest/logs/listener.log").join("\n")
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if self.listener.is_some() {
            self.kill();
        }
    }
}

/// Takes pushes: the request line of each.
#[track_caller]
fn uptime_kuma() -> (Receiver<String>, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                if first.is_empty() {
                    first.clone_from(&line);
                }
                line.clear();
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"ok\":true}");
            if sender.send(first).is_err() {
                return;
            }
        }
    });
    (receiver, format!("http://{address}/api/push/token"))
}

#[track_caller]
fn rows(way: &Way, database: &Path) -> String {
    let mut sqlite = way.home.sandbox.command("sqlite3");
    way.home.sandbox.run(sqlite.arg(database).arg("SELECT * FROM t ORDER BY a")).expect_success().stdout
}

#[test]
fn with_everything_well_the_restored_dump_loads() {
    let way = Way::new("12h");
    assert!(way.back_up());
    assert!(way.is_up() && way.snapshots() == 1);
    assert!(way.pushed().contains("status=up"));
    let target = way.home.sandbox.path("restored");
    way.restic(&["restore", "latest", "--target", target.to_str().unwrap()]).expect_success();
    let restored = target.join(way.home.sandbox.path("data/app").strip_prefix("/").unwrap());
    let live = rows(&way, &way.home.sandbox.path("data/app/data/app.db"));
    assert!(live.lines().count() == 500 && rows(&way, &restored.join("dump.sqlite")) == live);
    assert!(!restored.join("data/app.db").exists(), "the live database was left out");
}

#[test]
fn with_a_broken_dump_there_is_no_snapshot_and_the_service_is_up_again() {
    let way = Way::new("12h");
    way.home.prepare(
        "app",
        "# dump: dump.sqlite kind=sqlite\nrm up; head -c 5000 data/app.db >\"$DUMP_DIR/dump.sqlite\"",
    );
    assert!(!way.back_up());
    assert!(way.is_up() && way.snapshots() == 0);
    let push = way.pushed();
    assert!(push.contains("status=down") && push.contains("app") && push.contains("damaged"), "{push}");
}

#[test]
fn a_warning_of_the_preparation_is_pushed_with_the_backups_success() {
    let way = Way::new("12h");
    way.home.prepare("calendar", "# on-failure: continue\nexit 7");
    assert!(way.back_up() && way.snapshots() == 1);
    let push = way.pushed();
    assert!(push.contains("status=up") && push.contains("calendar") && push.contains("code%207"), "{push}");
    way.home.prepare("calendar", "true");
    assert!(way.back_up());
    assert!(!way.pushed().contains("calendar"), "it was about the backup before");
}

#[test]
fn with_restic_failing_the_service_is_up_again() {
    let way = Way::new("12h");
    std::fs::rename(way.home.sandbox.path("repository/keys"), way.home.sandbox.path("no-keys")).unwrap();
    assert!(!way.back_up());
    let push = way.pushed();
    assert!(way.is_up() && push.contains("status=down") && push.contains("restic%20failed"), "{push}");
}

#[test]
fn a_backup_that_never_comes_back_is_cleaned_up_after_by_the_listener_that_runs() {
    let mut way = Way::new("3s");
    let listener = way.listener.as_ref().unwrap().id();
    way.send(&["pre-backups"]).expect_success();
    assert!(!way.is_up(), "the deadline has not passed yet");
    // Backrest is gone: no END, no ERROR.
    way.comes_up_by_itself();
    let child = way.listener.as_mut().unwrap();
    assert!(child.id() == listener && child.try_wait().unwrap().is_none(), "it is the same listener");
    // What the step did is seen before the listener says so.
    wait_within(PATIENCE, || way.log(), || way.log().contains(" overdue-backup (timer): done"));
    let status = way.send(&["status"]).expect_success().stdout;
    assert!(status.contains("after-steps-due: no\n"), "{status}");
}

#[test]
fn with_the_listener_killed_anywhere_nothing_stays_stopped() {
    // While the prepare script runs.
    let mut way = Way::new("1s");
    way.home.sandbox.write("data/gate", "");
    let mut client =
        way.client(&["pre-backups"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&way.home.sandbox.path("data/app/here"));
    way.kill();
    assert!(!client.wait().unwrap().success(), "the hook sees it at once");
    std::fs::remove_file(way.home.sandbox.path("data/gate")).unwrap();
    way.home.sandbox.write("data/app/go", "");
    way.start();
    way.comes_up_by_itself();

    // Before the hook: it fails, and nothing was stopped.
    way.kill();
    assert_eq!(way.send(&["pre-backups"]).end, End::Exited(69));
    assert!(way.is_up());
    way.start();

    // Between the START hook and restic, and between restic and the END hook.
    for restic_ran in [false, true] {
        way.send(&["pre-backups"]).expect_success();
        if restic_ran {
            way.restic_backup().expect_success();
        }
        way.kill();
        way.start();
        way.comes_up_by_itself();
    }

    // While the after step runs.
    way.send(&["pre-backups"]).expect_success();
    std::fs::remove_file(way.home.sandbox.path("data/app/go")).unwrap();
    way.home.sandbox.write("data/after-gate", "");
    let mut client =
        way.client(&["post-backups"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&way.home.sandbox.path("data/app/after-here"));
    way.kill();
    client.wait().unwrap();
    std::fs::remove_file(way.home.sandbox.path("data/after-gate")).unwrap();
    way.start();
    way.home.sandbox.write("data/app/go", "");
    way.comes_up_by_itself();
}
