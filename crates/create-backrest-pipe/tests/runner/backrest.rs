//! A server that behaves as Backrest's API does, as far as the hooks go: Connect's JSON over HTTP, a configuration
//! with a number that has to match, unknown fields dropped without a word, a login, and operations that run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

/// Where the repository's password stands; it must never be seen in what a tool prints.
pub(crate) const REPOSITORY_PASSWORD: &str = "repository-password-in-plain-text";
pub(crate) use crate::verify::server::LOGIN;
const TOKEN: &str = "token-of-a-session";

/// What the server is.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Value,
    pub(crate) operations: Value,
    /// What its web page was built as.
    pub(crate) version: &'static str,
    /// Whether one has to log in.
    pub(crate) is_closed: bool,
    /// Another client saves a change right after each read.
    pub(crate) is_busy_elsewhere: bool,
    /// The methods that were called.
    pub(crate) calls: Vec<String>,
}

/// A running server on a port of its own; it ends with the test's process.
pub(crate) struct Server {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) address: String,
}

impl Server {
    #[track_caller]
    pub(crate) fn start() -> Server {
        Server::start_at(0)
    }

    /// A server on that port; 0 for any that is free.
    #[track_caller]
    pub(crate) fn start_at(port: u16) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            config: config(),
            operations: json!([{ "id": "1", "planId": "nightly", "status": "STATUS_SUCCESS", "operationBackup": {} }]),
            version: "1.14.1",
            is_closed: false,
            is_busy_elsewhere: false,
            calls: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let _ = answer(&connection, &shared);
            }
        });
        Server { state, address }
    }

    /// A server that behaves as that version does: the form of the configuration changed with 1.13.
    #[track_caller]
    pub(crate) fn of_version(version: &'static str) -> Server {
        let server = Server::start();
        let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
        let mut state = server.state.lock().unwrap();
        state.version = version;
        state.config["version"] = json!(if minor < 13 { 4 } else { 6 });
        drop(state);
        server
    }

    /// The configuration as it is now.
    #[track_caller]
    pub(crate) fn config(&self) -> Value {
        self.state.lock().unwrap().config.clone()
    }
}

/// A configuration as Backrest 1.14 returns it, with the fields that are easy to lose.
fn config() -> Value {
    json!({
        "modno": 12, "version": 6, "instance": "home",
        "repos": [{
            "id": "nas", "uri": "sftp:nas:/srv/restic", "guid": "0123456789abcdef", "password": REPOSITORY_PASSWORD,
            "env": ["A=b"], "commandPrefix": {}, "prunePolicy": { "schedule": { "disabled": true } },
            "hooks": [{ "conditions": ["CONDITION_CHECK_ERROR"], "actionDiscord": { "webhookUrl": "http://d" } }]
        }],
        "plans": [{
            "id": "nightly", "repo": "nas", "paths": ["/userdata"], "excludes": ["*.tmp"], "iexcludes": ["*.BAK"],
            "schedule": { "cron": "0 3 * * *", "clock": "CLOCK_LOCAL" },
            "retention": { "policyTimeBucketed": { "daily": 7 } },
            "hooks": [{ "conditions": ["CONDITION_ANY_ERROR"], "onError": "ON_ERROR_RETRY_1MINUTE",
                        "actionCommand": { "command": "echo {{ .ShellEscape .Error }}" } }],
            "backup_flags": ["--exclude-caches"], "skipIfUnchanged": true
        }],
        "auth": { "users": [{ "name": "me", "passwordBcrypt": "********" }] },
        "sync": { "identity": { "keyId": "key" } }
    })
}

