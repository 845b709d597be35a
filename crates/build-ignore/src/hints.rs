//! Rules that look like a mistake: what the person probably meant, and what that would match.
//!
//! Only rules that match nothing today are suspected, so a rule that works is never questioned. One mistake is looked for
//! in rules that do match, too: the same rule twice.
//!
//! What a reader gets wrong: nothing is corrected here. The rule keeps git's meaning.

use std::path::Path;
use std::sync::Arc;

use common::problem::Problem;
use common::text::{count, escape};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::decide;
use crate::git::glob::Glob;
use crate::git::rule::{self, Rule};
use crate::index::Step;
use crate::mistakes::{Meant, Proof};
use crate::rules_file::RulesFile;
use crate::tree::{Folder, Tree};

/// More hints than these are not printed for a root.
const MOST: usize = 100;

/// What looks like a mistake in the rules of a tree, whose root is at `root` and to which the names of `seen_at` lead for restic.
pub(crate) fn hints(tree: &Tree, root: &Path, seen_at: &[Vec<u8>]) -> Vec<Problem> {
    let services: FxHashMap<&[u8], &Folder> =
        tree.top.entries().filter_map(|entry| Some((entry.name, entry.folder?))).collect();
    let host: Vec<Vec<u8>> = root.iter().skip(1).map(|name| name.as_encoded_bytes().to_vec()).collect();
    let of_file = |file: &Arc<RulesFile>| {
        let top = match file.folder.split_first() {
            None => Some(&tree.top),
            Some((service, rest)) => services.get(service.as_slice()).and_then(|folder| folder.at(rest)),
        };
        Place { tree, file, top, above: [&host, seen_at] }.hints()
    };
    let mut problems: Vec<Problem> = tree.files.par_iter().flat_map_iter(of_file).collect();
    problems.truncate(MOST);
    problems
}

/// A rules file, and what is known around it.
struct Place<'a> {
    tree: &'a Tree,
    file: &'a RulesFile,
    /// Its folder in the tree.
    top: Option<&'a Folder>,
    /// The names that lead to the root, on the host and for restic.
    above: [&'a [Vec<u8>]; 2],
}

