//! `backrest-push`: one push to Uptime Kuma, in a process of its own.
//!
//! The listener runs it for each try, so that it never holds a TLS library's memory itself. The text comes on
//! standard input and the push address from the settings: neither is an argument that others could read.

mod answer;
mod cli;
mod push;
mod request;

use std::process::ExitCode;

use anyhow::Result;
use common::exit::Exit;
use common::settings::Settings;

use push::Request;

fn main() -> ExitCode {
    common::exit::main("backrest-push", run)
}

fn run(cli: &cli::Cli) -> Result<Exit> {
    let settings = Settings::load(&cli.flags, None, None)?;
    push::push(&settings, Request::resolve(cli, &settings)?)
}
