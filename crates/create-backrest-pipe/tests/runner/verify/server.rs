//! A server that behaves as Backrest's API does when a backup is verified, and runs real restic: operations with
//! outputs that are cut, logs in Connect's envelopes, signed downloads that break without an error, a login, a restart.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::{Request, head, read_request, refused};

/// The user and the password of the web page.
pub(crate) const LOGIN: (&str, &str) = ("me", "page-password");

/// DefaultCommandOutputSizeLimit in Backrest.
const OUTPUT_LIMIT: usize = 2_000_000;
/// What the download handler reads before it answers.
const FIRST_BYTES: usize = 32 << 10;

pub(crate) struct State {
    pub(crate) config: Value,
    pub(crate) operations: Vec<Value>,
    pub(crate) is_closed: bool,
    /// Restart at that call of a method that takes long.
    pub(crate) restarts_at: Option<u32>,
    /// The methods that were called.
    pub(crate) calls: Vec<String>,
    /// What restic prints on standard error in the middle of its output.
    pub(crate) noise: Option<&'static str>,
    /// Changes what `restic ls` prints, as a hostile container may.
    pub(crate) forge: Option<fn(String) -> String>,
    /// Ends a download after this many bytes, with status 200 all the same.
    pub(crate) breaks_after: Option<usize>,
    /// Takes requests and never answers.
    pub(crate) hangs: bool,
    logs: HashMap<String, Vec<u8>>,
    /// What is away until then.
    away_until: Option<Instant>,
    /// Part of every token; another one after a restart.
    session: u32,
    long_calls: u32,
    restic: PathBuf,
    folder: PathBuf,
}

