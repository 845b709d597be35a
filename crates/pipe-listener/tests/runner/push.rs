//! Uptime Kuma: pushes that work, are tried again, delay nothing, and show the address to no one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use common::testing::{built, wait_until};

use crate::host::Host;

const TOKEN: &str = "T0kenThatNoOneMaySee";
pub(crate) const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
const NOT_FOUND: &str = concat!(
    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n",
    "{\"ok\":false,\"msg\":\"Monitor not found or not active.\"}"
);

/// A server that answers each request with the next of `answers`; what it was asked comes out of the channel.
pub(crate) struct Server {
    pub(crate) port: u16,
    asked: Receiver<String>,
}

impl Server {
    /// What was asked so far and not taken yet.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }

    #[track_caller]
    pub(crate) fn answering(answers: Vec<&'static str>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((stream, _)) = listener.accept() else { return };
                let _ = sender.send(request_line(&stream));
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Server { port, asked }
    }

    #[track_caller]
    pub(crate) fn next(&self) -> String {
        self.asked.recv_timeout(Duration::from_secs(60)).expect("a request")
    }
}

fn request_line(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let _ = lines.find(|line| line.as_ref().map_or(true, String::is_empty));
    first
}

impl Host {
    #[track_caller]
    pub(crate) fn with_push_address(address: &str) -> Host {
        built("backrest-push", "backrest-push");
        let host = Host::new();
        let env = format!("UPTIME_KUMA_PUSH_URL='{address}/api/push/{TOKEN}?status=up&msg=OK&ping='\n");
        host.sandbox.write("containers/backrest/.env", env);
        host
    }

    #[track_caller]
    fn address_is_nowhere(&self) {
        for folder in
            ["containers/backrest/logs", "containers/backrest/state", "containers/backrest/state/queue"]
        {
            for entry in std::fs::read_dir(self.sandbox.path(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                    assert!(!text.contains(TOKEN), "{}: {text}", path.display());
                }
            }
        }
        assert!(!self.send(&["status"]).everything().contains(TOKEN));
    }
}

#[test]
fn up_and_down_are_pushed_with_the_hooks_text() {
    let server = Server::answering(vec![OK, OK, OK, OK]);
    let mut host = Host::with_push_address(&format!("http://127.0.0.1:{}", server.port));
    host.start();
    host.send(&["notify-up", "5 GiB & more=Käse"]).expect_success();
    assert_eq!(
        server.next(),
        format!("GET /api/push/{TOKEN}?status=up&msg=5%20GiB%20%26%20more%3DK%C3%A4se&ping= HTTP/1.1")
    );
    host.send(&["notify-down", "restic: exit 1\nrepository is locked"]).expect_success();
    for time in ["at once", "once more, for a monitor with a retry"] {
        let asked = server.next();
        let expected = "?status=down&msg=restic%3A%20exit%201%20repository%20is%20locked&ping=";
        assert!(asked.contains(expected), "{time}: {asked}");
    }
    host.write("notify-up\n");
    assert!(server.next().contains("?status=up&msg=OK&ping="));
    host.address_is_nowhere();
}

#[test]
fn a_push_that_failed_is_reported_and_tried_again() {
    let server = Server::answering(vec![
        NOT_FOUND,
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        "garbage\n",
        OK,
    ]);
    let mut host = Host::with_push_address(&format!("http://127.0.0.1:{}", server.port));
    host.start();
    let ran = host.send(&["notify-up", "x"]).expect_success();
    assert!(
        ran.stderr.contains("Uptime Kuma refused it: Monitor not found or not active."),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("tried again for 10 min"), "{}", ran.stderr);
    host.wait_for_log("notify-up x (socket): done");
    host.wait_for_log("after 4 tries");
    host.address_is_nowhere();
}

