//! The service that is asked for: the command line with every default filled in.

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
