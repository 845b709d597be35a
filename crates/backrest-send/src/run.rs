//! From the command line to an exit code: help, one message, or the messages of a hook.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use bridge::exit_code::ExitCode;

use crate::arguments::{self, Request};
use crate::output::{self, complain};
use crate::{script, send};

/// Does what the command line asks for; its first word is the program's own name.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let own_name = arguments.next().unwrap_or_default();
    match arguments::read(arguments, &own_name) {
        Err(why) => complain(ExitCode::Unknown, &why),
        Ok((Request::Help, _)) => print(&bridge::help::text()),
        Ok((Request::Version, _)) => print(concat!("backrest-send ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok((Request::Message(line), delivery)) => send::send(&line, &delivery),
        Ok((Request::Script(path), delivery)) => script::run_file(&path, &delivery),
        Ok((Request::StandardInput, _)) if io::stdin().is_terminal() => {
            complain(ExitCode::Unknown, "name the action; see `backrest-send --help`")
        }
        Ok((Request::StandardInput, delivery)) => script::run(io::stdin().lock(), &delivery),
    }
}

fn print(text: &str) -> ExitCode {
    output::write(text.as_bytes());
    ExitCode::Done
}
