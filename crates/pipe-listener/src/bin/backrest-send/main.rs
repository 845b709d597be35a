//! `backrest-send`, the container's end of the bridge: sends a message to the host and waits for what comes of it.
//!
//! One static file without anything beside the standard library. It never waits without an end, never reads standard
//! input unless that is all it was given, and its exit code says what happened (see [`pipe_listener::frame`]).

mod arguments;
mod script;
mod send;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use arguments::{Asked, What};
use pipe_listener::frame::{DONE, UNKNOWN};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let own_name = arguments.next().unwrap_or_default();
    let asked = arguments::read(arguments, &own_name);
    let code = match asked {
        Err(why) => complain(&why),
        Ok(Asked { what: What::Help, .. }) => print(arguments::HELP),
        Ok(Asked { what: What::Version, .. }) => {
            print(concat!("backrest-send ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        Ok(Asked { what: What::Message(line), how }) => send::send(&line, &how),
        Ok(Asked { what: What::Script(path), how }) => script::run_file(&path, &how),
        Ok(Asked { what: What::StandardInput, .. }) if io::stdin().is_terminal() => {
            complain("name the action; `backrest-send --help` tells more")
        }
        Ok(Asked { what: What::StandardInput, how }) => script::run(io::stdin().lock(), &how),
    };
    ExitCode::from(code)
}

fn print(text: &str) -> u8 {
    // Nobody reads it: then nobody misses it.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    DONE
}

fn complain(why: &str) -> u8 {
    let _ = writeln!(io::stderr().lock(), "backrest-send: {why}");
    UNKNOWN
}
