//! The part of Backrest's API that is needed: log in, read the configuration, write it, see what runs.
//!
//! It is Connect's JSON over HTTP: POST to `/v1.Backrest/<method>`, and on an error a JSON object with `code` and
//! `message`. What a reader gets wrong: the configuration holds repository passwords in plain text, so neither it
//! nor an answer that could hold it is ever part of an error.

use std::fmt;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::exit::HintExt;
use common::settings::Secret;
use common::text::{self, escape};
use serde_json::{Value, json};
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::page::Page;
use super::password::password_of;

const LARGEST_ANSWER: u64 = 64 << 20;
const ANSWER_TIME: Duration = Duration::from_secs(60);

pub(crate) struct Backrest {
    agent: Agent,
    address: String,
    token: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Refused {
    status: u16,
    code: String,
    message: String,
}

impl Refused {
    /// Backrest itself did not answer: a proxy reports that it is away.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.status, 502..=504)
    }

    pub(crate) fn is_unauthorized(&self) -> bool {
        self.status == 401
    }

    /// The configuration is not the one that was read any more.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code == "failed_precondition"
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, self.message.is_empty()) {
            (404, _) => f.write_str("this is not Backrest: HTTP status 404"),
            (status, true) => write!(f, "HTTP status {status}"),
            (status, false) => write!(f, "HTTP status {status}: {}", self.message),
        }
    }
}

impl std::error::Error for Refused {}

