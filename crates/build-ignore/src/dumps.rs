//! Dumps that the rules leave out: declared ones, and those that a script has just written without declaring them.
//!
//! `pre-backup-actions` reads the declarations, so it is asked. What a reader gets wrong: a declared dump that does not
//! exist yet counts as well, because the next run will make it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use common::contract::services::{Listed, Services};
use common::dump_files;
use common::paths;
use common::process::{self, Limits};
use common::regular_file;
use common::services::PREPARE;
use common::settings::{Flags, Settings};
use common::text::escape_path;

use crate::decide;
use crate::git::rule;
use crate::root::Root;

/// Reading the scripts of all services takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(20);

/// For a longer script `pre-backup-actions` is asked.
const LONGEST: u64 = 1 << 20;

/// The dumps that rules leave out: the path of each on the host, and the rule's file, line and text. An undeclared one
/// counts if it was written after `since`.
pub(crate) fn left_out(
    roots: &[Root],
    declared_by: &Declared,
    since: Option<SystemTime>,
) -> Vec<(String, String)> {
    let is_new = |path: &Path| {
        let changed = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
        since.is_some_and(|since| changed.is_ok_and(|changed| changed > since))
    };
    let new_ones = |folder: &Path| {
        let undeclared = dump_files::in_folder(folder).into_iter().map(|path| folder.join(path));
        undeclared.filter(|path| is_new(path)).collect::<Vec<_>>()
    };
    let has_dumps = |folder: &PathBuf| may_declare(folder) || !new_ones(folder).is_empty();
    let has_rules = roots.iter().any(|root| !root.built.tree.files.is_empty());
    if !has_rules || !roots.iter().flat_map(with_prepare_step).any(|folder| has_dumps(&folder)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for script in declared_by.services().iter().filter_map(|one| one.prepare.as_ref()) {
        let Some(folder) = Path::new(&script.path).parent() else { continue };
        let mut dumps: Vec<PathBuf> =
            script.dumps.iter().flat_map(|dump| declared(roots, folder, dump)).collect();
        dumps.extend(new_ones(folder));
        found.extend(dumps.iter().filter_map(|dump| by_rule(roots, dump)));
    }
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

/// The folders of services with a prepare step; those that are left out as a whole may have one.
fn with_prepare_step(root: &Root) -> Vec<PathBuf> {
    let names = root.built.tree.prepared.iter().cloned();
    let closed = root.services().filter(|(_, entry)| entry.is_ignored).map(|(names, _)| names);
    names.chain(closed).map(|names| decide::host_path(&root.place.path, &names)).collect()
}

/// Whether the prepare step in `folder`, if there is one, may declare a dump. To start a program for each run costs more
/// than to look.
fn may_declare(folder: &Path) -> bool {
    match regular_file::read(&folder.join(PREPARE), LONGEST) {
        Ok(script) => dump_files::may_declare(&script),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// What the scripts declare. `pre-backup-actions` is asked when it is first needed.
#[derive(Debug)]
pub(crate) struct Declared<'a> {
    pub(crate) settings: &'a Settings,
    services: OnceLock<Services>,
}

impl Declared<'_> {
    /// Nothing is asked yet.
    pub(crate) fn new(settings: &Settings) -> Declared<'_> {
        Declared { settings, services: OnceLock::new() }
    }

    /// Every service with a script; none if `pre-backup-actions` can't be asked.
    fn services(&self) -> &[Listed] {
        let ask = || {
            let mut command = Command::new(paths::tool("pre-backup-actions"));
            command.args(Flags::of(self.settings).to_arguments()).args(["--list", "--json"]);
            let captured = process::capture(&mut command, b"", Limits::within(DEADLINE), None).ok()?;
            // It exits with 1 if a script would be refused.
            serde_json::from_slice(&captured.stdout).ok()
        };
        &self.services.get_or_init(|| ask().unwrap_or_default()).services
    }

    /// How many declared dumps of the service can be those of a database, by their names.
    pub(crate) fn of_databases(&self, service: &str) -> usize {
        const WORDS: [&str; 9] =
            ["db", "database", "pg", "postgres", "sql", "maria", "mongo", "redis", "influx"];
        let can_be = |dump: &&String| {
            let name = dump.to_lowercase();
            dump_files::is_dump_by_name(Path::new(&name)) || WORDS.iter().any(|word| name.contains(word))
        };
        let script =
            self.services().iter().find(|one| one.service == service).and_then(|one| one.prepare.as_ref());
        script.map_or(0, |script| script.dumps.iter().filter(can_be).count())
    }
}

/// The paths of a declared dump; those that a glob matches today.
fn declared(roots: &[Root], folder: &Path, dump: &str) -> Vec<PathBuf> {
    if !dump.contains(['*', '?', '[', '{']) {
        return vec![folder.join(dump.trim_end_matches('/'))];
    }
    let below = roots.iter().find_map(|root| root.built.tree.top.at(&root.names_of(folder)?));
    let mut found = Vec::new();
    if let (Some(below), [rule]) = (below, rule::parse(format!("/{dump}").as_bytes()).as_slice()) {
        below.matches_of(rule, &mut |names| {
            let names: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
            found.push(decide::host_path(folder, &names));
            true
        });
    }
    found
}

fn by_rule(roots: &[Root], dump: &Path) -> Option<(String, String)> {
    let (root, names) = roots.iter().find_map(|root| Some((root, root.names_of(dump)?)))?;
    let decision = decide::decide(&root.built.tree.files, &names, false)?;
    let rule = decision.rule();
    let place = format!("{}{}", escape_path(&decision.file.path), rule.after_path());
    (!rule.negated).then(|| (escape_path(dump), format!("{place}: {}", rule.excerpt())))
}