impl Place<'_> {
    fn hints(&self) -> Vec<Problem> {
        let file = self.file;
        let suspects = file.rules.suspects();
        let repeated = suspects.repeated.iter().map(|(number, first)| {
            let rule = &file.rules.list[*number];
            Problem::at_line(&file.path, rule.line, format!("the same as line {first}: {}", rule.excerpt()))
        });
        let mut problems: Vec<Problem> = repeated.collect();
        let unmatched = || {
            let rules = file.rules.list.iter().enumerate();
            rules.filter(|(number, rule)| {
                rule.line > 0 && !file.has_matched(*number) && file.rules.hold_of(*number).is_none()
            })
        };
        let other_cases = self.top.map_or_else(FxHashMap::default, |top| {
            other_cases(top, unmatched().filter_map(|(_, rule)| last_literal(rule)))
        });
        for (number, rule) in unmatched() {
            let what = suspects
                .odd
                .get(&number)
                .map(|meant| self.checked(rule, meant))
                .unwrap_or_else(|| self.whole_path(rule))
                .or_else(|| self.is_file(rule, number))
                .or_else(|| other_case(rule, &other_cases));
            problems.extend(what.map(|what| self.problem(rule, &what)));
        }
        for (_, rule) in unmatched().filter(|(_, rule)| rule.negated) {
            let what = behind_a_left_out_folder(self.tree, file, rule);
            problems.extend(what.map(|what| self.problem(rule, &what)));
        }
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    fn problem(&self, rule: &Rule, what: &str) -> Problem {
        Problem::at_line(&self.file.path, rule.line, format!("{}: {what}", rule.excerpt()))
    }

    /// The hint for a rule whose text is odd; none if the tree does not bear it out.
    fn checked(&self, rule: &Rule, meant: &Meant) -> Option<String> {
        let below = meant.rules.iter().map(|text| self.below_folder(text));
        let rules: Vec<String> = match meant.proof {
            Proof::InFolder => below.flatten().collect(),
            _ => below.zip(&meant.rules).map(|(below, text)| below.unwrap_or_else(|| text.clone())).collect(),
        };
        if meant.proof == Proof::AllMatch && rules.iter().any(|rule| matches_of(rule, self.top) == 0) {
            return None;
        }
        Some(self.would_match(rule, meant.why, &rules))
    }

    fn would_match(&self, rule: &Rule, why: &str, rules: &[String]) -> String {
        if rules.is_empty() {
            return why.to_string();
        }
        let matched: usize = rules.iter().map(|rule| matches_of(rule, self.top)).sum();
        let would = match matched {
            0 => "would match nothing today either".into(),
            _ => format!("would match {}", count(matched, "path")),
        };
        let sign = if rule.negated { "!" } else { "" };
        let rules: Vec<String> =
            rules.iter().map(|text| format!("{sign}{}", escape(text.as_bytes()))).collect();
        format!("{why}; {} {would}", rules.join(" and "))
    }

    /// A plain rule that begins with the path of its own folder.
    fn whole_path(&self, rule: &Rule) -> Option<String> {
        let text = rule.text.strip_prefix(b"!").filter(|_| rule.negated).unwrap_or(&rule.text);
        let start = text.strip_prefix(b"/").unwrap_or(text);
        let own = self.file.folder.last();
        if own.is_some_and(|own| start.strip_suffix(b"/").unwrap_or(start) == own) {
            return Some(self.would_match(rule, "it names the folder of its file", &["/*".into()]));
        }
        let end = start.iter().position(|&byte| byte == b'/').filter(|end| end + 1 < start.len())?;
        let is_first = |name: &&Vec<u8>| name.as_slice() == &start[..end];
        let above = self.above.iter().flat_map(|names| names.iter());
        let below = match self.file.folder.iter().chain(above).find(is_first) {
            Some(_) => self.below_folder(std::str::from_utf8(text).ok()?)?,
            // The path on another host, or in another container.
            None if text.len() > start.len() => {
                let names: Vec<&[u8]> = start.split(|byte| *byte == b'/').collect();
                let place = names.iter().rposition(|name| own.is_some_and(|own| own == name))?;
                let below = format!("/{}", String::from_utf8_lossy(&names[place + 1..].join(&b'/')));
                Some(below).filter(|below| matches_of(below, self.top) > 0)?
            }
            None => return None,
        };
        Some(self.would_match(rule, "a rule begins in the folder of its file, not at the top", &[below]))
    }

    /// What `text` means if it begins with the path of the file's own folder: on the host, in the container, or its last
    /// names.
    fn below_folder(&self, text: &str) -> Option<String> {
        let names: Vec<&[u8]> = text.trim_start_matches('/').split('/').map(str::as_bytes).collect();
        for above in self.above {
            let whole: Vec<&[u8]> = above.iter().chain(&self.file.folder).map(Vec::as_slice).collect();
            let starts = (0..whole.len()).map(|skip| &whole[skip..]);
            let is_start = |start: &&[&[u8]]| start.len() < names.len() && names.starts_with(start);
            if let Some(start) = starts.clone().find(is_start) {
                return Some(format!("/{}", String::from_utf8_lossy(&names[start.len()..].join(&b'/'))));
            }
        }
        None
    }

    /// A rule that ends with `/` and would match a file without it. One with a wildcard names no file: the `!*/` of a
    /// whitelist would become `!*` and cancel it, and `*/` would become `*`.
    fn is_file(&self, rule: &Rule, number: usize) -> Option<String> {
        if last_literal(rule).is_none() || !self.file.would_match_file(number) {
            return None;
        }
        let text = rule.excerpt();
        let why = "a rule that ends with / is for folders, and only a file has this name";
        Some(format!("{why}; write {}", text.strip_suffix('/')?))
    }
}

