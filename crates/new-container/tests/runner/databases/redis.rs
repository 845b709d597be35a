//! Redis: a snapshot taken by the script, started by a second server.

use std::fs;
use std::process::{Command, Stdio};

use common::testing::wait_until;

use super::Service;
use super::server::{Server, folder, output, works};

#[track_caller]
fn start(password: &str, snapshot: Option<&std::path::Path>) -> Server {
    let folder = folder(None);
    let place = folder.path().to_str().expect("UTF-8").to_string();
    if let Some(snapshot) = snapshot {
        fs::copy(snapshot, folder.path().join("dump.rdb")).expect("put the snapshot in place");
    }
    // As in compose.yaml: the configuration comes on standard input.
    let configuration = format!(
        "requirepass {password}\ndir {place}\nport 0\nunixsocket {place}/s\nsave \"\"\nrepl-diskless-sync-delay 0\n"
    );
    fs::write(folder.path().join("configuration"), configuration).expect("write the configuration");
    let mut redis = Command::new("redis-server");
    redis.arg("-").stdin(Stdio::from(fs::File::open(folder.path().join("configuration")).expect("open it")));
    let ping = || {
        works(
            Command::new("redis-cli")
                .args(["-e", "-s", &format!("{place}/s"), "ping"])
                .env("REDISCLI_AUTH", password),
        )
    };
    Server::start(&mut redis, folder, ping)
}

#[test]
fn redis_is_dumped_and_restored_and_every_broken_dump_is_caught() {
    let service = Service::new("redis");
    let password = service.env("DB_PASSWORD");
    let server = start(&password, None);
    let socket = |server: &Server| server.folder.path().join("s").to_str().expect("UTF-8").to_string();
    let client = |server: &Server, arguments: &[&str]| {
        output(
            Command::new("redis-cli")
                .args(["-e", "-s", &socket(server)])
                .args(arguments)
                .env("REDISCLI_AUTH", &password),
        )
    };
    client(
        &server,
        &[
            "eval",
            "for n = 1, 5000 do redis.call('set', 'k' .. n, string.rep(redis.sha1hex(n), 4)); redis.call('hset', 'h', n, n) end",
            "0",
        ],
    );
    // The container's own client finds its server by itself; ours needs its address.
    let own = socket(&server);
    let cli = |before: &str, after: &str| {
        format!("#!/bin/sh\n{before}/usr/bin/redis-cli -s '{own}' \"$@\"{after}\n")
    };
    service.with_program("redis-cli", &cli("exec ", ""));
    service.container(&[("REDIS_PASSWORD", &password)]);

    let ran = service.prepare(&[]).expect_success();
    assert!(ran.stdout.ends_with("\n1 ok\n"), "{}", ran.everything());
    let dump = "database.rdb";
    // The service's own server writes its snapshot once more when it stops.
    fs::create_dir(service.path("database")).expect("make its folder");
    service.sandbox.script("bin/on-stop", "#!/bin/sh\necho old > \"$HOME/data/app/database/dump.rdb\"\n");
    service.sandbox.script("bin/on-start", "#!/bin/sh\n");
    service.restore("dump.rdb");
    let restored = start(&password, Some(&service.path("database/dump.rdb")));
    let content = |server: &Server| {
        let text = "local r = {} for n = 1, 5000 do r[n] = redis.call('get', 'k' .. n) .. redis.call('hget', 'h', n) end return r";
        client(server, &["eval", text, "0"])
    };
    assert!(content(&server).lines().count() >= 5000 && content(&server) == content(&restored));
    assert_eq!(client(&server, &["dbsize"]), client(&restored, &["dbsize"]));

    service.container(&[("REDIS_PASSWORD", "wrong")]);
    service.is_refused(dump, &[], "");
    service.container(&[("REDIS_PASSWORD", &password)]);
    service.with_full_disk(|| service.is_refused(dump, &[], ""));
    service.with_program("redis-cli", &cli("", " | head -c 100000\nkill -KILL $$"));
    service.is_refused(dump, &[], "exit code");
    service.with_program("redis-cli", &cli("", " | head -c 100000"));
    service.is_refused(dump, &[], "dump is damaged");
    service.with_program("redis-cli", &cli("exec ", ""));
    service.adopt();
    service.prepare(&[]).expect_success();
    drop(server);
    service.is_refused(dump, &[], "");
}

/// What compose.yaml starts is process 1 of its container: it has to see TERM, or the last minutes are lost with KILL.
#[test]
fn redis_as_it_is_started_saves_what_it_holds_when_it_is_stopped() {
    let service = Service::new("redis");
    let compose = service.sandbox.read("containers/app/compose.yaml");
    let (_, block) =
        compose.split_once("    - |\n").or_else(|| compose.split_once("- |\n")).expect("the command");
    let lines = block.lines().take_while(|line| !line.trim_start().starts_with("environment:"));
    let folder = folder(None);
    let place = folder.path().to_str().expect("UTF-8");
    // Compose takes the indentation and the second dollar sign away.
    let script = lines.map(|line| line.trim_start().replace("$$", "$") + "\n").collect::<String>();
    let script = script.replace("dir /data\n", &format!("dir {place}\nport 0\nunixsocket {place}/s\n"));
    assert!(script.contains(place), "{script}");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "sh", "-c", &script]).env("REDIS_PASSWORD", "geheim");
    let client = |arguments: &[&str]| {
        let mut cli = Command::new("redis-cli");
        cli.args(["-e", "-s", &format!("{place}/s")]).args(arguments).env("REDISCLI_AUTH", "geheim");
        cli
    };
    let mut container = command.stdout(Stdio::null()).spawn().expect("start it");
    wait_until("it starts", || works(&mut client(&["set", "key", "value"])));
    let children = format!("/proc/{0}/task/{0}/children", container.id());
    let first = fs::read_to_string(children).expect("the container's first process");
    let first = nix::unistd::Pid::from_raw(first.trim().parse().expect("a process id"));
    nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGTERM).expect("docker stop");
    wait_until("it sees TERM", || container.try_wait().is_ok_and(|status| status.is_some()));
    assert!(folder.path().join("dump.rdb").exists(), "what it held is saved");
}
