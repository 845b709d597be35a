//! What went wrong on the way to a server, by the words that `ssh` and `sftp` use for it, and what to do about it.
//!
//! The words are OpenSSH's own and untranslated; they are matched from the most specific to the least, because one
//! failure often draws others after it ("Connection closed" follows nearly everything).

use std::error::Error as StdError;
use std::fmt;

pub(crate) use common::exit::with_hint as hinted;
use common::process::End;
use common::text::escape;

/// One way to fail; its words are below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NameNotResolved,
    NoRoute,
    Refused,
    NoAnswer,
    HostKeyChanged,
    HostKeyRevoked,
    HostKeyUnknown,
    NotAccepted,
    SecondFactor,
    JumpRefused,
    NoCommonAlgorithm,
    NoSftp,
    NotClean,
    Lost,
    Interrupted,
    Other,
}

/// Whose key logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Yours,
    Folder,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// What to do about it, if more is known than the kind.
    pub(crate) cure: Option<String>,
}

/// Phrases of OpenSSH, the most specific first.
const PHRASES: &[(&str, Kind)] = &[
    ("marked as revoked", Kind::HostKeyRevoked),
    ("REVOKED HOST KEY", Kind::HostKeyRevoked),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", Kind::HostKeyChanged),
    ("host key is known for", Kind::HostKeyUnknown),
    ("Host key verification failed", Kind::HostKeyUnknown),
    ("Could not resolve hostname", Kind::NameNotResolved),
    ("Name or service not known", Kind::NameNotResolved),
    ("stdio forwarding failed", Kind::JumpRefused),
    ("unknown channel type", Kind::JumpRefused),
    ("No route to host", Kind::NoRoute),
    ("Network is unreachable", Kind::NoRoute),
    ("Connection refused", Kind::Refused),
    ("Unable to negotiate", Kind::NoCommonAlgorithm),
    ("Permission denied (", Kind::NotAccepted),
    ("Too many authentication failures", Kind::NotAccepted),
    ("Permission denied, please try again", Kind::NotAccepted),
    ("timed out", Kind::NoAnswer),
    ("Timeout, server", Kind::NoAnswer),
    ("subsystem request failed", Kind::NoSftp),
    ("Received message too long", Kind::NotClean),
    ("Not allowed at this time", Kind::Lost),
    ("Connection closed", Kind::Lost),
    ("Connection reset", Kind::Lost),
    ("Connection to", Kind::Lost),
    ("Broken pipe", Kind::Lost),
    ("kex_exchange_identification", Kind::Lost),
];

