//! A hook that is nothing but messages: its first line is `#!/bridge/backrest-send`.
//!
//! Each line is a message; blank lines and those that start with `#` are passed over. The first that fails ends it,
//! with that message's exit code.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use bridge::action::BuiltIn;
use bridge::exit_code::ExitCode;
use bridge::message::LONGEST;

use crate::arguments::{Delivery, line as message_line};
use crate::output::complain;
use crate::send;

/// A longer line is not sent. That of a notification may be longer than a message and is shortened.
const LONGEST_SENTENCE: u64 = 256 << 10;

pub(crate) fn run_file(path: &Path, delivery: &Delivery) -> ExitCode {
    match File::open(path) {
        Ok(file) => run(BufReader::new(file), delivery),
        Err(error) => complain(ExitCode::Unknown, &format!("read {}: {error}", path.display())),
    }
}

/// Sends the lines of `input`. None is sent in part: what follows would be taken for a message of its own.
pub(crate) fn run(mut input: impl BufRead, delivery: &Delivery) -> ExitCode {
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without end must not fill the memory.
        let most = LONGEST_SENTENCE;
        match std::io::Read::take(&mut input, most).read_until(b'\n', &mut line) {
            Ok(0) => return ExitCode::Done,
            Ok(_) => {}
            Err(error) => return complain(ExitCode::Unknown, &format!("read the messages: {error}")),
        }
        let text = line.trim_ascii();
        let is_cut = line.len() as u64 == most && !line.ends_with(b"\n");
        if text.starts_with(b"#") {
            // The rest of a comment is no message.
            match if is_cut { input.skip_until(b'\n') } else { Ok(0) } {
                Ok(_) => continue,
                Err(error) => return complain(ExitCode::Unknown, &format!("read the messages: {error}")),
            }
        }
        if is_cut {
            return complain(ExitCode::Unknown, "a line is longer than a message may be");
        }
        if text.is_empty() {
            continue;
        }
        let Ok(text) = std::str::from_utf8(text) else {
            return complain(ExitCode::Unknown, "a message is not UTF-8");
        };
        let mut text = text.to_string();
        if text.len() > LONGEST {
            let (name, sentence) = text.split_once([' ', '\t']).unwrap_or((&text, ""));
            if !BuiltIn::named(name).is_some_and(BuiltIn::takes_sentence) {
                return complain(ExitCode::Unknown, "a line is longer than a message may be");
            }
            text = message_line(name, sentence);
        }
        match send::send(&text, delivery) {
            ExitCode::Done => {}
            code => return code,
        }
    }
}
