//! `create-backrest-pipe`: puts the host's side of the bridge to Backrest's container in place, and takes it away.
//!
//! [`inspect`] looks and changes nothing; [`setup`] and [`remove`] do what is missing, step by step, printing each
//! ([`work`]), or only print it with `--dry-run`. [`hooks`] is Backrest's side, [`status`] the doctor.

mod cli;
mod crontab;
mod folder;
mod hooks;
mod init;
mod inspect;
mod listener;
mod log;
mod places;
mod record;
mod remove;
mod roots;
mod run;
mod setup;
mod start_up;
mod status;
mod task;
mod tool;
mod verify;
mod work;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::exit::main("create-backrest-pipe", run::run)
}
