//! The command lines of the installed programs, read from the very files that the programs are built from.
//!
//! Man pages, completions and `docs/reference.md` are made of them, so they can't differ from what a program takes. It is
//! a library of its own because its tests would otherwise run here a second time: cargo never builds it as a test.

#![expect(dead_code, reason = "what else the files hold is for the programs")]

use clap::builder::ArgAction;
use clap::{Arg, Command, CommandFactory};

#[path = "../../crates/build-ignore/src/cli.rs"]
pub mod build_ignore;
#[path = "../../crates/create-backrest-pipe/src/cli.rs"]
mod create_backrest_pipe;
#[path = "../../crates/new-container/src/cli.rs"]
mod new_container;
#[path = "../../crates/pipe-listener/src/cli.rs"]
mod pipe_listener;
#[path = "../../crates/pre-backup-actions/src/cli.rs"]
mod pre_backup_actions;
#[path = "../../crates/ssh-key-setup/src/cli.rs"]
mod ssh_key_setup;

/// The programs that a person runs, by name.
pub fn commands() -> Vec<Command> {
    vec![
        backrest_send(),
        build_ignore::Cli::command().name("build-ignore"),
        create_backrest_pipe::Cli::command().name("create-backrest-pipe"),
        new_container::Cli::command().name("new-container"),
        pipe_listener::Cli::command().name("pipe-listener"),
        pre_backup_actions::Cli::command().name("pre-backup-actions"),
        ssh_key_setup::Cli::command().name("ssh-key-setup"),
    ]
}

/// The client reads its arguments by hand, because it has to be small; this says the same once more, and a test
/// compares its options with the client's own help.
fn backrest_send() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("backrest-send")
        .about("Ask the host to do something, and wait until it is done")
        .arg(Arg::new("name").value_name("NAME").help("The action, one of the built-in ones or your own"))
        .arg(Arg::new("text").value_name("TEXT").num_args(0..).help("Text for the action; words are joined"))
        .arg(option("timeout", "TIME", "Give up after this time, such as 90s, 30m or 2h [default: 2h]"))
        .arg(
            Arg::new("no-wait")
                .long("no-wait")
                .action(ArgAction::SetTrue)
                .help("Exit with 0 as soon as the host has taken the message"),
        )
        .arg(option("bridge", "DIR", "The bridge folder [env: BACKREST_BRIDGE]"))
        .version(env!("CARGO_PKG_VERSION"))
}
