//! Decides what to add to a service. In come the databases and the files that are there; out go a script, rules, and notes
//! for the person. No I/O.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use common::databases::Kind;
use common::services::{AFTER, PREPARE, RULES};
use common::text::{escape, escape_path};

use super::find::{Engine, Found};
use crate::plan::{Places, STOP_RULES};
use crate::render;
use crate::templates::Root;

/// What there is already.
#[derive(Debug, Default)]
pub(super) struct Existing {
    /// The scripts, each with its text and path.
    pub(super) prepare: Option<(Vec<u8>, PathBuf)>,
    pub(super) after: Option<(Vec<u8>, PathBuf)>,
    /// The text of each `.resticignore` that exists.
    pub(super) rules: BTreeMap<PathBuf, Vec<u8>>,
    /// The names of the files and folders at the top of both folders.
    pub(super) files: Vec<String>,
    pub(super) script_folder: Root,
}

/// A file to make, or lines to add to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) mode: u32,
    /// The text that is there already; `None` if the file is new.
    pub(super) before: Option<Vec<u8>>,
}

impl Addition {
    pub(super) fn verb(&self) -> &'static str {
        if self.before.is_none() { "new file" } else { "add to" }
    }
}

/// The additions, and what the person has to know or do.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    places: &'a Places,
    existing: &'a Existing,
    pub(super) additions: Vec<Addition>,
    pub(super) notes: Vec<String>,
}

/// What the service `name` lacks. `stop`: it is to be stopped, and not dumped.
pub(super) fn additions<'a>(
    name: &str,
    places: &'a Places,
    databases: &[Found],
    existing: &'a Existing,
    stop: bool,
) -> Result<Plan<'a>> {
    let mut plan = Plan { places, existing, additions: Vec::new(), notes: Vec::new() };
    if stop {
        plan.stop_pair(name)?;
        return Ok(plan);
    }
    let dumped: Vec<(&Found, String)> = dumps(databases, existing, &mut plan.notes);
    if databases.is_empty() {
        plan.notes.push(format!(
            "no database was found; to stop the service during each backup: new-container {name} --adopt --stop"
        ));
    }
    if dumped.is_empty() {
        return Ok(plan);
    }
    let text = dump_script(name, &dumped)?;
    match &existing.prepare {
        Some((there, _)) if there == text.as_bytes() => {}
        Some((_, there)) => {
            plan.notes.push(format!(
                "{} stays as it is, and no rule is added: check that it dumps what was found, and that .resticignore \
                 leaves the live files out",
                escape_path(there)
            ));
            return Ok(plan);
        }
        None => plan.script(PREPARE, text),
    }
    for (found, _) in &dumped {
        for (root, live) in &found.live {
            plan.live_rules(found, *root, live);
        }
    }
    Ok(plan)
}

/// The databases that a script can dump, each with the name of its dump.
fn dumps<'f>(
    databases: &'f [Found],
    existing: &Existing,
    notes: &mut Vec<String>,
) -> Vec<(&'f Found, String)> {
    let mut taken = existing.files.clone();
    let mut free = |stem: &str, end: &str| {
        let clean = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let stem: String = stem.chars().map(clean).collect();
        let names = (1..).map(|n| if n == 1 { format!("{stem}{end}") } else { format!("{stem}-{n}{end}") });
        let name = names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default();
        taken.push(name.clone());
        name
    };
    let mut dumped = Vec::new();
    for found in databases {
        let dump = match &found.engine {
            Engine::Sqlite => {
                let path = found.live.first().map(|(_, path)| path.to_string_lossy().replace('/', "-"));
                free(&format!("dump-{}", path.unwrap_or_default()), "")
            }
            Engine::Server { kind: Kind::Other, name, compose_service } => {
                notes.push(format!(
                    "{} ({name}) has no dump script here: stop the service during each backup (--adopt --stop), or \
                     write prepare-backup.sh yourself",
                    escape(compose_service.as_bytes())
                ));
                continue;
            }
            Engine::Server { kind: Kind::Redis, compose_service, .. }
                if found.live.is_empty() && found.volumes.is_empty() =>
            {
                notes.push(format!(
                    "{} keeps nothing on disk: a cache, which needs no dump",
                    escape(compose_service.as_bytes())
                ));
                continue;
            }
            Engine::Server { kind, compose_service, .. } => free(compose_service, end_of(*kind)),
        };
        for volume in &found.volumes {
            notes.push(format!(
                "the named volume {} is in no backup; the dump {dump} is",
                escape(volume.as_bytes())
            ));
        }
        dumped.push((found, dump));
    }
    dumped
}

fn end_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Redis => ".rdb",
        Kind::Mongo => ".archive.gz",
        _ => ".sql.gz",
    }
}

