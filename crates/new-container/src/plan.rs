//! From the service to the files to write, with their text. No I/O.
//!
//! Built-in templates first; each of the user's own replaces what has the same name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use common::exit::HintExt;
use common::problem::Problem;
use common::services::{AFTER, PREPARE, RULES};
use common::text::escape_path;

use crate::cli::Database;
use crate::database;
use crate::render::{self, Values};
use crate::request::Service;
use crate::templates::{Root, Template};

/// A file to write below one of the service's two folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewFile {
    pub(crate) root: Root,
    pub(crate) path: PathBuf,
    pub(crate) text: Vec<u8>,
    pub(crate) mode: u32,
}

/// A service's folders. They are one and the same if the roots are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) container: PathBuf,
    pub(crate) data: PathBuf,
}

impl Places {
    pub(crate) fn of(&self, root: Root) -> &Path {
        match root {
            Root::Container => &self.container,
            Root::Data => &self.data,
        }
    }

    pub(crate) fn are_one(&self) -> bool {
        self.container == self.data
    }
}

/// The files of `service`, sorted by their place. `password` makes a new password each time.
///
/// Fails if a folder's path can't be written in a `.env`, and if a template has a placeholder that does not exist.
pub(crate) fn files(
    service: &Service,
    places: &Places,
    templates: &[Template],
    password: &mut dyn FnMut() -> String,
) -> Result<Vec<NewFile>> {
    let values = values(service, places, password)?;
    let mut files = Vec::new();
    for (root, path, template, mode) in built_in(service) {
        let text = render::fill(template, &values)?.into_bytes();
        files.push(NewFile { root, path: path.into(), text, mode });
    }
    for template in templates {
        let planned = from_user(template, &values)?;
        files.retain(|file| (file.root, &file.path) != (planned.root, &planned.path));
        files.push(planned);
    }
    files.sort_by(|a, b| (a.root, &a.path).cmp(&(b.root, &b.path)));
    Ok(files)
}

fn from_user(template: &Template, values: &Values) -> Result<NewFile> {
    let text = match std::str::from_utf8(&template.text) {
        Ok(text) => render::fill(text, values)
            .map_err(|unknown| anyhow!(Problem::at_line(&template.source, unknown.line, unknown.to_string())))
            .hint(placeholders(values))?
            .into_bytes(),
        // A picture or a key has no placeholders.
        Err(_) => template.text.clone(),
    };
    let mode = match template.path.to_str() {
        Some(".env") => 0o600,
        Some(PREPARE | AFTER) => 0o755,
        _ if template.is_executable => 0o755,
        _ => 0o644,
    };
    Ok(NewFile { root: template.root, path: template.path.clone(), text, mode })
}

fn placeholders(values: &Values) -> String {
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    format!("the placeholders are {}; write \\{{{{word}}}} for {{{{word}}}} itself", names.join(", "))
}

/// The rules that belong to the pair of scripts that stop and start.
pub(crate) const STOP_RULES: &str =
    "# What prepare-backup.sh stopped and after-backup.sh starts again.\n/.stopped-for-backup*\n";

fn built_in(service: &Service) -> Vec<(Root, &'static str, &'static str, u32)> {
    let prepare = match service.database {
        _ if service.stop => include_str!("../templates/stop-prepare.sh"),
        Some(database) => database::pieces(database).script,
        None => include_str!("../templates/prepare-backup.sh"),
    };
    let mut files = vec![
        (Root::Container, "compose.yaml", include_str!("../templates/compose.yaml"), 0o644),
        (Root::Container, ".env", include_str!("../templates/env"), 0o600),
        (Root::Data, RULES, include_str!("../templates/resticignore"), 0o644),
        (Root::Data, PREPARE, prepare, 0o755),
    ];
    if service.stop {
        files.push((Root::Data, AFTER, include_str!("../templates/stop-after.sh"), 0o755));
    }
    files
}

fn values(service: &Service, places: &Places, password: &mut dyn FnMut() -> String) -> Result<Values> {
    let pieces = service.database.map(database::pieces);
    let database_service = pieces.as_ref().map_or("", |pieces| pieces.service);
    let rules = match &pieces {
        // Stopped as a whole, the files of a database are as good as a dump.
        _ if service.stop => STOP_RULES.to_string(),
        Some(pieces) => pieces.rules.replace("{{name}}", &service.name),
        None => String::new(),
    };
    let first_password = password();
    let mut variables = String::new();
    if let Some(pieces) = &pieces {
        if pieces.has_user {
            // A name of digits only, or with a dash, would need quotes in SQL.
            let user = format!("app_{}", service.name.replace('-', "_"));
            if service.database != Some(Database::Mongo) {
                variables.push_str(&format!("DB_NAME={user}\n"));
            }
            variables.push_str(&format!("DB_USER={}\n", user.chars().take(32).collect::<String>()));
        }
        for (index, name) in pieces.passwords.iter().enumerate() {
            let password = if index == 0 { first_password.clone() } else { password() };
            variables.push_str(&format!("{name}={password}\n"));
        }
    }
    let list = |key: &str, items: &[String]| match items {
        [] => String::new(),
        items => format!(
            "{key}:\n{}",
            items.iter().map(|item| format!("  - {item}\n")).collect::<Vec<_>>().concat()
        ),
    };
    let ports: Vec<String> = service.ports.iter().map(|port| format!("\"{port}\"")).collect();
    let networks: Vec<String> = match &service.network {
        Some(network) => vec!["default".into(), yaml_word(network)],
        None => vec![],
    };
    let network_definitions = match &service.network {
        Some(network) => format!("\nnetworks:\n  {}:\n    external: true\n", yaml_word(network)),
        None => String::new(),
    };
    let depends_on = if database_service.is_empty() { vec![] } else { vec!["database".to_string()] };
    Ok(vec![
        ("name", service.name.clone()),
        ("service", yaml_word(&service.name)),
        ("image", yaml_word(&service.image())),
        ("ports", list("ports", &ports)),
        ("depends_on", list("depends_on", &depends_on)),
        ("networks", list("networks", &networks)),
        ("network_definitions", network_definitions),
        ("database_service", database_service.to_string()),
        ("database_variables", variables),
        ("database_rules", rules),
        ("password", first_password),
        ("data_dir", env_word(&places.data)?),
        ("container_dir", env_word(&places.container)?),
    ])
}

/// `text`, which holds no quote and no control character, as YAML reads it back as a string: in quotes if it could
/// be taken for a number, a truth value or nothing.
fn yaml_word(text: &str) -> String {
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_word && !text.ends_with(':');
    if is_plain { text.to_string() } else { format!("\"{text}\"") }
}

/// `path` as a value of a `.env`, the same for every version of Compose.
fn env_word(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.contains(['\'', '\n', '\r']));
    let text = text.with_context(|| {
        format!("write .env: {}: a quote, a newline or no UTF-8 in the path", escape_path(path))
    })?;
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@".contains(c);
    Ok(if text.chars().all(is_plain) { text.to_string() } else { format!("'{text}'") })
}

#[cfg(test)]
mod tests;
