//! The service that is asked for: the command line with every default filled in.

use common::settings::Settings;
use common::text::escape_path;

use crate::cli::{Cli, Database};

/// A service to make.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) image: String,
    /// No one named the image: it is made from the service's name.
    pub(crate) image_is_a_guess: bool,
    pub(crate) ports: Vec<String>,
    pub(crate) network: Option<String>,
    pub(crate) database: Option<Database>,
    pub(crate) stop: bool,
    pub(crate) template: Option<String>,
}

impl Request {
    /// What the command line asks for, for a service `name`.
    pub(crate) fn new(cli: &Cli, name: &str) -> Request {
        Request {
            name: name.to_string(),
            image: cli.image.clone().unwrap_or_else(|| format!("{name}:latest")),
            image_is_a_guess: cli.image.is_none(),
            ports: cli.port.clone(),
            network: cli.network.clone(),
            database: cli.database,
            stop: cli.stop,
            template: cli.template.clone(),
        }
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