fn dump_script(name: &str, dumped: &[(&Found, String)]) -> Result<String> {
    let mut declarations = String::new();
    let mut parts = String::new();
    for (found, dump) in dumped {
        let (kind, template) = match &found.engine {
            Engine::Sqlite => ("sqlite", include_str!("../../templates/adopt/sqlite.sh")),
            Engine::Server { kind, .. } => match kind {
                Kind::Postgres => ("postgres", include_str!("../../templates/adopt/postgres.sh")),
                Kind::Mongo => ("gzip", include_str!("../../templates/adopt/mongo.sh")),
                Kind::Redis => ("rdb", include_str!("../../templates/adopt/redis.sh")),
                _ => ("mysql", include_str!("../../templates/adopt/mysql.sh")),
            },
        };
        declarations.push_str(&format!("# dump: {dump} kind={kind} max-shrink=50%\n"));
        let mut values = vec![("dump", dump.clone())];
        match (&found.engine, found.live.first()) {
            (Engine::Sqlite, Some((root, path))) => values.push(("path", shell_path(*root, path)?)),
            (Engine::Server { compose_service, .. }, _) => values.push(("database", compose_service.clone())),
            _ => {}
        }
        parts.push('\n');
        parts.push_str(&render::fill(template, &values)?);
    }
    let values = vec![("name", name.to_string()), ("declarations", declarations)];
    let compose = match dumped.iter().any(|(found, _)| matches!(found.engine, Engine::Server { .. })) {
        true => include_str!("../../templates/adopt/compose.sh"),
        false => "",
    };
    Ok(render::fill(include_str!("../../templates/adopt/head.sh"), &values)? + compose + &parts)
}

/// The path of a file in one of the service's folders, as a word of a shell.
fn shell_path(root: Root, path: &Path) -> Result<String> {
    let variable = match root {
        Root::Container => "\"$CONTAINER_DIR\"",
        Root::Data => "\"$DATA_DIR\"",
    };
    let text = path.to_string_lossy();
    Ok(format!("{variable}/{}", shlex::try_quote(&text)?))
}

impl Plan<'_> {
    fn stop_pair(&mut self, name: &str) -> Result<()> {
        if let Some((_, path)) = self.existing.prepare.as_ref().or(self.existing.after.as_ref()) {
            self.notes.push(format!("{} stays as it is", escape_path(path)));
            return Ok(());
        }
        let values = vec![("name", name.to_string())];
        self.script(PREPARE, render::fill(include_str!("../../templates/stop-prepare.sh"), &values)?);
        self.script(AFTER, render::fill(include_str!("../../templates/stop-after.sh"), &values)?);
        self.rules(&self.places.of(self.existing.script_folder).join(RULES), STOP_RULES);
        Ok(())
    }

    fn script(&mut self, name: &str, text: String) {
        let path = self.places.of(self.existing.script_folder).join(name);
        self.additions.push(Addition { path, text, mode: 0o755, before: None });
    }

    fn live_rules(&mut self, found: &Found, root: Root, live: &Path) {
        let place = self.places.of(root);
        let (shown, above) = (escape_path(place), escape_path(place.with_file_name(RULES)));
        let Some(rule) = rule_of(live) else {
            let note = format!("the live files are all of {shown}: leave it out with a rule in {above}");
            self.notes.push(note);
            return;
        };
        if root == Root::Data && self.existing.script_folder == Root::Container {
            let name = place.file_name().unwrap_or_default();
            let rule = rule_of(&Path::new(name).join(live)).unwrap_or_default();
            self.notes.push(format!(
                "{shown} belongs to another user; leave the live files out with the rule {rule} in {above}"
            ));
            return;
        }
        let rules = match found.engine {
            Engine::Sqlite => ["", "-wal", "-shm", "-journal"].map(|end| format!("{rule}{end}\n")).concat(),
            Engine::Server { .. } => format!("{rule}/\n"),
        };
        let reason = "# Live files of a database; prepare-backup.sh dumps it.\n";
        self.rules(&place.join(RULES), &format!("{reason}{rules}"));
    }

    /// Adds those of `rules` that the file has not; nothing if a line of it is about the same path already.
    fn rules(&mut self, file: &Path, rules: &str) {
        let before = self.existing.rules.get(file);
        let text = before.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
        let is_known = |rule: &str| {
            let path =
                |line: &str| line.trim().trim_start_matches(['!', '/']).trim_end_matches('/').to_string();
            text.lines().any(|line| !line.starts_with('#') && path(line).starts_with(&path(rule)))
        };
        if let Some(rule) = rules.lines().find(|rule| !rule.starts_with('#') && is_known(rule)) {
            self.notes.push(format!("{} has a line about {rule} already", escape_path(file)));
            return;
        }
        match self.additions.iter_mut().find(|addition| addition.path == file) {
            Some(addition) => addition.text.push_str(rules),
            None => self.additions.push(Addition {
                path: file.to_path_buf(),
                text: rules.to_string(),
                mode: 0o644,
                before: before.cloned(),
            }),
        }
    }
}

/// A rule for exactly this path below the folder of the `.resticignore`. `None` for the folder itself, and for a name
/// that no rule can express.
fn rule_of(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.is_empty() && !text.contains(['\n', '\r']))?;
    let mut rule = String::from("/");
    for c in text.chars() {
        if matches!(c, '\\' | '*' | '?' | '[') {
            rule.push('\\');
        }
        rule.push(c);
    }
    if rule.ends_with(' ') {
        rule.insert(rule.len() - 1, '\\');
    }
    Some(rule)
}