/// What the words of an `ssh` that ended so mean.
pub(crate) fn of_ssh(stderr: &[u8], end: End) -> Failure {
    // Debug lines report attempts that may not matter.
    let text = String::from_utf8_lossy(stderr);
    let text: String =
        text.lines().filter(|line| !line.starts_with("debug")).map(|line| format!("{line}\n")).collect();
    let by_phrase = || PHRASES.iter().find(|(phrase, _)| text.contains(phrase)).copied();
    let (phrase, kind) = match end {
        End::TimedOut => ("", Kind::NoAnswer),
        End::Cancelled => ("", Kind::Interrupted),
        _ => by_phrase().unwrap_or(("", Kind::Other)),
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = match phrase {
        "" => lines.next_back(),
        _ => lines.find(|line| line.contains(phrase)),
    };
    let message = match line {
        Some(line) if kind == Kind::NotClean => {
            escape(greeting(&text, line).unwrap_or_else(|| line.to_owned()).as_bytes())
        }
        Some(line) => escape(line.trim_matches('@').trim().as_bytes()),
        // The kind says it.
        None if matches!(end, End::TimedOut | End::Cancelled) => String::new(),
        None => end.to_string(),
    };
    Failure { kind, message, cure: None }
}

/// What a server printed in place of SFTP: sftp reads its first four bytes as a length, and at times prints the rest
/// among its own lines.
fn greeting(text: &str, line: &str) -> Option<String> {
    let first = line.split_once("too long ")?.1.parse::<u32>().ok()?.to_be_bytes();
    let first = std::str::from_utf8(&first).ok()?.trim();
    if first.is_empty() || first.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let quoted = text.lines().map(str::trim).find(|other| other.contains(first) && *other != line);
    Some(format!("it starts with \"{}\"", quoted.unwrap_or(first)))
}

impl Failure {
    /// The error about `host`, with what to do. Its kind can be had back with [`kind_of`].
    pub(crate) fn about(&self, host: &str, login: Login) -> anyhow::Error {
        let what = format!("connect: {}: {}", escape(host.as_bytes()), self.kind);
        let what = if self.message.is_empty() { what } else { format!("{what}: {}", self.message) };
        hinted(
            anyhow::Error::new(self.kind).context(what),
            self.cure.clone().unwrap_or_else(|| self.usual_cure(host, login)),
        )
    }

    fn usual_cure(&self, host: &str, login: Login) -> String {
        let host = escape(host.as_bytes());
        match self.kind {
            Kind::NameNotResolved => format!("check the name, and HostName in ~/.ssh/config: ssh -G {host}"),
            Kind::NoRoute => "check the network, and whether a VPN (Tailscale) has to be up first".into(),
            Kind::Refused => "check that sshd runs there and on which port; another one: --port".into(),
            Kind::NoAnswer => format!("see where it stops: ssh -v {host}; a firewall may drop the packets"),
            Kind::HostKeyChanged | Kind::HostKeyUnknown => format!(
                "find out why; only if the server was set up anew: ssh-keygen -R {host}, ssh {host}, then run this again"
            ),
            Kind::HostKeyRevoked => "do not connect; ask the server's administrator".into(),
            Kind::NotAccepted => match login {
                Login::Yours => {
                    format!(
                        "make sure that `ssh {host}` lets you in; --identity and --user choose key and account; if that used to \
                         work, sshd may shut the account out (AllowUsers, AllowGroups, a locked account)"
                    )
                }
                Login::Folder => "run ssh-key-setup with this host to put the key on the server again".into(),
            },
            Kind::SecondFactor => {
                "a backup can't answer that: have the server take the key alone for this account \
                 (Match User …, AuthenticationMethods publickey)".into()
            }
            Kind::JumpRefused => {
                "allow it there: AllowTcpForwarding yes, and PermitOpen for this address".into()
            }
            Kind::NoCommonAlgorithm => {
                "the server is too old for this ssh, or the other way round; update one".into()
            }
            Kind::NoSftp => {
                "put into the server's sshd_config: Subsystem sftp internal-sftp, and reload sshd".into()
            }
            Kind::NotClean => {
                "a start file of the account's shell (.bashrc) has to be silent, and a forced command has to be SFTP".into()
            }
            Kind::Lost | Kind::Other => {
                format!("see where it stops: ssh -v {host}; look for the reason in the server's own log")
            }
            Kind::Interrupted => "run it again; what was done stays done".into(),
        }
    }
}

impl StdError for Kind {}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::NameNotResolved => "the name has no address",
            Kind::NoRoute => "there is no route to it",
            Kind::Refused => "nothing listens on that port",
            Kind::NoAnswer => "it does not answer in time",
            Kind::HostKeyChanged => "its host key is not the trusted one",
            Kind::HostKeyRevoked => "its host key was revoked",
            Kind::HostKeyUnknown => "its host key is not trusted",
            Kind::NotAccepted => "the key is not accepted",
            Kind::SecondFactor => "the key alone is not enough: the server wants a second factor",
            Kind::JumpRefused => "the jump host does not pass the connection on",
            Kind::NoCommonAlgorithm => "client and server have no algorithm in common",
            Kind::NoSftp => "it has no SFTP subsystem",
            Kind::NotClean => "something prints text into the SFTP session",
            Kind::Lost => "the connection was lost half-way",
            Kind::Interrupted => "interrupted",
            Kind::Other => "it failed",
        })
    }
}

/// The kind of an error that came from [`Failure::about`].
pub(crate) fn kind_of(error: &anyhow::Error) -> Option<Kind> {
    error.chain().find_map(|cause| cause.downcast_ref::<Kind>()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_words_win() {
        for (stderr, kind) in [
            ("ssh: Could not resolve hostname nas: Name or service not known", Kind::NameNotResolved),
            ("ssh: connect to host 10.0.0.9 port 22: No route to host", Kind::NoRoute),
            ("ssh: connect to host ::1 port 1: Connection refused\nConnection closed", Kind::Refused),
            ("Connection timed out during banner exchange\nConnection closed", Kind::NoAnswer),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                Kind::HostKeyChanged,
            ),
            ("No RSA host key is known for x and you have requested strict checking.", Kind::HostKeyUnknown),
            ("me@nas: Permission denied (publickey).\r\nConnection closed", Kind::NotAccepted),
            ("subsystem request failed on channel 0\nConnection closed", Kind::NoSftp),
            (
                "channel 0: open failed\nstdio forwarding failed\nConnection closed by UNKNOWN",
                Kind::JumpRefused,
            ),
            (
                "channel 0: open failed: unknown channel type: Unsupported channel type requested",
                Kind::JumpRefused,
            ),
            ("something else", Kind::Other),
        ] {
            assert_eq!(of_ssh(stderr.as_bytes(), End::Exited(255)).kind, kind, "{stderr}");
        }
        assert_eq!(of_ssh(b"x", End::TimedOut).kind, Kind::NoAnswer);
    }

    #[test]
    fn a_greeting_in_the_place_of_sftp_is_decoded() {
        for (stderr, quoted) in [
            ("Received message too long 1416128883\nEnsure the remote shell", "it starts with \"This\""),
            ("Received message too long 1349281121", "it starts with \"Plea\""),
            ("Please log in as debian\nReceived message too long 1349281121", "\"Please log in as debian\""),
            ("Received message too long 1198703548\nEnsure the remote shell", "it starts with \"Grü\""),
            ("Received message too long 218762506\nEnsure the remote shell", "too long 218762506"),
            ("Received message too long 2147483648", "too long 2147483648"),
        ] {
            let failure = of_ssh(stderr.as_bytes(), End::Exited(255));
            assert!(
                failure.kind == Kind::NotClean && failure.message.contains(quoted),
                "{}",
                failure.message
            );
        }
    }
}