pub(crate) struct Server {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) address: String,
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl State {
    /// restic with the repository and its password.
    pub(crate) fn restic(&self) -> Command {
        let mut command = Command::new(&self.restic);
        command.env_clear().env("RESTIC_REPOSITORY", self.repository()).env("RESTIC_PASSWORD", "for a test");
        command.env("HOME", &self.folder).env("RESTIC_CACHE_DIR", self.folder.join("cache"));
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    fn next_id(&self) -> i64 {
        self.operations.len() as i64 + 1
    }

    fn add_operation(&mut self, mut operation: Value) -> i64 {
        let id = self.next_id();
        operation["id"] = id.to_string().into();
        operation["instanceId"] = "home".into();
        self.operations.push(operation);
        id
    }

    /// How many calls of methods that take long were made.
    pub(crate) fn long_calls(&self) -> u32 {
        self.long_calls
    }

    /// What Backrest's token of a session is.
    fn token(&self) -> String {
        format!("session-{}", self.session)
    }
}

impl Server {
    /// A server that runs `restic`, with its repository and cache in `folder`. Its plan backs up `paths`.
    #[track_caller]
    pub(crate) fn start(restic: &Path, folder: &Path, paths: &[&Path], hooks: &Value) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let config = json!({
            "modno": 1, "version": 6, "instance": "home",
            "repos": [{ "id": "nas", "uri": "/r", "guid": "guid", "password": "for a test" }],
            "plans": [{ "id": "nightly", "repo": "nas", "paths": paths, "hooks": hooks }],
        });
        let state = State {
            config,
            operations: Vec::new(),
            is_closed: false,
            restarts_at: None,
            calls: Vec::new(),
            noise: None,
            forge: None,
            breaks_after: None,
            hangs: false,
            logs: HashMap::new(),
            away_until: None,
            session: 1,
            long_calls: 0,
            restic: restic.to_path_buf(),
            folder: folder.to_path_buf(),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || drop(serve(&connection, &shared)));
            }
        });
        Server { state, address }
    }

    /// Makes the repository.
    #[track_caller]
    pub(crate) fn init(&self) {
        let made = self.state.lock().unwrap().restic().args(["init", "--quiet"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// A backup of the plan as Backrest makes one: `hook` is what its START hook does.
    #[track_caller]
    pub(crate) fn back_up(&self, flags: &[&str], hook: impl FnOnce()) {
        let mut state = self.state.lock().unwrap();
        let began = now();
        hook();
        let paths: Vec<String> = serde_json::from_value(state.config["plans"][0]["paths"].clone()).unwrap();
        let mut command = state.restic();
        command.args(["backup", "--json", "--exclude-caches"]);
        command.args(["--tag", "plan:nightly", "--tag", "created-by:home"]);
        let made = command.args(flags).args(paths).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let last = String::from_utf8(made.stdout).unwrap();
        let summary: Value = serde_json::from_str(last.trim().lines().last().unwrap()).unwrap();
        let id = summary["snapshot_id"].as_str().unwrap().to_string();
        state.add_operation(json!({
            "repoId": "nas", "repoGuid": "guid", "planId": "nightly", "snapshotId": id, "status": "STATUS_SUCCESS",
            "unixTimeStartMs": began.to_string(), "unixTimeEndMs": now().to_string(), "operationBackup": {},
        }));
        state.add_operation(json!({
            "repoId": "nas", "repoGuid": "guid", "planId": "nightly", "snapshotId": id, "status": "STATUS_SUCCESS",
            "unixTimeStartMs": now().to_string(), "operationIndexSnapshot": { "snapshot": { "id": id } },
        }));
    }

    #[track_caller]
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.state.lock().unwrap().calls.iter().filter(|call| *call == method).count()
    }
}

fn serve(mut connection: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    // Head and body are written apart; the second would wait for the client to acknowledge the first.
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(request) = read_request(&mut reader)? {
        let method = request.path.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default().to_string();
        {
            let mut state = state.lock().unwrap();
            if state.hangs {
                drop(state);
                loop {
                    std::thread::park();
                }
            }
            if state.away_until.is_some_and(|until| Instant::now() < until) {
                return Ok(());
            }
            let is_download = request.path.starts_with("/download/");
            if is_download || matches!(method.as_str(), "RunCommand" | "GetLogs" | "GetDownloadURL") {
                state.long_calls += 1;
                if state.restarts_at == Some(state.long_calls) {
                    state.away_until = Some(Instant::now() + Duration::from_secs(1));
                    state.session += 1;
                    return Ok(());
                }
            }
            state.calls.push(if is_download { "download".into() } else { method.clone() });
        }
        if request.method == "GET" {
            download(connection, &request.path, state)?;
            continue;
        }
        if method == "GetLogs" {
            let answer = logs(&request, &state.lock().unwrap());
            head(connection, 200, "application/connect+json", answer.len())?;
            connection.write_all(&answer)?;
            continue;
        }
        let (status, answer) = match request.kind.as_str() {
            "application/json" => {
                let asked = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
                respond(&request, &asked, &mut state.lock().unwrap())
            }
            _ => (415, String::new()),
        };
        head(connection, status, "application/json", answer.len())?;
        let breaks_after = state.lock().unwrap().breaks_after.take_if(|_| method == "ListSnapshotFiles");
        if let Some(sent) = breaks_after {
            return connection.write_all(&answer.as_bytes()[..sent]);
        }
        connection.write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn respond(request: &Request, asked: &Value, state: &mut State) -> (u16, String) {
    if request.path == "/v1.Authentication/Login" {
        return match (asked["username"].as_str(), asked["password"].as_str()) {
            (Some(user), Some(password)) if (user, password) == LOGIN => {
                (200, json!({ "token": state.token() }).to_string())
            }
            _ => refused(401, "unauthenticated", "invalid password"),
        };
    }
    if state.is_closed && request.token != format!("Bearer {}", state.token()) {
        return (401, "Unauthorized (Bad Token)\n".into());
    }
    match request.path.as_str() {
        "/v1.Backrest/GetConfig" => (200, state.config.to_string()),
        "/v1.Backrest/GetOperations" => operations(asked, state),
        "/v1.Backrest/ListSnapshots" => snapshots(state),
        "/v1.Backrest/ListSnapshotFiles" => folder(asked, state),
        "/v1.Backrest/RunCommand" => run_command(asked, state),
        "/v1.Backrest/GetDownloadURL" => {
            let id = asked["opId"].as_str().unwrap_or_default();
            let is_index = |one: &&Value| one["id"] == id && one.get("operationIndexSnapshot").is_some();
            if !state.operations.iter().any(|one| is_index(&one)) {
                return refused(404, "not_found", "failed to get operation");
            }
            let path = asked["filePath"].as_str().unwrap();
            let named = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(path);
            (200, json!({ "value": format!("./download/{}.{id}.{named}/", state.session) }).to_string())
        }
        _ => (404, "404 page not found\n".into()),
    }
}

fn operations(asked: &Value, state: &State) -> (u16, String) {
    let Some(selector) = asked.get("selector") else {
        return refused(500, "unknown", "empty selector");
    };
    let fits = |one: &&Value| {
        let is = |name: &str| selector.get(name).is_none_or(|wanted| one.get(name) == Some(wanted));
        let ids = selector.get("ids").and_then(Value::as_array);
        ids.is_none_or(|ids| ids.contains(&one["id"])) && is("snapshotId") && is("planId") && is("instanceId")
    };
    let found: Vec<&Value> = state.operations.iter().filter(fits).collect();
    let last: usize = asked["lastN"].as_str().map_or(usize::MAX, |last| last.parse().unwrap());
    (200, json!({ "operations": found[found.len().saturating_sub(last)..] }).to_string())
}

fn snapshots(state: &State) -> (u16, String) {
    let listed = state
        .restic()
        .args(["snapshots", "--json", "--tag", "plan:nightly,created-by:home"])
        .output()
        .unwrap();
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let of = |snapshot: &Value| {
        let time: jiff::Timestamp = snapshot["time"].as_str().unwrap().parse().unwrap();
        json!({ "id": snapshot["id"], "unixTimeMs": time.as_millisecond().to_string(), "paths": snapshot["paths"] })
    };
    (200, json!({ "snapshots": listed.iter().map(of).collect::<Vec<_>>() }).to_string())
}

fn folder(asked: &Value, state: &State) -> (u16, String) {
    let (id, path) = (asked["snapshotId"].as_str().unwrap(), asked["path"].as_str().unwrap());
    let listed = state.restic().args(["ls", "--json", id, path, "--no-lock"]).output().unwrap();
    if !listed.status.success() {
        return refused(500, "unknown", "failed to list snapshot files");
    }
    let lines = String::from_utf8(listed.stdout).unwrap();
    let entries = lines.lines().skip(1).map(|line| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        if let Some(size) = entry.get("size").and_then(Value::as_u64) {
            entry["size"] = size.to_string().into();
        }
        entry
    });
    (200, json!({ "path": path, "entries": entries.collect::<Vec<_>>() }).to_string())
}

fn run_command(asked: &Value, state: &mut State) -> (u16, String) {
    let text = asked["command"].as_str().unwrap();
    let words = shlex::split(text).unwrap();
    let ran = state.restic().args(&words).output().unwrap();
    let mut output = format!("command: \"/bin/restic {}\"\n", words.join(" ")).into_bytes();
    let mut printed = ran.stdout;
    if let Some(forge) = state.forge {
        printed = forge(String::from_utf8(printed).unwrap()).into_bytes();
    }
    if let Some(noise) = state.noise {
        let line = printed.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        printed.splice(line..line, noise.bytes());
    }
    output.extend(printed);
    output.extend(ran.stderr);
    let is_cut = output.len() > OUTPUT_LIMIT;
    output.truncate(OUTPUT_LIMIT);
    let is_good = ran.status.success() && !is_cut;
    let log = format!("log-{}", state.next_id());
    let id = state.add_operation(json!({
        "repoId": "nas", "repoGuid": "guid", "planId": "_system_",
        "status": if is_good { "STATUS_SUCCESS" } else { "STATUS_ERROR" }, "unixTimeStartMs": now().to_string(),
        "operationRunCommand": {
            "command": text, "outputLogref": log, "outputSizeBytes": output.len().to_string(),
        },
    }));
    state.logs.insert(log, output);
    match is_good {
        true => (200, json!({ "operationId": id.to_string() }).to_string()),
        false if is_cut => refused(500, "unknown", "failed to run command: size limit exceeded"),
        false => refused(500, "unknown", "failed to run command: exit status 1"),
    }
}

/// Connect's stream of JSON messages.
fn logs(request: &Request, state: &State) -> Vec<u8> {
    assert_eq!(request.kind, "application/connect+json");
    let asked: Value = serde_json::from_slice(&request.body[5..]).unwrap();
    let text = state.logs.get(asked["ref"].as_str().unwrap()).cloned().unwrap_or_default();
    let mut answer = Vec::new();
    let mut send = |flags: u8, message: &Value| {
        let message = message.to_string();
        answer.push(flags);
        answer.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        answer.extend(message.bytes());
    };
    text.chunks(128 << 10).for_each(|chunk| send(0, &json!({ "value": STANDARD.encode(chunk) })));
    send(2, &json!({}));
    answer
}

fn download(mut connection: &TcpStream, path: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let token = path.trim_start_matches("/download/").trim_end_matches('/');
    let parts: Vec<&str> = token.split('.').collect();
    let (child, session, breaks_after) = {
        let state = state.lock().unwrap();
        let named = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let index = state.operations.iter().find(|one| one["id"] == parts[1]).unwrap();
        let id = index["operationIndexSnapshot"]["snapshot"]["id"].as_str().unwrap();
        let mut command = state.restic();
        command.args(["dump", id]).arg(String::from_utf8(named).unwrap()).args(["--archive", "tar"]);
        (command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn(), state.session, state.breaks_after)
    };
    if parts[0] != session.to_string() {
        return write!(connection, "HTTP/1.1 403 S\r\nContent-Length: 0\r\n\r\n");
    }
    let mut child = child?;
    let mut content = child.stdout.take().unwrap();
    let mut first = Vec::new();
    (&mut content).take(FIRST_BYTES as u64).read_to_end(&mut first)?;
    if first.len() < FIRST_BYTES && !child.wait()?.success() {
        return write!(connection, "HTTP/1.1 500 S\r\nContent-Length: 0\r\n\r\n");
    }
    write!(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let mut chunk = first;
    let mut left = breaks_after.unwrap_or(usize::MAX);
    while !chunk.is_empty() && left > 0 {
        chunk.truncate(left);
        left -= chunk.len();
        write!(connection, "{:x}\r\n", chunk.len())?;
        connection.write_all(&chunk)?;
        connection.write_all(b"\r\n")?;
        chunk.clear();
        (&mut content).take(64 << 10).read_to_end(&mut chunk)?;
    }
    // An error of restic is only a stream that ends.
    drop(content);
    child.wait()?;
    connection.write_all(b"0\r\n\r\n")
}
