//! The text of the messages that take more than a sentence: options first, then services or a sentence.
//!
//! `pre-backups --failure-cancels --key home/nightly immich wiki*`
//! `post-backups --key home/nightly`
//! `notify-up --plan nightly --duration 12m3s 1,204 files`
//!
//! `create-backrest-pipe` writes these texts into hooks, the listener reads them. In a hook a value may be a Go template
//! (`{{ urlquery .Plan.Id }}`), which counts as one word although it holds blanks.

use std::fmt;
use std::time::Duration;

/// What `pre-backups` and `post-backups` are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preparation {
    /// The hook has `ON_ERROR_CANCEL`: if the preparation fails, there is no backup, and it is undone at once.
    pub failure_cancels: bool,
    /// Whose preparation it is: `INSTANCE/PLAN` or `PLAN`, percent-encoded. One word, compared as it is.
    pub key: Option<String>,
    /// Services and globs; empty for all of them.
    pub services: Vec<String>,
}

/// What `notify-up` and `notify-down` are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// The plan's id as it was sent, percent-encoded.
    pub plan: Option<String>,
    /// How long the backup took.
    pub duration: Option<Duration>,
    /// When it was left in the FIFO because no listener was running, in seconds since 1970.
    pub sent: Option<u64>,
    /// It reports that a preparation failed: what a hook reports of that backup next is the same failure.
    pub preparation_failed: bool,
    /// The sentence; may be empty.
    pub text: String,
}

/// Why a text can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has an option that the message does not take.
    Unknown(String),
    /// An option comes without its value.
    NoValue(&'static str),
}

/// A sentence of at most this many characters is pushed as it is; of a longer one only the part that explains it.
pub const SHORT: usize = 120;

const FAILURE_CANCELS: &str = "--failure-cancels";
const KEY: &str = "--key";
const PLAN: &str = "--plan";
const DURATION: &str = "--duration";
const SENT: &str = "--sent";
const PREPARATION_FAILED: &str = "--preparation-failed";

impl Preparation {
    /// Reads the text of a message.
    pub fn parse(text: &str) -> Result<Preparation, Fault> {
        let mut preparation = Preparation::default();
        let mut rest = text;
        while let Some((word, after)) = next_word(rest) {
            rest = after;
            match split_option(word) {
                (FAILURE_CANCELS, None) => preparation.failure_cancels = true,
                (KEY, value) => {
                    let value = option_value(value, &mut rest).ok_or(Fault::NoValue(KEY))?;
                    preparation.key = Some(value.to_string());
                }
                _ if word.starts_with('-') => return Err(Fault::Unknown(word.to_string())),
                _ => preparation.services.push(word.to_string()),
            }
        }
        Ok(preparation)
    }

    /// The plan's id, decoded, if the key names one.
    pub fn plan(&self) -> Option<String> {
        let key = self.key.as_deref()?;
        Some(decode(key.rsplit_once('/').map_or(key, |(_, plan)| plan)))
    }

    /// The text that [`Preparation::parse`] reads back.
    pub fn to_text(&self) -> String {
        let mut words = Vec::new();
        if self.failure_cancels {
            words.push(FAILURE_CANCELS);
        }
        if let Some(key) = &self.key {
            words.extend([KEY, key]);
        }
        words.extend(self.services.iter().map(String::as_str));
        words.join(" ")
    }
}

impl Notification {
    /// Reads the text of a message. A sentence may begin with anything: only the options that are known are taken off
    /// its beginning, and a duration that can't be read is left out.
    pub fn parse(text: &str) -> Notification {
        let mut notification = Notification { text: text.trim().to_string(), ..Notification::default() };
        let mut rest = text;
        while let Some((word, after)) = next_word(rest) {
            rest = after;
            let (option, value) = split_option(word);
            match option {
                PLAN => notification.plan = option_value(value, &mut rest).map(str::to_string),
                DURATION => notification.duration = option_value(value, &mut rest).and_then(duration),
                SENT => {
                    notification.sent = option_value(value, &mut rest).and_then(|value| value.parse().ok());
                }
                PREPARATION_FAILED if value.is_none() => notification.preparation_failed = true,
                _ => break,
            }
            notification.text = rest.trim().to_string();
        }
        notification
    }

    /// The plan's id, decoded.
    pub fn plan(&self) -> Option<String> {
        self.plan.as_deref().map(decode)
    }

    /// The text that [`Notification::parse`] reads back; `duration` is written in seconds.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(plan) = &self.plan {
            text = format!("{PLAN} {plan} ");
        }
        if let Some(duration) = self.duration {
            text += &format!("{DURATION} {}s ", duration.as_secs_f64());
        }
        if let Some(sent) = self.sent {
            text += &format!("{SENT} {sent} ");
        }
        if self.preparation_failed {
            text += PREPARATION_FAILED;
            text.push(' ');
        }
        format!("{text}{}", self.text).trim_end().to_string()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unknown(option) => write!(f, "unknown option {option}"),
            Fault::NoValue(option) => write!(f, "{option} needs a value"),
        }
    }
}