#[test]
fn a_server_that_hangs_delays_neither_the_hook_nor_the_next_action() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut host =
        Host::with_push_address(&format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port()));
    host.start();
    host.note_and_gate();
    host.write("notify-up x\nnote at once\n");
    assert_eq!(host.wait_for_notes(1), ["at once"]);
    // The one before it is still being pushed.
    let ran = host.send(&["notify-down", "y"]).expect_success();
    assert!(ran.stderr.contains("pushed after the one before it"), "{}", ran.stderr);
    assert!(!host.log().contains("not pushed yet"), "all that while the first push hung");
    host.wait_for_log("not pushed yet: no answer in time");
    host.address_is_nowhere();
}

#[test]
fn while_a_push_waits_for_its_server_no_argument_list_and_no_other_environment_holds_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut host =
        Host::with_push_address(&format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port()));
    host.start();
    let mut client = host.send_aside(&["notify-up", "slow"]);
    // The request is here and has no answer.
    let (server, _) = listener.accept().unwrap();
    assert!(request_line(&server).contains(TOKEN));
    let (mut pushes, mut seen) = (0, Vec::new());
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |name| std::fs::read(process.path().join(name)).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&read("cmdline")).into_owned();
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        if !environment.contains(&format!("HOME={}\0", host.sandbox.home().display())) {
            continue;
        }
        pushes += usize::from(arguments.contains("backrest-push\0up"));
        if arguments.contains(TOKEN) || environment.contains(TOKEN) {
            seen.push(arguments);
        }
    }
    assert_eq!((pushes, seen), (1, Vec::<String>::new()), "the one push is under way");
    (&server).write_all(OK.as_bytes()).unwrap();
    drop(server);
    assert!(client.wait().unwrap().success());
}

#[test]
fn a_server_that_is_not_there_is_reported_without_the_address() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut host = Host::with_push_address(&format!("http://127.0.0.1:{port}"));
    host.start();
    let ran = host.send(&["notify-up"]).expect_success();
    assert!(ran.stderr.contains("not pushed yet: the server refuses the connection"), "{}", ran.stderr);
    host.address_is_nowhere();
}

#[test]
fn without_an_address_it_fails_and_says_where_it_belongs() {
    let host = Host::listening();
    let ran = host.send(&["notify-up"]).expect_code(1);
    assert!(ran.stderr.contains("no push address (set UPTIME_KUMA_PUSH_URL in "), "{}", ran.stderr);
}

#[test]
fn a_certificate_is_checked_against_what_the_host_trusts() {
    let mut host = Host::with_push_address("https://localhost:1");
    let openssl = |arguments: &[&str]| {
        let mut command = host.sandbox.command("openssl");
        host.sandbox.run(command.args(arguments)).expect_success();
    };
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
        &[&["req", "-x509", "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.pem"], &new_key[..]]
            .concat(),
    );
    openssl(
        &[&["req", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "csr.pem"], &new_key[..]].concat(),
    );
    host.sandbox.write("names", "subjectAltName=DNS:localhost\n");
    openssl(&[
        "x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "names", "-out",
        "cert.pem",
    ]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server: Command = host.sandbox.command("openssl");
    server.args(["s_server", "-quiet", "-naccept", "20", "-cert", "cert.pem", "-key", "key.pem"]);
    server.args(["-accept", &format!("127.0.0.1:{port}")]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = server.stderr(Stdio::null()).spawn().expect("run openssl (Debian package openssl)");
    let env = format!("UPTIME_KUMA_PUSH_URL=https://localhost:{port}/api/push/{TOKEN}\n");
    host.sandbox.write("containers/backrest/.env", env);
    wait_until("it listens", || {
        std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&format!(":{port:04X} 00000000:0000 0A"))
    });

    host.start();
    let ran = host.send(&["notify-up", "unknown authority"]).expect_success();
    assert!(
        ran.stderr.contains("TLS: the server's certificate is not trusted by this host"),
        "{}",
        ran.stderr
    );
    assert!(host.terminate() < Duration::from_secs(10), "a push that is to be tried again holds up nothing");
    host.environment.push(("SSL_CERT_FILE".into(), host.sandbox.path("ca.pem").display().to_string()));
    host.start();
    let client = host.send_aside(&["notify-up", "trusted"]);
    let mut asked = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut asked).unwrap();
    assert!(asked.contains("?status=up&msg=trusted&"), "{asked:?}\n{}", host.log());
    server.stdin.take().unwrap().write_all(OK.as_bytes()).unwrap();
    let printed = client.wait_with_output().unwrap();
    assert!(printed.status.success() && printed.stderr.is_empty(), "{printed:?}");
    let _ = server.kill();
    let _ = server.wait();
    host.address_is_nowhere();
}

