//! The addresses that a push asks for: Uptime Kuma's own, and those that a server in front of it redirects to.
//!
//! The address holds a token that lets anyone feed the monitor, so it is followed only to the same server, and no error
//! quotes any of it.

use std::time::Duration;

use anyhow::{Result, bail};
use common::contract::push::State;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

/// Uptime Kuma keeps the text in a column and in a notification: a sentence, not a log.
const LONGEST_TEXT: usize = 250;
/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address to ask for. Whatever query the user's address has is Uptime Kuma's example and is replaced.
pub(crate) fn address_of(address: &str, state: State, text: &str, took: Option<Duration>) -> Result<String> {
    let address = address.trim();
    let base = address.split(['?', '#']).next().unwrap_or(address);
    if !(base.starts_with("https://") || base.starts_with("http://")) {
        bail!("the push address does not start with https:// or http://");
    }
    if base.chars().any(|c| c.is_whitespace() || c.is_control()) {
        bail!("the push address holds a blank or a control character");
    }
    let (state, default) = match state {
        State::Up => ("up", "OK"),
        State::Down => ("down", "failed, no reason given"),
    };
    let text = if text.is_empty() { default.to_string() } else { cut(text) };
    let ping = took.map(|took| took.as_millis().to_string()).unwrap_or_default();
    Ok(format!("{base}?status={state}&msg={}&ping={ping}", utf8_percent_encode(&text, RESERVED)))
}

/// Where a redirect of `address` to `location` leads, if that is the same server: same host and port, or the same host
/// from http to https.
pub(crate) fn redirected(address: &str, location: &str) -> Option<String> {
    let from: Uri = address.parse().ok()?;
    let authority = from.authority()?;
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(format!("{}://{authority}{location}", from.scheme_str()?));
    }
    let to: Uri = location.parse().ok()?;
    let (old_scheme, old_host, old_port) = origin(&from)?;
    let (new_scheme, new_host, new_port) = origin(&to)?;
    let is_same = (old_scheme, old_port) == (new_scheme, new_port);
    let is_upgrade = old_scheme == "http" && new_scheme == "https";
    (old_host == new_host && (is_same || is_upgrade)).then(|| location.to_string())
}

fn origin(address: &Uri) -> Option<(&str, String, u16)> {
    let scheme = address.scheme_str()?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    Some((scheme, address.host()?.to_ascii_lowercase(), address.port_u16().unwrap_or(default)))
}

pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "https://kuma.example/api/push/T0k?status=up&msg=OK&ping=";

    #[test]
    fn the_text_is_encoded_and_the_example_query_replaced() {
        let asked = address_of(ADDRESS, State::Down, "50 % & more=Käse\n", None).unwrap();
        assert_eq!(
            asked,
            "https://kuma.example/api/push/T0k?status=down&msg=50%20%25%20%26%20more%3DK%C3%A4se%0A&ping="
        );
        assert!(address_of(ADDRESS, State::Up, &"ä".repeat(9999), None).unwrap().len() < 2000);
        let asked = address_of(ADDRESS, State::Up, "", Some(Duration::from_millis(1500))).unwrap();
        assert!(asked.ends_with("?status=up&msg=OK&ping=1500"), "{asked}");
        assert!(!address_of(ADDRESS, State::Down, "", None).unwrap().contains("OK"));
    }

    #[test]
    fn an_address_that_is_not_one_is_refused_without_quoting_it() {
        for address in ["kuma.example/api/push/T0k", "https://kuma/api/push/T0 k", "ftp://T0k"] {
            let error = address_of(address, State::Up, "x", None).unwrap_err();
            assert!(!format!("{error:#}").contains("T0"), "{error:#}");
        }
    }

    #[test]
    fn the_token_goes_to_the_same_server_only() {
        let from = "http://kuma.example:3001/api/push/T0k?status=up";
        for (location, leads_to) in [
            ("/kuma/api/push/T0k", Some("http://kuma.example:3001/kuma/api/push/T0k")),
            ("http://KUMA.example:3001/x", Some("http://KUMA.example:3001/x")),
            ("https://kuma.example/x", Some("https://kuma.example/x")),
            ("http://kuma.example/x", None),
            ("//evil.example/x", None),
            ("https://evil.example/x", None),
            ("https://kuma.example@evil.example/x", None),
            ("https://kuma.example.evil.example/x", None),
            ("https://evil.example\\@kuma.example/x", None),
            ("x", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(redirected(from, location).as_deref(), leads_to, "{location}");
        }
        assert_eq!(redirected("https://kuma.example/x", "http://kuma.example/x"), None);
        assert_eq!(
            redirected("https://[::1]/x", "https://[::1]:443/y").as_deref(),
            Some("https://[::1]:443/y")
        );
    }
}
