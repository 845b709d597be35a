//! The command line, and nothing else.

use clap::{Parser, ValueEnum};
use common::settings::Flags;

/// Push a state and the text on standard input to Uptime Kuma once
///
/// The push address is UPTIME_KUMA_PUSH_URL in the environment or in Backrest's .env. The listener runs this for the
/// messages notify-up and notify-down, and tries again where it fails.
#[derive(Debug, Parser)]
#[command(
    name = "backrest-push",
    version,
    after_help = "Example, to see whether the push address is right:\n  echo 'a test' | backrest-push up"
)]
pub(crate) struct Cli {
    /// What the monitor is told
    #[arg(value_enum)]
    pub(crate) state: State,

    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What Uptime Kuma is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// All is well
    Up,
    /// Something failed
    Down,
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