#[test]
fn a_redirect_to_another_server_does_not_get_the_token() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let location = format!("http://localhost:{}/api/push/x", other.local_addr().unwrap().port());
    let redirect: &'static str = format!(
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .leak();
    let to_itself =
        "HTTP/1.1 302 Found\r\nLocation: /kuma/push\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::answering(vec![redirect, to_itself, OK]);
    let mut host = Host::with_push_address(&format!("http://127.0.0.1:{}", server.port));
    host.start();
    let ran = host.send(&["notify-up", "x"]).expect_success();
    assert!(ran.stderr.contains("it redirects to another server"), "{}", ran.stderr);
    host.wait_for_log("after 2 tries");
    assert!(other.accept().is_err(), "the other server was asked");
    assert!([server.next(), server.next(), server.next()][2].contains("GET /kuma/push "));
}

#[test]
fn a_plan_has_its_own_monitor_and_the_last_answer_is_recorded() {
    use common::contract::push::{Answer, Pushes, State};
    let (common, own) = (Server::answering(vec![OK]), Server::answering(vec![NOT_FOUND, OK]));
    let mut host = Host::with_push_address(&format!("http://127.0.0.1:{}", common.port));
    let setting = format!("UPTIME_KUMA_PUSH_URL_MY_PLAN_=http://127.0.0.1:{}/api/push/own\n", own.port);
    let env = host.sandbox.read("containers/backrest/.env") + &setting;
    host.sandbox.write("containers/backrest/.env", env);
    host.start();
    let path = host.sandbox.path("containers/backrest/state/pushes.json");
    let last = |name: &str| Pushes::load(&path).last.get(name).cloned().map(|push| (push.state, push.answer));

    host.send(&["notify-up", "--plan", "another", "--duration", "1m2.5s", "fine"]).expect_success();
    assert!(common.next().contains("?status=up&msg=fine&ping=62500 "));
    assert_eq!(last("UPTIME_KUMA_PUSH_URL"), Some((State::Up, Answer::Accepted)));
    host.send(&["notify-up", "--plan", "my+plan%22", "fine"]).expect_success();
    assert!(own.next().contains("GET /api/push/own?status=up&msg=fine&ping= "));
    let refused = Answer::Refused("Monitor not found or not active.".into());
    assert_eq!(last("UPTIME_KUMA_PUSH_URL_MY_PLAN_"), Some((State::Up, refused)));
    host.wait_for_log("after 2 tries");
    assert_eq!(last("UPTIME_KUMA_PUSH_URL_MY_PLAN_"), Some((State::Up, Answer::Accepted)));
}

#[test]
fn a_hosts_name_a_plain_port_and_silence_have_words_of_their_own() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let _ = std::io::Read::read(&mut stream, &mut [0; 16]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    for (address, words) in [
        ("http://no-such-host.invalid".to_string(), "the server's name can't be resolved"),
        (format!("https://127.0.0.1:{port}"), "http:// instead of https://?"),
    ] {
        let host = Host::with_push_address(&address);
        let mut command = host.sandbox.command(built("backrest-push", "backrest-push"));
        let ran = host.sandbox.run_with_input(command.arg("up"), b"x").expect_code(1);
        assert!(ran.stderr.contains(words), "{address}: {}", ran.stderr);
    }
}