/// A rule whose last name exists in other case alone.
fn other_case(rule: &Rule, other_cases: &FxHashMap<&[u8], Vec<u8>>) -> Option<String> {
    let name = other_cases.get(last_literal(rule)?)?;
    let meant = [split_last(&rule.text).0, name].concat();
    Some(format!("case counts in names; there is {}", escape(&meant)))
}

/// The plain name that a rule ends with.
fn last_literal(rule: &Rule) -> Option<&[u8]> {
    match rule.path.as_ref().ok()?.last()? {
        Step::Name(Glob::Literal(name)) => Some(name),
        _ => None,
    }
}

/// For each of `names`, a name below the folder that differs from it in upper and lower case alone, if there is one.
fn other_cases<'n>(top: &Folder, names: impl Iterator<Item = &'n [u8]>) -> FxHashMap<&'n [u8], Vec<u8>> {
    // Two names that differ in case alone: at least one of them has a capital letter.
    let tree_has_upper = top.has_upper();
    let names = names.filter(|name| tree_has_upper || name.iter().any(u8::is_ascii_uppercase));
    let mut wanted: FxHashMap<Vec<u8>, Vec<&[u8]>> = FxHashMap::default();
    names.for_each(|name| wanted.entry(name.to_ascii_lowercase()).or_default().push(name));
    let lengths = wanted.keys().fold(0, |lengths, name| lengths | length_bit(name));
    let mut search = Search { wanted, lengths, found: FxHashMap::default() };
    if !search.wanted.is_empty() {
        search.folder(top, &mut Vec::new());
    }
    search.found
}

struct Search<'n> {
    /// By the name in lower case.
    wanted: FxHashMap<Vec<u8>, Vec<&'n [u8]>>,
    /// A bit for each of their lengths: most names of a tree have another one.
    lengths: u64,
    found: FxHashMap<&'n [u8], Vec<u8>>,
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

impl Search<'_> {
    fn folder(&mut self, folder: &Folder, lower: &mut Vec<u8>) {
        for other in folder.names().filter(|name| self.lengths & length_bit(name) != 0) {
            lower.clear();
            lower.extend(other.iter().map(u8::to_ascii_lowercase));
            let wanted = self.wanted.get(lower.as_slice()).into_iter().flatten();
            for name in wanted.filter(|name| **name != other) {
                self.found.entry(name).or_insert_with(|| other.to_vec());
            }
        }
        folder.entered().for_each(|(_, inner)| self.folder(inner, lower));
    }
}

fn split_last(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.strip_suffix(b"/").unwrap_or(text);
    let start = text.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    text.split_at(start)
}

/// How many existing paths a rule would match whose file is in `top`.
fn matches_of(text: &str, top: Option<&Folder>) -> usize {
    let mut matched = 0;
    if let (Some(rule), Some(top)) = (rule::parse(text.as_bytes()).first(), top) {
        top.matches_of(rule, &mut |_| {
            matched += 1;
            false
        });
    }
    matched
}

/// A `!` rule for a path in a folder that another rule leaves out: git never looks into it.
fn behind_a_left_out_folder(tree: &Tree, file: &RulesFile, rule: &Rule) -> Option<String> {
    let path = rule.path.as_ref().ok()?;
    let mut names = file.folder.clone();
    for step in path.iter().take(path.len() - 1) {
        let Step::Name(Glob::Literal(name)) = step else { return None };
        names.push(name.clone());
        let decision = decide::decide(&tree.files, &names, true).filter(|decision| !decision.rule().negated);
        if let Some(decision) = decision {
            let other = decision.rule();
            let folder =
                names[file.folder.len()..].iter().map(|name| escape(name)).collect::<Vec<_>>().join("/");
            return Some(format!(
                "it can't take anything back in: line {} ({}) leaves out its folder {folder}; write {folder}/* there",
                other.line,
                other.excerpt()
            ));
        }
    }
    None
}
