//! The command line, and nothing else, in the words that `--help` shows.
//!
//! Nothing named means: put everything in place.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use common::settings::Flags;
use serde::{Deserialize, Serialize};

/// Where Backrest has its web page unless it was moved.
pub(crate) const LOCAL_PAGE: &str = "http://localhost:9898";

const EXAMPLES: &str = "\
Example:
  create-backrest-pipe            set up what is missing
  create-backrest-pipe status     show what is wrong, if anything
  create-backrest-pipe hooks      print the hooks for Backrest
  create-backrest-pipe remove     remove it again

This creates, in Backrest's container folder:
  bridge/                 the folder to mount in the container at /bridge
  bridge/backrest-pipe    the FIFO: each line is a message for the host
  bridge/backrest-send    the client that hooks call; it waits for the answer
  backrest-pipe           a link to the FIFO, for compose files that mount it
and a running pipe-listener, which a line in your crontab starts again after a reboot.";

const HOOKS_EXAMPLES: &str = "\
Example:
  create-backrest-pipe hooks                      print them
  create-backrest-pipe hooks --apply http://localhost:9898 --plan nightly
  create-backrest-pipe hooks --apply http://nas:9898/#/plan/nightly --user me
  create-backrest-pipe hooks --apply http://nas:9898 --plan nightly --remove";

const INIT_HELP: &str = "\
It finds your services in ~/containers and ~/data, or in a folder for both such as /opt/stacks, shows everything it would \
do, and asks once. Existing files stay as they are; a second run has nothing to do.";

const VERIFY_EXAMPLES: &str = "\
Example:
  create-backrest-pipe verify --plan nightly
  create-backrest-pipe verify --backrest http://nas:9898 --user me --notify

The exit code is 1 if a difference is not explained.";

const STATUS_HELP: &str = "\
A line starts with ✓ if all is well, with ✗ if something is wrong, with · if it is only worth knowing, and with ? \
if it could not be checked. The exit code is 1 if something is wrong.";

/// Set up the bridge between Backrest's container and this host
#[derive(Debug, Parser)]
#[command(name = "create-backrest-pipe", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// What starts the listener after a reboot [default: the previous choice, initially cron]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) supervisor: Option<Supervisor>,
    /// Show what would be done and do nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What starts the listener after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Supervisor {
    /// A line in your crontab
    Cron,
    /// A user unit, which also restarts it if it stops
    Systemd,
    /// Nothing; you start pipe-listener yourself
    None,
}

/// The subcommands; without one, everything that is missing is set up.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set up a new Backrest: folders, compose.yaml, .env, bridge and listener
    #[command(after_help = INIT_HELP)]
    Init(InitArguments),
    /// Print the hooks and the backup flag for Backrest, or put them into a running one
    #[command(after_help = HOOKS_EXAMPLES, mut_arg("user", |user| user.requires("apply")))]
    Hooks(HooksArguments),
    /// Check everything that a backup needs and show how to fix what is wrong
    #[command(after_help = STATUS_HELP, mut_arg("user", |user| user.requires("backrest")))]
    Status(StatusArguments),
    /// Prove the last backup: compare its listing with this host, read the dumps and a sample of files back
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArguments),
    /// Show the last lines of the listener's log
    Log {
        /// Number of lines to show
        #[arg(long, value_name = "N", default_value_t = 20)]
        lines: usize,
    },
    /// Stop the listener and remove what create-backrest-pipe set up
    Remove,
}

#[derive(Args, Debug)]
pub(crate) struct InitArguments {
    /// Do it without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// What starts the listener after a reboot [default: the previous choice, initially cron]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) supervisor: Option<Supervisor>,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask the Backrest whose web page is at this address for its plans [default: read its config.json]
    #[arg(long, value_name = "URL")]
    pub(crate) backrest: Option<String>,
    #[command(flatten)]
    pub(crate) login: Login,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    /// Ask the Backrest whose web page is at this address
    #[arg(long, value_name = "URL", default_value = LOCAL_PAGE)]
    pub(crate) backrest: String,
    /// Its plan [default: the plan that the address shows, or the only one]
    #[arg(long, value_name = "ID")]
    pub(crate) plan: Option<String>,
    #[command(flatten)]
    pub(crate) login: Login,
    /// Read this many files back and compare them with the host's
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) sample: usize,
    /// Repeat the sample of an earlier run, which printed this number with --json
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Leave files larger than this out of the sample
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub(crate) largest: u64,
    /// Wait this long while Backrest is busy
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) wait: Duration,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Duration,
    /// Push the result to Uptime Kuma
    #[arg(long)]
    pub(crate) notify: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who logs in to Backrest.
#[derive(Args, Debug)]
pub(crate) struct Login {
    /// Log in as this user; the password is taken from --password-file, from BACKREST_PASSWORD, or asked for
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Take the password from a file
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct HooksArguments {
    /// Put them into the Backrest whose web page is at this address, after showing the difference
    #[arg(long, value_name = "URL")]
    pub(crate) apply: Option<String>,
    /// Plan of that Backrest [default: the plan that the address shows, or the only one]
    #[arg(long, value_name = "ID", requires = "apply")]
    pub(crate) plan: Option<String>,
    /// Prepare these services only (can be repeated; names and globs; '*' for all) [default: the previous choice, initially all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = service)]
    pub(crate) services: Vec<String>,
    /// Replace hooks of the old scripts, which write to backrest-pipe
    #[arg(long, requires = "apply")]
    pub(crate) replace_old: bool,
    /// Wait this long for Backrest to start
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) wait: Duration,
    /// Remove them from that Backrest
    #[arg(long, requires = "apply")]
    pub(crate) remove: bool,
    /// Apply the changes without asking
    #[arg(long, requires = "apply")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) login: Login,
    /// Bring Tailscale up before, and down after [default: yes if the program tailscale is installed]
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub(crate) tailscale: Option<bool>,
    /// Push the result to Uptime Kuma [default: yes if UPTIME_KUMA_PUSH_URL is set]
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub(crate) notify: Option<bool>,
}

fn yes_or_no(word: &str) -> Result<bool, &'static str> {
    match word {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected yes or no"),
    }
}

/// A service's name or a glob, as one word of a message.
fn service(word: &str) -> Result<String, &'static str> {
    let is_word = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control());
    if !is_word || word.starts_with('-') || word.contains("{{") {
        return Err("expected the name of a service, or a glob");
    }
    Ok(word.into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_teaches() {
        insta::assert_snapshot!(Cli::command().term_width(100).render_long_help());
    }

    #[test]
    fn help_of_each_command_teaches() {
        let mut command = Cli::command().term_width(100);
        command.build();
        for name in ["init", "hooks", "status", "verify", "log", "remove"] {
            insta::assert_snapshot!(name, command.find_subcommand_mut(name).unwrap().render_long_help());
        }
    }
}
