//! The command line of `new-container`. Values are checked here, before anything is touched.
//!
//! Out go values that the templates can use as they are: what a shell or Compose would misread is refused.

use std::net::Ipv4Addr;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use common::settings::Flags;
use common::text::escape;

/// The name of this program.
pub(crate) const TOOL: &str = "new-container";

/// Make a new service's compose.yaml, .env, .resticignore and prepare-backup.sh
///
/// The files go to <container root>/NAME and <data root>/NAME. Nothing that exists is changed, and if anything fails
/// nothing is left behind. On a terminal, without a name, it asks for everything.
#[derive(Debug, Parser)]
#[command(name = "new-container", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Name of the service, its folders and its Compose project: lowercase letters, digits, - and _
    #[arg(value_parser = parse_folder)]
    pub(crate) name: Option<String>,

    /// Image to run; asked for on a terminal [default: NAME:latest]
    #[arg(long, value_parser = parse_image)]
    pub(crate) image: Option<String>,

    /// Port of the host and of the container, such as 8080:80 or 127.0.0.1:8080:80/tcp (can be repeated)
    #[arg(long, value_name = "HOST:CONTAINER", value_parser = parse_port)]
    pub(crate) port: Vec<String>,

    /// Existing network that the service joins, such as a reverse proxy's
    #[arg(long, value_parser = parse_network)]
    pub(crate) network: Option<String>,

    /// Database beside the service, with a prepare-backup.sh that dumps it
    #[arg(long, value_name = "KIND")]
    pub(crate) database: Option<Database>,

    /// Stop the service during a backup instead of dumping, and start it afterwards
    #[arg(long)]
    pub(crate) stop: bool,

    /// Your own template: a folder in <container root>/.templates
    #[arg(long, value_name = "FOLDER", value_parser = parse_folder)]
    pub(crate) template: Option<String>,

    /// Ask for everything that is not given, on a terminal
    #[arg(long)]
    pub(crate) ask: bool,

    /// Print the files and create nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Open compose.yaml and .env in your editor afterwards
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) edit: bool,

    /// Start the service afterwards (docker compose up -d)
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) up: bool,

    /// Add to the existing service NAME what its backup lacks: scripts that dump its databases, or with --stop the pair
    /// that stops it, and rules for the live files; shows everything first
    #[arg(long, requires = "name", conflicts_with_all =
        ["image", "port", "network", "database", "template", "ask", "edit", "up"])]
    pub(crate) adopt: bool,

    /// Write what --adopt shows without asking
    #[arg(long, requires = "adopt")]
    pub(crate) yes: bool,

    /// List your own templates and exit
    #[arg(long, conflicts_with_all = MAKING)]
    pub(crate) list_templates: bool,

    /// Print the alias dn for the shell's start file and exit
    #[arg(long, value_name = "SHELL", conflicts_with_all = MAKING, conflicts_with = "list_templates")]
    pub(crate) shell_init: Option<Shell>,

    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What makes a service, or is about the one that is made.
const MAKING: [&str; 11] =
    ["name", "image", "port", "network", "database", "stop", "template", "ask", "dry_run", "edit", "up"];

/// The databases that there are templates for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    Postgres,
    Mariadb,
    Mysql,
    Mongo,
    Sqlite,
    Redis,
}

impl Database {
    /// The names of all.
    pub(crate) fn names() -> Vec<String> {
        Database::value_variants().iter().map(|database| database.name()).collect()
    }

    /// Its name as it is typed, which is also that of the user's own template for it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }
}

/// The shells that there is an alias for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

const EXAMPLES: &str = "\
Examples:
  new-container                               ask for everything
  new-container wiki --image requarks/wiki:2 --port 3000:3000 --database mysql
  new-container whoami --image traefik/whoami --network proxy --up
  new-container notes --stop                  stop it during each backup
  new-container immich --adopt                add what its backup lacks
  eval \"$(new-container --shell-init bash)\"   from now on, dn runs new-container

Your own templates: <container root>/.templates/default changes every new service, .templates/KIND those with that \
database, and .templates/FOLDER those made with --template FOLDER. A file there named compose.yaml, .env, \
.resticignore, prepare-backup.sh or after-backup.sh replaces the built-in one; others are added. Placeholders such as \
{{name}} and {{password}} in them are filled in; docs/new-container.md lists all of them.";

