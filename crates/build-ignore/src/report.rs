//! `--report`: what is kept and left out, service by service, and where the bytes are.
//!
//! What a reader gets wrong: "largest" does not list folders inside each other. A folder is broken up as long as one
//! thing in it makes up more than half of it, so that each line names what a rule would name; and what is left out is
//! never shown as a folder of which other things in folders are kept: all of it would seem to be left out.

mod table;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use common::contract::coverage::Coverage;
use common::out;
use common::problem::Problem;
use common::text::{DIM, escape, escape_path};
use common::{units, width};
use serde::Serialize;
use serde_json::{Value, json};

use crate::coverage;
use crate::decide::host_path;
use crate::git::rule::Rule;
use crate::index::Step;
use crate::root::Root;
use crate::rules_file::FILE_NAME;
use crate::section::Section;
use crate::task::Format;
use crate::tree::{Entry, Folder, Kind};

/// Where the path of a largest thing starts.
const SIZE: usize = 12;
/// How many of the largest things are shown.
const LARGEST: usize = 10;

/// In a list of rules those beyond this many are a count.
const MOST_RULES: usize = 20;
/// A rule that at least this many services have is worth a line in the root's own file.
const MANY_SERVICES: usize = 10;

/// Prints the rules that many services have: in the root's own file each of them is one pattern for restic.
fn shared_rules(roots: &[Root], width: Option<usize>) {
    for root in roots {
        let mut services: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for file in root.built.tree.files.iter().filter(|file| root.is_service(&file.folder)) {
            let Some((service, above)) = file.folder.split_last() else { continue };
            // Only a rule for any depth means the same in the root.
            let anywhere = |rule: &&Rule| {
                !rule.negated
                    && rule.path.as_ref().is_ok_and(|path| path.len() == 2 && path[0] == Step::AnyFolders)
            };
            for rule in file.rules.list.iter().filter(anywhere) {
                services.entry((above, rule.text.as_slice())).or_default().insert(service);
            }
        }
        let shared = services.into_iter().filter(|(_, services)| services.len() >= MANY_SERVICES);
        let mut shared: Vec<_> =
            shared.map(|((above, rule), services)| (above, Reverse(services.len()), rule)).collect();
        shared.sort();
        for root_rules in shared.chunk_by(|a, b| a.0 == b.0) {
            let file = escape_path(host_path(&root.place.path, root_rules[0].0).join(FILE_NAME));
            let what =
                format!("Rules that many services have; once in {file} each is fewer patterns for restic:");
            out!("\n{}", width::folded(&what, 0, 0, width));
            for (_, Reverse(count), rule) in root_rules.iter().take(MOST_RULES) {
                out!("{DIM}  {}: in {count} services{DIM:#}", escape(rule));
            }
        }
    }
}

/// Numbers of one service, or of all.
#[derive(Clone, Debug, Default, Serialize)]
struct Numbers {
    files_kept: u64,
    bytes_kept: u64,
    files_left_out: u64,
    bytes_left_out: u64,
    rules: usize,
    patterns: usize,
    by_path: usize,
    warnings: usize,
    /// Rules that match nothing today, as `file:line: rule`.
    rules_without_match: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Sized {
    path: String,
    bytes: u64,
    /// No file of it is on the other side.
    whole: bool,
}

/// A problem as the JSON output shows it.
pub(crate) fn problem_json(problem: &Problem) -> Value {
    json!({ "path": problem.path.to_string_lossy(), "line": problem.line, "what": problem.what })
}

/// Prints the report on `roots`, which were walked for sizes.
pub(crate) fn print(roots: &[Root], coverage: &Coverage, format: Format) -> Result<()> {
    let mut services: BTreeMap<String, Numbers> = BTreeMap::new();
    for root in roots {
        count_root(root, &mut services);
    }
    let mut total = Numbers::default();
    services.values().for_each(|numbers| total.add(numbers));
    let left_out = largest(roots, true);
    let kept = largest(roots, false);
    if format == Format::Json {
        let warnings: Vec<Value> =
            roots.iter().flat_map(|root| &root.built.warnings).map(problem_json).collect();
        let report = json!({
            "services": services,
            "total": total,
            "largest_left_out": left_out,
            "largest_kept": kept,
            "gaps": coverage.gaps,
            "held_back": coverage.held_back,
            "scan": coverage.scan,
            "warnings": warnings,
        });
        out!("{report}");
        return Ok(());
    }
    let width = width::of_terminal(std::io::stdout());
    out!("{}", table::render(&services, &total, width));
    for (title, things) in [("Largest left out", &left_out), ("Largest kept", &kept)] {
        if !things.is_empty() {
            out!("\n{title}:");
        }
        for thing in things {
            let part = if thing.whole { "" } else { " (a part of it)" };
            let part = width::folded(part, SIZE + width::of(&thing.path), SIZE, width);
            out!("{:>10}  {}{DIM}{part}{DIM:#}", units::bytes(thing.bytes), thing.path);
        }
    }
    if !coverage.gaps.is_empty() {
        out!("\nIn no backup, or not safely:");
        coverage::print(&coverage.gaps, width);
    }
    let held = coverage.held_back.iter().map(|held| format!("{}:{}: {}", held.file, held.line, held.rule));
    list_rules("Rules that are held back until build-ignore --adopt:", &held.collect::<Vec<_>>(), width);
    let unmatched = services.into_values().flat_map(|numbers| numbers.rules_without_match);
    list_rules("Rules that match nothing today:", &unmatched.collect::<Vec<_>>(), width);
    shared_rules(roots, width);
    if let Some(scan) = &coverage.scan {
        out!("\n{}", width::folded(&scan.text(), 0, 0, width));
    }
    Ok(())
}

fn list_rules(title: &str, rules: &[String], width: Option<usize>) {
    if !rules.is_empty() {
        out!("\n{title}");
    }
    for rule in rules.iter().take(MOST_RULES) {
        out!("{DIM}  {}{DIM:#}", width::folded(rule, 2, 4, width));
    }
    if rules.len() > MOST_RULES {
        let more = rules.len() - MOST_RULES;
        out!("{DIM}  and {more} more; all of them: build-ignore --report --json{DIM:#}");
    }
}

fn count_root(root: &Root, services: &mut BTreeMap<String, Numbers>) {
    let numbers = count_folder(root, &root.built.tree.top, &mut Vec::new(), services);
    if numbers.has_files() {
        services.entry(root.place.name.to_string()).or_default().add(&numbers);
    }
    for (name, section) in &root.built.sections {
        services.entry(root.place.service(name)).or_default().count_rules(section);
    }
    for warning in &root.built.warnings {
        let title = root.place.service(&root.names_of(&warning.path).unwrap_or_default());
        if let Some(numbers) = services.get_mut(&title) {
            numbers.warnings += 1;
        }
    }
}

/// What is in a folder, apart from services in it.
fn count_folder(
    root: &Root,
    folder: &Folder,
    names: &mut Vec<Vec<u8>>,
    services: &mut BTreeMap<String, Numbers>,
) -> Numbers {
    let mut numbers = Numbers::default();
    for entry in folder.entries() {
        numbers.count_entry(&entry);
        let Some(inner) = entry.folder else { continue };
        names.push(entry.name.to_vec());
        let below = count_folder(root, inner, names, services);
        match root.is_service(names) {
            // What leads to a root in the root need not be a service.
            true if !below.has_files() && root.place.inner.starts_with(names) => {}
            true => services.entry(root.place.service(names)).or_default().add(&below),
            false => numbers.add(&below),
        }
        names.pop();
    }
    numbers
}

impl Numbers {
    fn has_files(&self) -> bool {
        self.files_kept + self.files_left_out > 0
    }

