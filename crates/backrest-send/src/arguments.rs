//! The client's command line, read by hand, so that the client needs the standard library alone.
//!
//! Out goes what is to be sent, where and with how much patience; a word that can't be read is a message with a hint.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bridge::action::BuiltIn;
use bridge::message::{is_name, line_of, line_with_end};
use bridge::request::duration;
use bridge::{FIFO, SOCKET};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Version,
    Message(String),
    /// This is the `#!` program of that file.
    Script(PathBuf),
    /// This is the `#!` program of a hook, whose text is on standard input.
    StandardInput,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The folder with the socket.
    pub(crate) bridge: PathBuf,
    pub(crate) timeout: Duration,
    pub(crate) wait: bool,
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2 * 3600);

/// Reads the command line after `own_name`; fails with what is wrong with it.
pub(crate) fn read(
    arguments: impl Iterator<Item = OsString>,
    own_name: &OsStr,
) -> Result<(Request, Delivery), String> {
    let mut bridge = std::env::var_os("BACKREST_BRIDGE").filter(|value| !value.is_empty()).map(PathBuf::from);
    let (mut timeout, mut wait) = (DEFAULT_TIMEOUT, true);
    let mut words: Vec<OsString> = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        // Once the name is there everything belongs to the text but our own long options, as a hook has them last.
        let (flag, value) = match text.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(OsString::from(value))),
            _ => (text, None),
        };
        let mut value = || value.clone().or_else(|| arguments.next()).ok_or(format!("{flag} needs a value"));
        match flag {
            "--timeout" => timeout = time(&value()?)?,
            "--bridge" => bridge = Some(PathBuf::from(value()?)),
            "--no-wait" if text == flag => wait = false,
            "--" => {
                words.extend(arguments.by_ref());
            }
            "-h" | "--help" if words.is_empty() => return Ok((Request::Help, Delivery::default())),
            "-V" | "--version" if words.is_empty() => return Ok((Request::Version, Delivery::default())),
            _ if words.is_empty() && text.starts_with('-') => return Err(format!("unknown option {text:?}")),
            _ => words.push(argument),
        }
    }
    let request = request(&words)?;
    let bridge = bridge.unwrap_or_else(|| nearest(own_folder(own_name), std::env::var_os("HOME")));
    // We go there to connect, more than once where there is more than one message.
    let bridge = std::path::absolute(&bridge).unwrap_or(bridge);
    Ok((request, Delivery { bridge, timeout, wait }))
}

fn request(words: &[OsString]) -> Result<Request, String> {
    let Some((name, text)) = words.split_first() else { return Ok(Request::StandardInput) };
    let text = text.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    // `backrest-send "notify-up all is well"` and `backrest-send notify-up all is well` are the same.
    let known = name.to_str().unwrap_or_default();
    let (first, rest) = known.trim().split_once(char::is_whitespace).unwrap_or((known.trim(), ""));
    if is_name(first) {
        return Ok(Request::Message(line(first, &format!("{rest} {text}"))));
    }
    // The kernel runs a file whose first line names us with the file's path.
    if text.is_empty() && known.contains('/') && Path::new(known).is_file() {
        return Ok(Request::Script(PathBuf::from(known)));
    }
    Err(format!("not an action's name: {name:?}"))
}

/// The line to send, which is short enough.
pub(crate) fn line(name: &str, text: &str) -> String {
    match BuiltIn::named(name).is_some_and(BuiltIn::takes_sentence) {
        true => line_with_end(name, text),
        false => line_of(name, text),
    }
}

/// `90`, `90s`, `30m`, `2h`, `1h30m`.
fn time(text: &OsStr) -> Result<Duration, String> {
    let wrong = || format!("not a time: {text:?}; write it as 90s, 30m or 2h");
    let text = text.to_str().ok_or_else(wrong)?.trim();
    // A number without a unit counts seconds.
    let unit = if text.ends_with(|c: char| c.is_ascii_digit()) { "s" } else { "" };
    let read = duration(&format!("{text}{unit}")).filter(|_| !text.contains('.'));
    // A century is as good as for ever, and what is longer overflows the clock.
    read.filter(|time| time.as_secs() <= 100 * 366 * 86400).ok_or_else(wrong)
}

