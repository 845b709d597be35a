//! The command line.
//!
//! What a reader gets wrong: without HOST it is no error. The script that this replaces was run bare, so bare means
//! "the hosts that are set up already".

use std::path::PathBuf;

use clap::Parser;
use common::settings::Flags;

const AFTER_HELP: &str = "\
Example:
  ssh-key-setup nas --path /srv/restic
  ssh-key-setup nas --check

The first makes a key, installs it on the host that `ssh nas` reaches, writes the folder that Backrest's container \
mounts as /root/.ssh, proves it with a file written, read and removed, and prints the repository's URI. The second \
proves it again and changes nothing.";

/// Give Backrest a key for an SFTP server and prove that it works
#[derive(Clone, Debug, Parser)]
#[command(name = "ssh-key-setup", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// The server, as you type it after `ssh` [default: every host that is set up already, otherwise those of
    /// BACKREST_SSH_HOST]
    pub(crate) host: Option<String>,

    /// Folder on the server for the repository, created if it is missing [default: restic, in the account's home]
    #[arg(long, value_name = "DIR", conflicts_with = "mode")]
    pub(crate) path: Option<String>,

    /// Name of the host in the container, as in sftp:NAME:/path [default: HOST without user and port]
    #[arg(long, value_name = "NAME", requires = "host")]
    pub(crate) alias: Option<String>,

    /// Account on the server [default: what `ssh` uses]
    #[arg(long, requires = "host")]
    pub(crate) user: Option<String>,

    /// Port of the server [default: what `ssh` uses]
    #[arg(long, requires = "host", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,

    /// Your key that logs you in to the server now [default: what `ssh` uses]
    #[arg(long, value_name = "FILE", requires = "host")]
    pub(crate) identity: Option<PathBuf>,

    /// Where the server keeps the account's keys [default: as the server reports, otherwise .ssh/authorized_keys]
    #[arg(long, value_name = "FILE", requires = "host", conflicts_with = "mode")]
    pub(crate) authorized_keys: Option<String>,

    /// Allow the key a shell, not only SFTP
    #[arg(long, conflicts_with = "mode")]
    pub(crate) no_restrict: bool,

    /// Trust a host key that was never seen before without asking
    #[arg(long)]
    pub(crate) accept_new_host_key: bool,

    /// Install the key on jump hosts too, without asking; there it can only forward to the next host
    #[arg(long)]
    pub(crate) install_on_jump_hosts: bool,

    /// Docker runs rootless: root in the container is you, so `config` stays yours
    #[arg(long)]
    pub(crate) rootless: bool,

    /// Only prove that it works; change nothing in the folder or in the server's keys
    #[arg(long, group = "mode")]
    pub(crate) check: bool,

    /// Replace the key; the old one is removed only once the new one is proved
    #[arg(long, group = "mode")]
    pub(crate) rotate: bool,

    /// Remove the key from the server and the host from the folder
    #[arg(long, group = "mode", requires = "host")]
    pub(crate) remove: bool,

    /// With --remove: clean the folder only, for a server that is gone
    #[arg(long, requires = "remove")]
    pub(crate) offline: bool,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) places: Flags,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_its_help_is_reviewed() {
        Cli::command().debug_assert();
        insta::assert_snapshot!(Cli::command().term_width(110).render_long_help());
    }
}
