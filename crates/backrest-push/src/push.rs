//! One push to Uptime Kuma: what is asked for, and what its answer means.
//!
//! The push address holds a token that lets anybody feed the monitor, so no error tells more of it than what kind of
//! thing went wrong: what the HTTP library says may quote the address and is not passed on.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use common::exit::{Exit, HintExt};
use common::settings::Settings;
use common::text::{escape, escape_path};
use ureq::tls::{RootCerts, TlsConfig};

use crate::cli::State;

/// Uptime Kuma keeps what it is told in a column and in a notification: a sentence, not a log.
const LONGEST_TEXT: usize = 250;
/// Longer answers than this are not Uptime Kuma's.
const LONGEST_ANSWER: u64 = 16 << 10;

/// Pushes `state` and the text on standard input once.
pub(crate) fn push(settings: &Settings, state: State) -> Result<Exit> {
    let Some(address) = &settings.push_url else {
        return Err(anyhow!("no push address"))
            .hint(format!("set UPTIME_KUMA_PUSH_URL in {}", escape_path(&settings.env_file)));
    };
    let state = match state {
        State::Up => "up",
        State::Down => "down",
    };
    let mut text = String::new();
    io::stdin().take(1 << 16).read_to_string(&mut text).context("read the text")?;
    let address = request(address.reveal(), state, text.trim())?;
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(25)))
        .http_status_as_error(false)
        .tls_config(tls)
        .user_agent(concat!("backrest-helpers/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut answer = match agent.get(address).call() {
        Ok(answer) => answer,
        Err(error) => bail!("{}", kind(&error)),
    };
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec().unwrap_or_default();
    match verdict(status, &body) {
        Ok(()) => Ok(Exit::Done),
        Err(why) => bail!("{why}"),
    }
}

/// What Uptime Kuma's answer means.
fn verdict(status: u16, body: &[u8]) -> Result<(), String> {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let said = answer["msg"].as_str().map(|said| format!(": {}", short(said)));
    match (status, answer["ok"].as_bool()) {
        (200, Some(true)) => Ok(()),
        (200, Some(false)) | (404, Some(false)) => {
            Err(format!("Uptime Kuma refused it{}", said.unwrap_or_default()))
        }
        (200, None) => Err("what answered is not Uptime Kuma's push address".into()),
        (status, _) => Err(format!("HTTP status {status}{}", said.unwrap_or_default())),
    }
}

/// The address to ask for. Whatever query the user's address has is Uptime Kuma's example and is replaced.
fn request(address: &str, state: &str, text: &str) -> Result<String> {
    let address = address.trim();
    let base = address.split(['?', '#']).next().unwrap_or(address);
    if !(base.starts_with("https://") || base.starts_with("http://")) {
        bail!("the push address does not start with https:// or http://");
    }
    if base.chars().any(|c| c.is_whitespace() || c.is_control()) {
        bail!("the push address holds a blank or a control character");
    }
    let text = if text.is_empty() { "OK" } else { text };
    Ok(format!("{base}?status={state}&msg={}&ping=", encode(&cut(text))))
}

/// What a server said, harmless and short.
fn short(said: &str) -> String {
    cut(&escape(said.as_bytes()))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

fn kind(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::HostNotFound => "the server's name is not known".into(),
        ureq::Error::ConnectionFailed => "no connection to the server".into(),
        ureq::Error::BadUri(_) => "the push address is not well formed".into(),
        ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => "it redirects without end".into(),
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => {
            "the server does not answer as a web server".into()
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => format!("TLS: {}", tls_kind(error)),
        ureq::Error::Io(error) => match error.get_ref() {
            Some(inner) if inner.to_string().contains("certificate") => {
                "TLS: the server's certificate is not trusted by this host".into()
            }
            _ => format!("connection: {}", error.kind()),
        },
        _ => "the request failed".into(),
    }
}

fn tls_kind(error: &ureq::Error) -> &'static str {
    if error.to_string().contains("certificate") {
        "the server's certificate is not trusted by this host"
    } else {
        "no agreement with the server"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_encoded_and_the_example_query_replaced() {
        let address = "https://kuma.example/api/push/T0k?status=up&msg=OK&ping=";
        let asked = request(address, "down", "50 % & more=Käse\n").unwrap();
        assert_eq!(
            asked,
            "https://kuma.example/api/push/T0k?status=down&msg=50%20%25%20%26%20more%3DK%C3%A4se%0A&ping="
        );
        assert!(request(address, "up", &"ä".repeat(9999)).unwrap().len() < 2000);
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_quoting_it() {
        for address in ["kuma.example/api/push/T0k", "https://kuma/api/push/T0 k", "ftp://T0k"] {
            let error = request(address, "up", "x").unwrap_err();
            assert!(!format!("{error:#}").contains("T0"), "{error:#}");
        }
    }

    #[test]
    fn only_uptime_kumas_own_yes_is_a_yes() {
        assert_eq!(verdict(200, br#"{"ok":true}"#), Ok(()));
        for (status, body) in [
            (404, br#"{"ok":false,"msg":"Monitor not found or not active."}"# as &[u8]),
            (200, b"<html>login</html>"),
            (200, b""),
            (502, b"bad gateway"),
            (301, br#"{"ok":true}"#),
        ] {
            assert!(verdict(status, body).is_err(), "{status}");
        }
    }
}