    fn count_entry(&mut self, entry: &Entry) {
        if entry.kind == Kind::Folder {
            return;
        }
        let (files, bytes) = match entry.is_ignored {
            true => (&mut self.files_left_out, &mut self.bytes_left_out),
            false => (&mut self.files_kept, &mut self.bytes_kept),
        };
        *files += 1;
        *bytes += entry.size;
    }

    fn count_rules(&mut self, section: &Section) {
        self.rules += section.rules.len();
        self.by_path += section.paths.len();
        self.patterns +=
            section.rules.iter().map(|rule| rule.lines.len()).sum::<usize>() + section.paths.len();
        for written in &section.rules {
            let place = &written.place;
            let is_held = place.file.rules.hold_of(place.number).is_some();
            let is_of_a_person = place.rule().path.is_ok() && place.rule().line > 0;
            if is_of_a_person && !is_held && !place.file.has_matched(place.number) {
                let rule = place.rule();
                let file = escape_path(&place.file.path);
                self.rules_without_match.push(format!("{file}{}: {}", rule.after_path(), rule.excerpt()));
            }
        }
    }

    fn add(&mut self, other: &Numbers) {
        self.files_kept += other.files_kept;
        self.bytes_kept += other.bytes_kept;
        self.files_left_out += other.files_left_out;
        self.bytes_left_out += other.bytes_left_out;
        self.rules += other.rules;
        self.patterns += other.patterns;
        self.by_path += other.by_path;
        self.warnings += other.warnings;
        self.rules_without_match.extend_from_slice(&other.rules_without_match);
    }
}

/// Files and folders with the bytes that count in them, the largest first, and by path if sizes are equal.
type Candidates<'a> = BTreeMap<(Reverse<u64>, String), Option<&'a Folder>>;

fn largest(roots: &[Root], left_out: bool) -> Vec<Sized> {
    let tops = roots.iter().flat_map(|root| candidates(root.place.name, &root.built.tree.top, left_out));
    let mut open: Candidates<'_> = tops.collect();
    let mut found = Vec::new();
    while let Some(((Reverse(bytes), path), folder)) = open.pop_first() {
        if found.len() == LARGEST {
            break;
        }
        let inner = folder.map_or(Candidates::new(), |folder| candidates(&path, folder, left_out));
        let biggest = inner.keys().next().map_or(0, |(Reverse(bytes), _)| *bytes);
        let whole = folder.is_none_or(|folder| is_whole(folder, left_out));
        let hides_folders = left_out && !whole && inner.values().any(Option::is_some);
        if biggest * 2 > bytes || hides_folders {
            open.extend(inner);
        } else {
            found.push(Sized { path, bytes, whole });
        }
    }
    found
}

fn candidates<'a>(above: &str, folder: &'a Folder, left_out: bool) -> Candidates<'a> {
    let sized = folder.entries().map(|entry| {
        let path = format!("{above}/{}", escape(entry.name));
        ((Reverse(bytes_of(&entry, left_out)), path), entry.folder)
    });
    sized.filter(|((Reverse(bytes), _), _)| *bytes > 0).collect()
}

/// Whether every file below `folder` is left out, or every one kept.
fn is_whole(folder: &Folder, left_out: bool) -> bool {
    folder.entries().all(|entry| match entry.folder {
        Some(inner) => is_whole(inner, left_out),
        None => entry.is_ignored == left_out,
    })
}

/// The bytes of what is left out, or of what is kept, in a file or below a folder.
fn bytes_of(entry: &Entry, left_out: bool) -> u64 {
    match entry.folder {
        Some(folder) => folder.entries().map(|inner| bytes_of(&inner, left_out)).sum(),
        None if entry.is_ignored == left_out => entry.size,
        None => 0,
    }
}