impl std::error::Error for Fault {}

/// The first word and what follows it. A template `{{ … }}` is part of its word.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (mut at, mut is_template) = (0, false);
    while let Some(c) = text[at..].chars().next() {
        let mark = &text[at..];
        if mark.starts_with("{{") {
            is_template = mark.contains("}}");
        } else if mark.starts_with("}}") {
            is_template = false;
        }
        if c.is_whitespace() && !is_template {
            break;
        }
        at += c.len_utf8();
    }
    (at > 0).then(|| text.split_at(at))
}

/// `--name=value`, or the word alone.
fn split_option(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => (option, Some(value)),
        _ => (word, None),
    }
}

/// The value that came with an option, or the next word.
fn option_value<'a>(value: Option<&'a str>, rest: &mut &'a str) -> Option<&'a str> {
    if value.is_some() {
        return value.filter(|value| !value.is_empty());
    }
    let (word, after) = next_word(rest)?;
    *rest = after;
    Some(word)
}

/// Percent-decoding as for a query (`+` is a blank), since that is what Go's `urlquery` writes.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encoding that [`decode`] takes back: one word whatever is in `text`.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// `12m3.5s`, as Go prints a duration; also `1h0m0s`, `250ms`, `90s` and, as people write it, `1d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        total += number
            * match &rest[digits..unit] {
                "d" => 86400.0,
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(total).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preparation_is_read_back_as_it_was_written() {
        for (text, failure_cancels, key, services) in [
            ("", false, None, vec![]),
            ("immich wiki*", false, None, vec!["immich", "wiki*"]),
            ("--failure-cancels --key home/nightly", true, Some("home/nightly"), vec![]),
            (
                "--key home/{{ urlquery .Plan.Id }} immich",
                false,
                Some("home/{{ urlquery .Plan.Id }}"),
                vec!["immich"],
            ),
        ] {
            let read = Preparation::parse(text).unwrap();
            let services = services.into_iter().map(String::from).collect();
            assert_eq!(read, Preparation { failure_cancels, key: key.map(String::from), services });
            assert_eq!(read.to_text(), text);
        }
        assert_eq!(Preparation::parse("--key=home/a").unwrap().key.as_deref(), Some("home/a"));
        assert_eq!(Preparation::parse("--kye home/a"), Err(Fault::Unknown("--kye".into())));
        assert_eq!(Preparation::parse("immich --key"), Err(Fault::NoValue(KEY)));
    }

    #[test]
    fn a_plan_id_arrives_with_all_its_characters() {
        let key = Some("my+home/a%2Fb+%22c%22+%E2%82%AC".to_string());
        assert_eq!(Preparation { key, ..Preparation::default() }.plan().unwrap(), "a/b \"c\" €");
        for plan in ["a/b \"c\" €+%", "50% {{x}} +ü", "nightly"] {
            let word = encode(plan);
            assert!(!word.contains([' ', '{']) && decode(&word) == plan, "{word}");
        }
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn a_notification_keeps_its_sentence() {
        let read = Notification::parse("--plan nightly --duration 12m3.5s 5 files, --all is well");
        assert_eq!(read.plan.as_deref(), Some("nightly"));
        assert_eq!(read.duration, Some(Duration::from_millis(723_500)));
        assert_eq!(read.text, "5 files, --all is well");
        assert_eq!(Notification::parse(&read.to_text()), read);
        for text in ["", "all is well", "--dry-run was used", "a --plan b"] {
            assert_eq!(
                Notification::parse(text),
                Notification { text: text.into(), ..Notification::default() }
            );
        }
        assert_eq!(Notification::parse("--duration soon x").text, "x");
        let read = Notification::parse("--plan a --sent 1764318000 --preparation-failed no room");
        assert_eq!(
            (read.sent, read.preparation_failed, read.text.as_str()),
            (Some(1_764_318_000), true, "no room")
        );
        assert_eq!(Notification::parse(&read.to_text()), read);
    }

    #[test]
    fn durations_are_those_that_go_prints() {
        for (text, milliseconds) in
            [("0s", 0), ("1h0m0s", 3_600_000), ("250ms", 250), ("90s", 90_000), ("1.5µs", 0)]
        {
            assert_eq!(duration(text).unwrap().as_millis(), milliseconds, "{text}");
        }
        for text in ["", "5", "s", "1x", "-1s", "1.2.3s", "99999999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
