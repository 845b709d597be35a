//! The command line, and nothing else.

use std::time::Duration;

use clap::Parser;
use common::settings::Flags;

/// Run what Backrest's hooks ask the host for
///
/// Takes messages from the FIFO and the socket in <Backrest's folder>/bridge and runs the action that each names,
/// one after another: pre-backups, post-backups, build-ignore, start-tailscale, stop-tailscale, notify-up,
/// notify-down, ping, status, and every executable file in <Backrest's folder>/actions. It runs until a signal stops
/// it; create-backrest-pipe starts it in the background and after a reboot.
#[derive(Debug, Parser)]
#[command(
    name = "pipe-listener",
    version,
    after_help = "Example, in two terminals:\n  pipe-listener\n  ~/containers/backrest/bridge/backrest-send ping\n\n\
                  The log is <Backrest's folder>/logs/listener.log."
)]
pub(crate) struct Cli {
    /// Time limit for an action
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = humantime::parse_duration)]
    pub(crate) action_timeout: Duration,

    /// Time that the running action gets when the listener is asked to stop
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,

    #[command(flatten)]
    pub(crate) flags: Flags,

    /// Keep the FIFO on standard output open until some time after standard input has closed
    #[arg(long, hide = true)]
    pub(crate) hold: bool,
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
    fn the_help_names_every_action() {
        let help = Cli::command().render_long_help().to_string();
        for action in bridge::action::BuiltIn::ALL {
            assert!(help.contains(action.name()), "{}", action.name());
        }
    }
}
