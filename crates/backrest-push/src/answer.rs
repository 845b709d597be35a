//! What came back from a push, in words that quote nothing of the address.
//!
//! An error of the HTTP library may quote the address and is never passed on: only its kind is.

use std::io;

use common::contract::push::Answer;
use common::text::escape;
use serde::Deserialize;

use crate::request::cut;

/// The body of Uptime Kuma's answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    ok: Option<bool>,
    msg: Option<String>,
}

pub(crate) fn of_response(status: u16, body: &[u8]) -> Answer {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let message = body.msg.map(|message| cut(&escape(message.as_bytes())));
    match (status, body.ok) {
        (200, Some(true)) => Answer::Accepted,
        (200 | 404, Some(false)) => Answer::Refused(message.unwrap_or_else(|| "no reason given".into())),
        (200, None) => Answer::Failed("the server that answered is not Uptime Kuma's push address".into()),
        (status, _) => {
            let message = message.map(|message| format!(": {message}")).unwrap_or_default();
            Answer::Failed(format!("HTTP status {status}{message}"))
        }
    }
}

pub(crate) fn of_error(error: &ureq::Error) -> Answer {
    Answer::Failed(match error {
        ureq::Error::Timeout(_) => "the server did not answer in time".into(),
        ureq::Error::HostNotFound => "the server's name can't be resolved".into(),
        ureq::Error::ConnectionFailed => "no connection to the server".into(),
        ureq::Error::BadUri(_) => "the push address is not well formed".into(),
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => "the server does not speak HTTP".into(),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => tls(error),
        ureq::Error::Io(error) => connection(error),
        _ => "the request failed".into(),
    })
}

fn connection(error: &io::Error) -> String {
    match (error.kind(), error.get_ref(), error.raw_os_error()) {
        (io::ErrorKind::ConnectionRefused, ..) => {
            "the server refuses the connection: is Uptime Kuma running?".into()
        }
        (io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset, ..) => {
            "the server closed the connection without an answer".into()
        }
        (io::ErrorKind::InvalidData, Some(inner), _) => tls(inner),
        (io::ErrorKind::InvalidData, None, _) => {
            "the server does not speak TLS here: http:// instead of https://?".into()
        }
        (kind, _, Some(_)) => format!("connection: {kind}"),
        // The resolver has no error number of its own.
        (_, _, None) => "the server's name can't be resolved".into(),
    }
}

/// rustls has its causes as types, ureq passes them on as text: the only place where there is nothing else to go by,
/// and only words depend on it.
fn tls(error: &(impl std::fmt::Display + ?Sized)) -> String {
    let text = error.to_string();
    let is_certificate = text.contains("certificate") || text.contains("Certificate");
    if is_certificate {
        "TLS: the server's certificate is not trusted by this host".into()
    } else if text.contains("corrupt message") || text.contains("InvalidContentType") {
        "TLS: the server does not speak TLS at this port: http:// instead of https://?".into()
    } else {
        "TLS: no agreement with the server".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uptime_kumas_own_yes_is_a_yes() {
        assert_eq!(of_response(200, br#"{"ok":true}"#), Answer::Accepted);
        let refused = of_response(404, br#"{"ok":false,"msg":"Monitor not found or not active."}"#);
        assert_eq!(refused, Answer::Refused("Monitor not found or not active.".into()));
        for (status, body) in [
            (200, b"<html>login</html>" as &[u8]),
            (200, b""),
            (502, b"bad gateway"),
            (301, br#"{"ok":true}"#),
        ] {
            assert!(matches!(of_response(status, body), Answer::Failed(_)), "{status}");
        }
    }
}
