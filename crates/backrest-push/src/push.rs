//! One push to Uptime Kuma: asks, and records how that was answered.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use common::contract::push::{Answer, Push, Pushes, State};
use common::exit::{Exit, HintExt};
use common::moment::unix_now;
use common::settings::{PUSH_URL, Secret, Settings};
use common::text::escape_path;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::answer;
use crate::cli::Cli;
use crate::request::{address_of, redirected};

/// A longer answer than this is not from Uptime Kuma.
const LONGEST_ANSWER: u64 = 16 << 10;
const MOST_REDIRECTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// What to push, and to where.
pub(crate) struct Request {
    /// The setting that holds the address.
    setting: String,
    address: Secret,
    state: State,
    /// How long the backup took.
    duration: Option<Duration>,
}

impl Request {
    /// Resolves `cli`. Fails if no address is set.
    pub(crate) fn resolve(cli: &Cli, settings: &Settings) -> Result<Request> {
        let Some((setting, address)) = settings.push_address(cli.plan.as_deref()) else {
            return Err(anyhow!("no push address"))
                .hint(format!("set {PUSH_URL} in {}", escape_path(&settings.env_file)));
        };
        Ok(Request { setting, address, state: cli.state, duration: cli.duration })
    }
}

/// Pushes the state and the text on standard input once.
pub(crate) fn push(settings: &Settings, request: Request) -> Result<Exit> {
    let Request { setting, address, state, duration } = request;
    let mut text = Vec::new();
    io::stdin().take(1 << 16).read_to_end(&mut text).context("read the text")?;
    let text = String::from_utf8_lossy(&text);
    let address = address_of(address.reveal(), state, text.trim(), duration)?;
    let mut answer = ask(&address);
    if state == State::Down && answer == Answer::Accepted {
        // A monitor with one retry keeps the first to itself (PENDING).
        std::thread::sleep(PAUSE);
        answer = ask(&address);
    }
    record(settings, setting, Push { at: unix_now(), state, answer: answer.clone() });
    match answer {
        Answer::Accepted => Ok(Exit::Done),
        Answer::Refused(why) => Err(anyhow!("Uptime Kuma refused it: {why}")),
        Answer::Failed(why) => Err(anyhow!("{why}")),
    }
}

fn ask(address: &str) -> Answer {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let agent = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(25)))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .tls_config(tls)
        .user_agent(concat!("backrest-helpers/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut address = address.to_string();
    for _ in 0..=MOST_REDIRECTS {
        let mut response = match agent.get(&address).call() {
            Ok(response) => response,
            Err(error) => return answer::of_error(&error),
        };
        let status = response.status().as_u16();
        let location = response.headers().get("location").and_then(|location| location.to_str().ok());
        let Some(location) = location.filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308)) else {
            let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
            return answer::of_response(status, &body.unwrap_or_default());
        };
        let Some(next) = redirected(&address, location) else {
            return Answer::Failed("it redirects to another server, which must not get the token".into());
        };
        address = next;
    }
    Answer::Failed("it redirects without end".into())
}

/// What can't be recorded is not worth a failed push.
fn record(settings: &Settings, setting: String, push: Push) {
    let path = settings.layout().pushes();
    if path.parent().is_some_and(std::path::Path::is_dir) {
        let mut pushes = Pushes::load(&path);
        pushes.last.insert(setting, push);
        let _ = pushes.save(&path);
    }
}