/// `own`, the folder in which this program lies, if that is a bridge; otherwise the one in the home, where it belongs.
fn nearest(own: PathBuf, home: Option<OsString>) -> PathBuf {
    let is_bridge = [SOCKET, FIFO].iter().any(|name| own.join(name).exists());
    let in_home = home.map(|home| Path::new(&home).join("containers/backrest/bridge"));
    // Beside the other tools on the host this program is in no bridge, also if there is none yet.
    match in_home.filter(|bridge| !is_bridge && (bridge.is_dir() || !own.ends_with("bridge"))) {
        Some(bridge) => bridge,
        None => own,
    }
}

/// The folder in which this program lies. Where /proc is missing, as in an empty chroot, the name that it was called
/// by matters.
fn own_folder(own_name: &OsStr) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from(own_name));
    match own.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from(bridge::MOUNT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn asked(words: &[&str]) -> Result<(Request, Delivery), String> {
        read(words.iter().map(OsString::from), OsStr::new("/bridge/backrest-send"))
    }

    #[test]
    fn options_stand_before_or_after_the_message() {
        for words in [
            &["--timeout", "90s", "--no-wait", "--bridge", "/b", "notify-up", "all", "is well"][..],
            &["notify-up", "all is well", "--timeout=1m30s", "--bridge=/b", "--no-wait"],
            &["--bridge", "/b", "--timeout", "90", "--no-wait", "--", "notify-up all is well"],
        ] {
            let delivery = Delivery { bridge: "/b".into(), timeout: Duration::from_secs(90), wait: false };
            let request = Request::Message("notify-up all is well".into());
            assert_eq!(asked(words), Ok((request, delivery)), "{words:?}");
        }
    }

    #[test]
    fn the_bridge_of_the_home_is_taken_where_none_lies_beside() {
        let folder = tempfile::tempdir().unwrap();
        let (bin, home) = (folder.path().join("bin"), folder.path().join("home"));
        let bridge = home.join("containers/backrest/bridge");
        std::fs::create_dir_all(&bin).unwrap();
        let mounted = folder.path().join("mounted/bridge");
        assert_eq!(nearest(mounted.clone(), Some(home.clone().into())), mounted, "as in a container");
        assert_eq!(nearest(bin.clone(), Some(home.clone().into())), bridge, "none is there yet");
        assert_eq!(nearest(bin.clone(), None), bin);
        std::fs::create_dir_all(&bridge).unwrap();
        assert_eq!(nearest(bin.clone(), Some(home.clone().into())), bridge);
        std::fs::write(bin.join(SOCKET), "").unwrap();
        assert_eq!(nearest(bin.clone(), Some(home.into())), bin);
    }

    #[test]
    fn without_a_name_standard_input_is_the_message_and_a_dash_in_a_text_is_text() {
        assert_eq!(asked(&["--timeout", "2h"]).unwrap().0, Request::StandardInput);
        let request = asked(&["notify-down", "-1", "-x"]).unwrap().0;
        assert_eq!(request, Request::Message("notify-down -1 -x".into()));
    }

    #[test]
    fn every_mistake_is_reported() {
        for words in ["--timeout", "--timeout soon", "--timeout=", "-x", "Ping", "../x", ""] {
            assert!(asked(&words.split(' ').collect::<Vec<_>>()).is_err(), "{words:?}");
        }
    }

    #[test]
    fn times() {
        for (text, seconds) in [("0", 0), ("90", 90), ("2h", 7200), ("1h30m5", 5405), ("1d", 86400)] {
            assert_eq!(time(OsStr::new(text)), Ok(Duration::from_secs(seconds)));
        }
        for text in ["99999999999999999999", "99999999999d", "h", "1x", "-1", "1.5h"] {
            assert!(time(OsStr::new(text)).is_err(), "{text}");
        }
    }
}
