//! Pushes that arrive at the real Uptime Kuma. `cargo xtask soak push` puts its package in place and runs this; no other
//! run does, since that takes minutes and hundreds of packages.

#![cfg(test)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::process::{self, Limits};
use common::testing::{Ran, Sandbox, built, wait_until};
use tempfile::TempDir;

const TOKEN: &str = "T0kenThatNoOneMaySee";
/// The monitor that keeps a first `down` to itself.
const RETRYING: &str = "AnotherToken";

/// A server with one push monitor.
struct Kuma {
    package: PathBuf,
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Kuma {
    #[track_caller]
    fn new(package: PathBuf) -> Kuma {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("db-config.json"), r#"{"type":"sqlite"}"#).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut kuma = Kuma { package, folder, port, server: None };
        kuma.start();
        kuma.query("INSERT INTO user (username, password, active) VALUES ('admin', 'x', 1);");
        for (name, token, retries) in [("backup", TOKEN, 0), ("retrying", RETRYING, 1)] {
            kuma.query(&format!(
                "INSERT INTO monitor \
                 (name, type, push_token, active, user_id, interval, maxretries, accepted_statuscodes_json) \
                 VALUES ('{name}', 'push', '{token}', 1, 1, 86400, {retries}, '[\"200-299\"]');"
            ));
        }
        kuma
    }

    #[track_caller]
    fn start(&mut self) {
        let mut node = Command::new("node");
        node.arg("server/server.js").current_dir(&self.package);
        node.env("DATA_DIR", format!("{}/", self.folder.path().display()));
        node.env("UPTIME_KUMA_HOST", "127.0.0.1").env("UPTIME_KUMA_PORT", self.port.to_string());
        node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(node.spawn().expect("run node (Debian package nodejs)"));
        // The first start makes the database, step by step.
        self.wait("it listens", |kuma| std::net::TcpStream::connect(("127.0.0.1", kuma.port)).is_ok());
    }

    #[track_caller]
    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    #[track_caller]
    fn query(&self, sql: &str) -> String {
        let mut sqlite = Command::new("sqlite3");
        sqlite.args(["-cmd", ".timeout 10000"]).arg(self.folder.path().join("kuma.db")).arg(sql);
        let limits = Limits::within(Duration::from_secs(60));
        let printed = process::capture(&mut sqlite, b"", limits, None).unwrap().success().unwrap();
        String::from_utf8(printed).unwrap().trim_end().to_string()
    }

    /// Waits until the last thing that it took down is this.
    #[track_caller]
    fn wait_for(&self, heartbeat: &str) {
        self.wait(heartbeat, |kuma| {
            kuma.query("SELECT status || ' ' || msg FROM heartbeat ORDER BY id DESC LIMIT 1;") == heartbeat
        });
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&Kuma) -> bool) {
        wait_until(&format!("Uptime Kuma: {what}"), || is_so(self));
    }
}

impl Drop for Kuma {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A listener in a home of its own, configured to push to this server.
struct Listener {
    sandbox: Sandbox,
    child: Child,
}

impl Listener {
    #[track_caller]
    fn pushing_to(address: &str) -> Listener {
        built("backrest-push", "backrest-push");
        let sandbox = Sandbox::new();
        let env = format!(
            "UPTIME_KUMA_PUSH_URL='{address}/api/push/{TOKEN}?status=up&msg=OK&ping='\n\
             UPTIME_KUMA_PUSH_URL_RETRYING='{address}/api/push/{RETRYING}'\n"
        );
        sandbox.write("containers/backrest/.env", env);
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_pipe-listener"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("start the listener");
        let listener = Listener { sandbox, child };
        wait_until("the listener answers", || listener.send(&["ping"]).end.is_success());
        listener
    }

    #[must_use]
    #[track_caller]
    fn send(&self, message: &[&str]) -> Ran {
        let mut client = self.sandbox.command(built("backrest-send", "backrest-send"));
        client.env("BACKREST_BRIDGE", self.sandbox.path("containers/backrest/bridge")).args(message);
        self.sandbox.run(&mut client)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_real_uptime_kuma_takes_what_is_pushed() {
    let package = std::env::var_os("UPTIME_KUMA").expect("UPTIME_KUMA names the folder of its package");
    let mut kuma = Kuma::new(Path::new(&package).to_path_buf());
    let listener = Listener::pushing_to(&format!("http://127.0.0.1:{}", kuma.port));

    listener.send(&["notify-up", "5 ok, 17 GiB & more=Käse"]).expect_success();
    kuma.wait_for("1 5 ok, 17 GiB & more=Käse");
    listener.send(&["notify-down", "1 failed: immich (dump is empty)"]).expect_success();
    kuma.wait_for("0 1 failed: immich (dump is empty)");

    listener.send(&["notify-up", "--duration", "12m3.5s", "with a duration"]).expect_success();
    kuma.wait_for("1 with a duration");
    assert_eq!(kuma.query("SELECT ping FROM heartbeat ORDER BY id DESC LIMIT 1;"), "723500");

    let retrying = ["--plan", "retrying"];
    listener.send(&[&["notify-up"], &retrying[..], &["well"]].concat()).expect_success();
    kuma.wait_for("1 well");
    listener.send(&[&["notify-down"], &retrying[..], &["not well"]].concat()).expect_success();
    kuma.wait_for("0 not well");
    let states =
        "SELECT group_concat(status) FROM (SELECT status FROM heartbeat WHERE msg = 'not well' ORDER BY id);";
    let states = kuma.query(states);
    // Versions that retry pushes keep the first as pending (2); this one, 2.0.0-dev.0, does not.
    assert!(matches!(states.as_str(), "2,0" | "0,0"), "{states}");

    kuma.stop();
    let ran = listener.send(&["notify-up", "while it was down"]).expect_success();
    assert!(ran.stderr.contains("not pushed yet"), "{}", ran.everything());
    kuma.start();
    kuma.wait_for("1 while it was down");

    kuma.query("UPDATE monitor SET active = 0;");
    let ran = listener.send(&["notify-up", "to a monitor that is paused"]).expect_success();
    assert!(ran.stderr.contains("refused it: Monitor not found or not active."), "{}", ran.everything());
}
