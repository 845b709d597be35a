//! The command lines of the installed programs, read from the very files that the programs are built from.
//!
//! Man pages, completions and `docs/reference.md` are made of them, so they can't differ from what a program takes. It is
//! a library of its own because its files' tests would otherwise run here a second time: cargo does not test it.

#![expect(dead_code, reason = "what else the files hold is for the programs")]

use bridge::action::BuiltIn;
use clap::builder::{ArgAction, PossibleValue, PossibleValuesParser};
use clap::{Arg, Command, CommandFactory};

#[path = "../../crates/backrest-push/src/cli.rs"]
mod backrest_push;
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

/// Every installed program, sorted by name.
pub fn commands() -> Vec<Command> {
    vec![
        backrest_push::Cli::command().name("backrest-push"),
        backrest_send(),
        build_ignore::Cli::command().name("build-ignore"),
        create_backrest_pipe::Cli::command().name("create-backrest-pipe"),
        new_container::Cli::command().name("new-container"),
        pipe_listener::Cli::command().name("pipe-listener"),
        pre_backup_actions::Cli::command().name("pre-backup-actions"),
        ssh_key_setup::Cli::command().name("ssh-key-setup"),
    ]
}

/// The client reads its arguments by hand, because it has to be small: its help is what defines them.
fn backrest_send() -> Command {
    // clap keeps names for as long as the program runs.
    let text: &'static str = bridge::help::text().leak();
    let (about, _) = text.split_once('\n').unwrap_or_default();
    let (_, options) = text.split_once("\nOptions:").unwrap_or_default();
    let (options, after) = options.split_once("\n\n").unwrap_or_default();
    let actions = BuiltIn::ALL.map(|action| PossibleValue::new(action.name()).help(action.purpose()));
    let name = Arg::new("name").value_name("NAME").value_parser(PossibleValuesParser::new(actions));
    let mut command = Command::new("backrest-send")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(after.trim_end())
        .arg(name.help("The action: one of these, or the name of a file in the host's actions folder"))
        .arg(
            Arg::new("text").value_name("TEXT").num_args(0..).help("Its text; words are joined with blanks"),
        );
    // `  --name VALUE  help`, which may go on in further lines; clap adds --help and --version itself.
    for option in options.split("\n  --").skip(1) {
        let (name, help) = option.split_once("  ").unwrap_or((option, ""));
        let (help, _) = help.split_once("\n  -").unwrap_or((help, ""));
        let (name, value) = name.split_once(' ').unwrap_or((name, ""));
        let arg = Arg::new(name).long(name).help(help.split_whitespace().collect::<Vec<_>>().join(" "));
        command = command.arg(match value {
            "" => arg.action(ArgAction::SetTrue),
            value => arg.value_name(value),
        });
    }
    command
}