fn answer(mut connection: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_string();
        let is_post = line.starts_with("POST ");
        let (mut length, mut kind, mut token) = (0, String::new(), String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "content-type" => kind = value.into(),
                "authorization" => token = value.into(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, text) = match (is_post, kind.as_str()) {
            (false, _) => page(&path, &state.lock().unwrap()),
            (true, "application/json") => {
                let asked = serde_json::from_slice(&body).unwrap_or(Value::Null);
                respond(&path, &asked, &token, &mut state.lock().unwrap())
            }
            _ => (415, String::new()),
        };
        write!(connection, "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
    }
}

/// The web page, which needs no login; its script names the version.
fn page(path: &str, state: &State) -> (u16, String) {
    match path {
        "/" => (200, r#"<html><script type="module" src="./index.1a2b.js"></script></html>"#.into()),
        "/index.1a2b.js" => (200, format!(r#"const a="18.2.0",b="{}".trim(),c="dev";"#, state.version)),
        _ => (405, String::new()),
    }
}

fn respond(path: &str, asked: &Value, token: &str, state: &mut State) -> (u16, String) {
    let method = path.rsplit('/').next().unwrap().to_string();
    state.calls.push(method.clone());
    let refused = |status: u16, code: &str, message: &str| {
        (status, json!({ "code": code, "message": message }).to_string())
    };
    if path == "/v1.Authentication/Login" {
        // If no one has to log in, no one can.
        return match (asked["username"].as_str(), asked["password"].as_str()) {
            (Some(user), Some(password)) if state.is_closed && (user, password) == LOGIN => {
                (200, json!({ "token": TOKEN }).to_string())
            }
            _ => refused(401, "unauthenticated", "invalid password"),
        };
    }
    if state.is_closed && token != format!("Bearer {TOKEN}") {
        return (401, "Unauthorized (No Authorization Header)\n".into());
    }
    match path {
        "/v1.Backrest/GetConfig" => {
            let answer = state.config.to_string();
            if state.is_busy_elsewhere {
                let number = state.config["modno"].as_i64().unwrap();
                state.config["modno"] = (number + 1).into();
            }
            (200, answer)
        }
        "/v1.Backrest/SetConfig" if asked["modno"] != state.config["modno"] => {
            refused(400, "failed_precondition", "config modno mismatch, reload and try again")
        }
        "/v1.Backrest/SetConfig" => {
            state.config = without_unknown_fields(asked);
            let number = state.config["modno"].as_i64().unwrap();
            state.config["modno"] = (number + 1).into();
            (200, state.config.to_string())
        }
        "/v1.Backrest/GetOperations" => (200, json!({ "operations": state.operations }).to_string()),
        _ => (404, "404 page not found\n".into()),
    }
}

/// What protobuf's JSON keeps: the fields it knows by the names in config.proto, and no zero values.
#[track_caller]
fn without_unknown_fields(config: &Value) -> Value {
    let mut config = keep(config, &["modno", "version", "instance", "repos", "plans", "auth", "sync"]);
    let repo = [
        "id",
        "uri",
        "guid",
        "password",
        "env",
        "flags",
        "prunePolicy",
        "checkPolicy",
        "hooks",
        "autoUnlock",
        "autoInitialize",
        "commandPrefix",
        "shared",
        "originInstanceId",
        "forgetPolicy",
    ];
    let plan = [
        "id",
        "repo",
        "paths",
        "excludes",
        "iexcludes",
        "schedule",
        "retention",
        "hooks",
        "backup_flags",
        "skipIfUnchanged",
    ];
    for (list, fields) in [("repos", &repo[..]), ("plans", &plan[..])] {
        for entry in config[list].as_array_mut().unwrap() {
            *entry = keep(entry, fields);
            for hook in entry.get_mut("hooks").and_then(Value::as_array_mut).into_iter().flatten() {
                *hook =
                    keep(hook, &["conditions", "onError", "actionCommand", "actionWebhook", "actionDiscord"]);
                if hook.get("onError") == Some(&json!("ON_ERROR_IGNORE")) {
                    hook.as_object_mut().unwrap().remove("onError");
                }
            }
        }
    }
    config
}

#[track_caller]
fn keep(object: &Value, fields: &[&str]) -> Value {
    let kept = object.as_object().unwrap().iter().filter(|(name, value)| {
        let is_empty =
            value.as_array().is_some_and(Vec::is_empty) || *value == &json!("") || *value == &json!(0);
        fields.contains(&name.as_str()) && !is_empty
    });
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}