/// Docker Compose's rule for a project's name, which is also a good one for a folder: it starts with a letter or
/// digit and continues with those, `-` and `_`, all lowercase.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let well_formed = text.starts_with(is_plain) && text.chars().all(|c| is_plain(c) || c == '-' || c == '_');
    // Longer ones are not host names.
    if well_formed && text.len() <= 63 {
        return Ok(text.to_string());
    }
    let proposal: String = text
        .to_lowercase()
        .chars()
        .map(|c| if is_plain(c) || c == '_' { c } else { '-' })
        .skip_while(|c| !is_plain(*c))
        .take(63)
        .collect();
    let proposal = proposal.trim_end_matches(['-', '_']);
    let rule =
        "a name has lowercase letters, digits, - and _, starts with a letter or digit, and has at most 63";
    Err(if proposal.is_empty() { rule.to_string() } else { format!("{rule}; try {proposal}") })
}

/// The characters of an image reference. Docker checks the rest.
pub(crate) fn parse_image(text: &str) -> Result<String, String> {
    of_characters(text, "._:/@-", "write an image like nginx:1.29 or host/owner/image:tag")
}

/// Letters, digits and `others`, of which none comes first.
fn of_characters(text: &str, others: &str, rule: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    let well_formed = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_allowed);
    if well_formed { Ok(text.to_string()) } else { Err(rule.into()) }
}

/// `[ADDRESS:]HOST:CONTAINER[/tcp|/udp]`.
pub(crate) fn parse_port(text: &str) -> Result<String, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let parts: Vec<&str> = ports.split(':').collect();
    let (address, numbers) = match parts.as_slice() {
        [host, container] => (None, [*host, *container]),
        [address, host, container] => (Some(*address), [*host, *container]),
        _ => return Err("write a port as HOST:CONTAINER, such as 8080:80".into()),
    };
    if let Some(wrong) = numbers.iter().find(|number| !is_port(number)) {
        return Err(format!("{wrong} is not a port: a number from 1 to 65535"));
    }
    if address.is_some_and(|address| address.parse::<Ipv4Addr>().is_err()) {
        return Err("write an address before the ports, such as 127.0.0.1".into());
    }
    if !matches!(protocol, "tcp" | "udp") {
        return Err(format!("unknown protocol {protocol}: use tcp or udp"));
    }
    Ok(text.to_string())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|number| number > 0)
}

/// Docker's rule for names of networks.
pub(crate) fn parse_network(text: &str) -> Result<String, String> {
    if matches!(text, "default" | "host" | "bridge" | "none") {
        return Err(format!("{text} can't be joined: name a network made with docker network create"));
    }
    of_characters(text, "_.-", "a network's name has letters, digits, _ . and -")
}

/// One folder, not a way out of the folder that holds it.
fn parse_folder(text: &str) -> Result<String, String> {
    let is_one_folder = !text.is_empty() && !text.contains('/') && text != "." && text != "..";
    if is_one_folder { Ok(text.to_string()) } else { Err("write the name of one folder".into()) }
}

impl Cli {
    /// Ends the program as for any wrong value if a new service can't have the name. One that exists may have any.
    pub(crate) fn check_name(&self) {
        let Some(name) = self.name.as_ref().filter(|_| !self.adopt) else { return };
        if let Err(why) = parse_name(name) {
            let what = format!("invalid value '{}' for '[NAME]': {why}", escape(name.as_bytes()));
            Cli::command().error(ErrorKind::ValueValidation, what).exit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_sound_and_its_help_teaches() {
        Cli::command().debug_assert();
        insta::assert_snapshot!(Cli::command().term_width(100).render_long_help());
    }

    #[test]
    fn a_name_that_compose_or_a_folder_would_not_bear_is_refused_with_a_proposal() {
        for good in ["a", "immich", "my-app_2", "2fauth"] {
            assert_eq!(parse_name(good).as_deref(), Ok(good));
        }
        for (wrong, proposal) in [
            ("My App", "try my-app"),
            ("-x", "try x"),
            ("_x", "try x"),
            ("../etc", "try etc"),
            ("a.b", "try a-b"),
            ("a\nb", "try a-b"),
            ("käse", "try k-se"),
            ("", "has at most 63"),
            ("***", "has at most 63"),
            (&"x".repeat(64), "try xxx"),
        ] {
            let error = parse_name(wrong).unwrap_err();
            assert!(error.contains(proposal), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn ports_are_checked() {
        for good in ["8080:80", "127.0.0.1:8080:80", "53:53/udp"] {
            assert!(parse_port(good).is_ok(), "{good}");
        }
        for wrong in
            ["80", "0:80", "80:65536", "a:b", "1:2:3:4", "+80:80", "80:80/sctp", "host:80:80", ":80", ""]
        {
            assert!(parse_port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_could_break_out_of_yaml_is_no_image_and_no_network() {
        for wrong in ["a b", "\"x\"", "x\ny: z", "-x", "", "a#b", "${X}"] {
            assert!(parse_image(wrong).is_err() && parse_network(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse_image("registry.example:443/owner/Image:v1.2_x@sha256:0a").is_ok());
        assert!(parse_folder("../x").is_err() && parse_folder("..").is_err());
    }
}