impl Backrest {
    /// The Backrest of `page` and its configuration, after logging in if that is needed. One that is just starting is
    /// waited for, at most for `wait`.
    pub(crate) fn open(page: &Page, wait: Duration) -> Result<(Backrest, Value)> {
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_TIME))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            // The certificates that the host trusts, so that a Backrest behind a proxy with a CA of its own works.
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .build();
        let mut backrest = Backrest { agent: config.into(), address: page.address.clone(), token: None };
        let error = match backrest.config_when_up(wait) {
            Ok(config) => return Ok((backrest, config)),
            Err(error) if is(&error, Refused::is_unauthorized) => error,
            Err(error) => return Err(error),
        };
        let Some(user) = &page.user else { return Err(error).hint("log in: --user NAME") };
        if page.is_overheard {
            let (style, reset) = (text::WARN, text::WARN.render_reset());
            common::note!(
                "{style}note{reset}: the password and the configuration go over the network in the clear"
            );
        }
        let password = password_of(user, page.password_file.as_deref())?;
        backrest.log_in(user, &password)?;
        let config = backrest.config()?;
        Ok((backrest, config))
    }

    /// The configuration; while nothing listens yet, or a proxy in front of it reports that, it is asked for again.
    fn config_when_up(&self, wait: Duration) -> Result<Value> {
        let end = Instant::now() + wait;
        let mut is_first = true;
        loop {
            let error = match self.config() {
                Err(error) if is_starting(&error) && Instant::now() < end => error,
                result => return result,
            };
            if is_first {
                common::note!("waiting for Backrest: {}", common::exit::one_line(&error));
                is_first = false;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn log_in(&mut self, user: &str, password: &Secret) -> Result<()> {
        let asked = json!({ "username": user, "password": password.reveal() });
        let answer = match self.ask("v1.Authentication/Login", &asked).context("log in") {
            // An unknown user is answered in the same way.
            Err(error) if is(&error, Refused::is_unauthorized) => {
                return Err(error).hint("see that user and password are those of Backrest's web page");
            }
            answer => answer?,
        };
        let token = answer["token"].as_str().filter(|token| !token.is_empty());
        self.token = Some(token.context("log in: Backrest gave no token")?.into());
        Ok(())
    }

    fn config(&self) -> Result<Value> {
        let config =
            self.ask("v1.Backrest/GetConfig", &json!({})).context("read Backrest's configuration")?;
        if !config.is_object() {
            bail!("read Backrest's configuration: the response is not a JSON object");
        }
        Ok(config)
    }

    /// Writes the configuration, which has to be the one that was read but for what was changed, and returns what
    /// Backrest has made of it.
    pub(crate) fn set_config(&self, config: &Value) -> Result<Value> {
        self.ask("v1.Backrest/SetConfig", config).context("write Backrest's configuration")
    }

    /// What runs now, for a person; empty if nothing does.
    pub(crate) fn running(&self) -> Result<String> {
        let asked = json!({ "selector": {}, "lastN": "500" });
        let answer = self.ask("v1.Backrest/GetOperations", &asked).context("ask what Backrest is doing")?;
        let operations = answer["operations"].as_array().cloned().unwrap_or_default();
        let running = operations.iter().filter(|operation| operation["status"] == "STATUS_INPROGRESS");
        Ok(running.map(in_words).collect::<Vec<_>>().join(", "))
    }

    /// The scripts of its web page; none if that can't be read.
    pub(crate) fn page_scripts(&self) -> Vec<String> {
        let get = |path: &str| {
            let path = path.trim_start_matches("./").trim_start_matches('/');
            let body = whole(&mut self.get(path, ANSWER_TIME).ok()?).ok()?;
            Some(String::from_utf8_lossy(&body).into_owned())
        };
        let page = get("").unwrap_or_default();
        let sources = page.split("src=").skip(1).filter_map(|rest| {
            let source = rest.trim_start_matches(['"', '\'']).split(['"', '\'', '>', ' ']).next()?;
            (source.ends_with(".js") && !source.contains("://")).then_some(source)
        });
        sources.take(8).filter_map(get).collect()
    }

    pub(crate) fn ask(&self, method: &str, asked: &Value) -> Result<Value> {
        self.ask_within(method, asked, ANSWER_TIME)
    }

    /// The same, for a method that may take longer to answer.
    pub(crate) fn ask_within(&self, method: &str, asked: &Value, limit: Duration) -> Result<Value> {
        let body = serde_json::to_vec(asked)?;
        let mut answer = self.post(method, "application/json", &body, limit)?;
        let naming = || self.naming(method);
        let body = whole(&mut answer).with_context(naming)?;
        let json = serde_json::from_slice(&body).ok();
        json.context("the answer is not JSON: this is not Backrest").with_context(naming)
    }

    /// Posts `body` to `method` and returns the response, whose body is still to be read. Fails with [`Refused`] if its
    /// status is not a success.
    pub(crate) fn post(
        &self,
        method: &str,
        kind: &str,
        body: &[u8],
        limit: Duration,
    ) -> Result<Response<Body>> {
        let mut request = self.agent.post(format!("{}/{method}", self.address));
        request = request.header("Content-Type", kind);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.config().timeout_global(Some(limit)).build();
        let hint = "see that Backrest runs, and that this is the address of its web page, http or https";
        let answer = request.send(body).with_context(|| self.naming(method)).hint(hint)?;
        self.accepted(answer, method)
    }

    /// Gets what is at `path` below the address, without the login, and returns the response, whose body is still to
    /// be read. Fails with [`Refused`] if its status is not a success. `path` may hold a token: it is in no error.
    pub(crate) fn get(&self, path: &str, limit: Duration) -> Result<Response<Body>> {
        let request = self.agent.get(format!("{}/{path}", self.address));
        let answer = request.config().timeout_global(Some(limit)).build().call();
        self.accepted(answer.with_context(|| self.naming("download"))?, "download")
    }

    fn naming(&self, method: &str) -> String {
        format!("{}/{method}", escape(self.address.as_bytes()))
    }

    fn accepted(&self, mut answer: Response<Body>, method: &str) -> Result<Response<Body>> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let naming = || self.naming(method);
        let body = whole(&mut answer).with_context(naming)?;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        let word = |field: &str| {
            let text = json.as_ref().and_then(|json| json[field].as_str()).unwrap_or_default();
            escape(text.chars().take(300).collect::<String>().as_bytes())
        };
        let refused = Refused { status: status.as_u16(), code: word("code"), message: word("message") };
        Err(refused).with_context(naming)
    }
}

fn whole(answer: &mut Response<Body>) -> Result<Vec<u8>, ureq::Error> {
    answer.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec()
}

/// Whether Backrest may still be coming up: the connection is refused or ends at once, or a proxy answers for it.
fn is_starting(error: &anyhow::Error) -> bool {
    let gone = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
    let is_gone = |kind: ErrorKind| gone.contains(&kind);
    error.chain().any(|cause| match cause.downcast_ref::<ureq::Error>() {
        Some(ureq::Error::Io(io)) => is_gone(io.kind()),
        Some(ureq::Error::ConnectionFailed) => true,
        _ => cause.downcast_ref::<std::io::Error>().is_some_and(|io| is_gone(io.kind())),
    }) || is(error, |refused| matches!(refused.status, 502..=504))
}

/// Whether Backrest's answer, somewhere in the causes of `error`, is such a one.
pub(crate) fn is(error: &anyhow::Error, what: fn(&Refused) -> bool) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<Refused>()).any(what)
}

fn in_words(operation: &Value) -> String {
    let kinds = [
        ("operationBackup", "a backup"),
        ("operationForget", "forget"),
        ("operationPrune", "prune"),
        ("operationCheck", "check"),
        ("operationRestore", "a restore"),
        ("operationRunHook", "a hook"),
    ];
    let kind =
        kinds.iter().find(|(field, _)| operation.get(field).is_some()).map_or("a task", |(_, word)| word);
    match operation["planId"].as_str() {
        Some(plan) => format!("{kind} of plan \"{}\"", escape(plan.as_bytes())),
        None => kind.into(),
    }
}
