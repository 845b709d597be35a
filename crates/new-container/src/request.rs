//! What the command line asks for, worked out. Nothing behind this reads a flag.

use common::settings::Settings;
use common::text::escape_path;

use crate::cli::{Cli, Database, Shell};

/// What is to be done, and how.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) action: Action,
    /// The service that is made, or that gets what it lacks.
    pub(crate) service: Service,
    pub(crate) ask: bool,
    pub(crate) dry_run: bool,
    pub(crate) edit: bool,
    pub(crate) up: bool,
    pub(crate) yes: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Make,
    Adopt,
    ListTemplates,
    ShellInit(Shell),
}

/// A service to make.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    /// Empty until the dialogue has asked for it.
    pub(crate) name: String,
    /// `None` if no one named it.
    pub(crate) image: Option<String>,
    pub(crate) ports: Vec<String>,
    pub(crate) network: Option<String>,
    pub(crate) database: Option<Database>,
    pub(crate) stop: bool,
    pub(crate) template: Option<String>,
}

impl Request {
    /// What `cli` asks for. A wrong name of a new service ends the program, as any wrong value does.
    pub(crate) fn of(cli: &Cli) -> Request {
        cli.check_name();
        let action = match (cli.shell_init, cli.list_templates, cli.adopt) {
            (Some(shell), ..) => Action::ShellInit(shell),
            (_, true, _) => Action::ListTemplates,
            (.., true) => Action::Adopt,
            _ => Action::Make,
        };
        let service = Service {
            name: cli.name.clone().unwrap_or_default(),
            image: cli.image.clone(),
            ports: cli.port.clone(),
            network: cli.network.clone(),
            database: cli.database,
            stop: cli.stop,
            template: cli.template.clone(),
        };
        let Cli { ask, dry_run, edit, up, yes, .. } = *cli;
        Request { action, service, ask, dry_run, edit, up, yes }
    }
}

impl Service {
    /// The image to run: made from the name if no one named one.
    pub(crate) fn image(&self) -> String {
        self.image.clone().unwrap_or_else(|| format!("{}:latest", self.name))
    }
}

/// Why a service can't have this name here: it is Backrest's own, or a root lies there.
pub(crate) fn reserved(name: &str, settings: &Settings) -> Option<String> {
    for (root, own) in
        [(&settings.container_root, &settings.container_dir), (&settings.data_root, &settings.data_dir)]
    {
        if own.strip_prefix(root).is_ok_and(|rest| rest.starts_with(name)) {
            return Some(format!("{name} is reserved: it is Backrest's own folder"));
        }
        for other in [&settings.container_root, &settings.data_root] {
            if other.strip_prefix(root).is_ok_and(|rest| rest.starts_with(name)) {
                return Some(format!("{name} is reserved: {} is there", escape_path(other)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use common::settings::Flags;

    use super::*;

    #[test]
    fn backrests_folder_and_a_root_in_a_root_are_reserved() {
        let flags = Flags {
            container_root: Some(Path::new("/opt/stacks").into()),
            data_root: Some(Path::new("/opt/stacks/data").into()),
            container_dir: Some(Path::new("/opt/stacks/restic-ui").into()),
            data_dir: None,
        };
        let settings = Settings::load(&flags, None, None).unwrap();
        for (name, expected) in
            [("restic-ui", true), ("backrest", true), ("data", true), ("dat", false), ("stacks", false)]
        {
            assert_eq!(reserved(name, &settings).is_some(), expected, "{name}");
        }
    }
}
