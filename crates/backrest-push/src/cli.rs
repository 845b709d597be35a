//! The command line, and nothing else.

use std::time::Duration;

use clap::Parser;
use common::contract::push::State;
use common::settings::Flags;

/// Push a state and the text on standard input to Uptime Kuma once
///
/// The push address is UPTIME_KUMA_PUSH_URL in the environment or in Backrest's .env, or UPTIME_KUMA_PUSH_URL_<PLAN> for
/// one plan. The listener runs this for the messages notify-up and notify-down, and tries again if it fails.
#[derive(Debug, Parser)]
#[command(
    name = "backrest-push",
    version,
    after_help = "Example, to test the push address:\n  echo 'a test' | backrest-push up"
)]
pub(crate) struct Cli {
    /// State of the monitor
    #[arg(value_enum)]
    pub(crate) state: State,

    /// Plan whose own monitor is used if it has one
    #[arg(long, value_name = "ID")]
    pub(crate) plan: Option<String>,

    /// Duration of the backup, which Uptime Kuma draws as a graph
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,

    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
