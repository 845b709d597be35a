//! Rules that look like a mistake: what the person probably meant, and what that would match.
//!
//! Only rules that match nothing today are suspected, so a rule that works is never questioned. Two mistakes are looked for
//! in rules that do match, too: a `!` behind a folder that is left out, and the same rule twice.
//!
//! What a reader gets wrong: nothing is mended here. The rule keeps git's meaning.

use std::path::Path;
use std::sync::Arc;

use common::paths;
use common::problem::Problem;
use common::text::{count, escape};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::decide;
use crate::git::glob::Glob;
use crate::git::rule::{self, Rule, Segment};
use crate::index::Step;
use crate::rules_file::RulesFile;
use crate::tree::{Folder, Kind, Tree};

/// More hints than these are not printed for a root.
const MOST: usize = 100;

/// What looks like a mistake in the rules of a tree, whose root is at `root` and to which the names of `seen_at` lead for restic.
pub(crate) fn hints(tree: &Tree, root: &Path, seen_at: &[Vec<u8>]) -> Vec<Problem> {
    let services: FxHashMap<&[u8], &Folder> =
        tree.top.entries().filter_map(|entry| Some((entry.name, entry.folder?))).collect();
    let of_file = |file: &Arc<RulesFile>| {
        let top = match file.folder.split_first() {
            None => Some(&tree.top),
            Some((service, rest)) => services.get(service.as_slice()).and_then(|folder| folder.at(rest)),
        };
        let place = Place { tree, file, top, root, seen_at };
        place.hints()
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
    root: &'a Path,
    seen_at: &'a [Vec<u8>],
}

impl Place<'_> {
    fn hints(&self) -> Vec<Problem> {
        let file = self.file;
        let mut problems = repeated(file);
        let rules = || {
            let rules = file.rules.list.iter().enumerate();
            rules.filter(|(number, rule)| rule.line > 0 && file.rules.hold_of(*number).is_none())
        };
        let unmatched = rules().filter(|(number, rule)| !rule.negated && !file.has_matched(*number));
        let other_cases = self.top.map_or_else(FxHashMap::default, |top| {
            other_cases(top, unmatched.clone().filter_map(|(_, rule)| last_literal(rule)))
        });
        for (_, rule) in rules().filter(|(_, rule)| rule.negated) {
            let what = if rule.text == b"!" {
                Some("it says nothing".to_string())
            } else {
                behind_a_left_out_folder(self.tree, file, rule)
            };
            problems.extend(what.map(|what| self.problem(rule, &what)));
        }
        for (_, rule) in unmatched {
            let what = suspicion(&rule.text, file, self.root, self.seen_at)
                .map(|meant| meant.text(self.top))
                .or_else(|| {
                    let name = other_cases.get(last_literal(rule)?)?;
                    let meant = [split_last(&rule.text).0, name].concat();
                    Some(format!("case counts in names; there is {}", escape(&meant)))
                });
            problems.extend(what.map(|what| self.problem(rule, &what)));
        }
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    fn problem(&self, rule: &Rule, what: &str) -> Problem {
        Problem::at_line(&self.file.path, rule.line, format!("{}: {what}", rule.shown()))
    }
}

/// What a rule was probably meant to be.
struct Meant {
    why: &'static str,
    /// The rules to write; none if that is not known.
    rules: Vec<String>,
}

impl Meant {
    fn text(&self, top: Option<&Folder>) -> String {
        if self.rules.is_empty() {
            return self.why.to_string();
        }
        let matched: usize = self.rules.iter().map(|rule| matches_of(rule, top)).sum();
        let would = if matched == 0 {
            "would match nothing today either".into()
        } else {
            format!("would match {}", count(matched, "path"))
        };
        let rules: Vec<String> = self.rules.iter().map(|rule| escape(rule.as_bytes())).collect();
        format!("{}; {} {would}", self.why, rules.join(" and "))
    }
}

fn suspicion(text: &[u8], file: &RulesFile, root: &Path, seen_at: &[Vec<u8>]) -> Option<Meant> {
    // This is asked about every rule that matches nothing, and most of them are right.
    let has_sign = text.iter().any(|byte| b"\"'#{(:$~\t ".contains(byte))
        || matches!(text, b"/" | [b'.', b'/', ..])
        || text.windows(2).any(|pair| pair == b"//");
    let start = text.strip_prefix(b"/").unwrap_or(text);
    let first = start.split(|&byte| byte == b'/').next().unwrap_or_default();
    let is_name = |name: &[u8]| name == first;
    let begins_with_path = first.len() < start.len()
        && (file.folder.iter().chain(seen_at).any(|name| is_name(name))
            || root.iter().any(|name| is_name(name.as_encoded_bytes())));
    if !has_sign && !begins_with_path {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let meant = |why, rule: &str| Some(Meant { why, rules: vec![rule.to_string()] });
    let only_why = |why| Some(Meant { why, rules: Vec::new() });
    if text == "/" {
        return only_why("it says nothing");
    }
    if let Some(inner) = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
    {
        return meant("quotes are part of the name", inner);
    }
    if let Some((rule, _)) = text.split_once(" #").filter(|(rule, _)| !rule.trim().is_empty()) {
        return meant("a comment needs a line of its own", rule.trim_end());
    }
    let trimmed = text.trim_end();
    if trimmed != text && !text.ends_with("\\ ") {
        return meant("the tab or blank at its end is part of the name", trimmed);
    }
    for (start, why) in [
        ("(?i)", "there are no regular expressions, and case always counts"),
        ("re:", "there are no regular expressions"),
        ("glob:", "every rule is a pattern; nothing stands before it"),
        ("+ ", "a rule has no sign before it; ! takes back in"),
        ("- ", "a rule has no sign before it"),
    ] {
        if let Some(rest) = text.strip_prefix(start) {
            return meant(why, rest.trim_start());
        }
    }
    if let Some(rest) = text.strip_prefix("./") {
        return meant("no path begins with ./", &format!("/{rest}"));
    }
    if text.contains("//") {
        let mut single = text.to_string();
        while single.contains("//") {
            single = single.replace("//", "/");
        }
        return meant("two slashes in a row match nothing", &single);
    }
    if let Some((before, rest)) = text.split_once('{') {
        if let Some((inner, after)) = rest.split_once('}').filter(|(inner, _)| inner.contains(',')) {
            let rules = inner.split(',').map(|part| format!("{before}{part}{after}")).collect();
            return Some(Meant { why: "braces are part of the name", rules });
        }
    }
    whole_path(text, file, root, seen_at)
}

/// A rule that begins with the path of its own folder: on the host, in the container, or its last names.
fn whole_path(text: &str, file: &RulesFile, root: &Path, seen_at: &[Vec<u8>]) -> Option<Meant> {
    let home = paths::home().ok().map(|home| home.to_string_lossy().into_owned());
    let mut path = text.to_string();
    let mut why = "a rule begins in the folder of its file, not at the top";
    for variable in ["$HOME/", "${HOME}/", "~/"] {
        if let Some(rest) = text.strip_prefix(variable) {
            why = "no variable and no ~ is expanded in a rule";
            path = format!("{}/{rest}", home.as_deref().unwrap_or(""));
        }
    }
    let folder: Vec<String> =
        file.folder.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let inside: Vec<String> = seen_at.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let host: Vec<String> = root.iter().skip(1).map(|name| name.to_string_lossy().into_owned()).collect();
    let names: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    // The longest beginning of these that the rule has: everything, or only the last names of it.
    for above in [host, inside] {
        let whole: Vec<String> = above.into_iter().chain(folder.iter().cloned()).collect();
        for skip in 0..whole.len() {
            let start = &whole[skip..];
            if start.len() < names.len() && start.iter().zip(&names).all(|(a, b)| a == b) {
                return Some(Meant { why, rules: vec![format!("/{}", names[start.len()..].join("/"))] });
            }
        }
    }
    (path != text).then(|| Meant { why, rules: Vec::new() })
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
    let tree_has_upper = any_upper(top);
    let names = names.filter(|name| tree_has_upper || has_upper(name));
    let wanted: FxHashMap<Vec<u8>, &[u8]> = names.map(|name| (name.to_ascii_lowercase(), name)).collect();
    let mut search = Search {
        any_upper: wanted.values().any(|name| has_upper(name)),
        wanted,
        found: FxHashMap::default(),
    };
    if !search.wanted.is_empty() {
        search.folder(top, &mut Vec::new());
    }
    search.found
}

struct Search<'n> {
    /// By the name in lower case.
    wanted: FxHashMap<Vec<u8>, &'n [u8]>,
    any_upper: bool,
    found: FxHashMap<&'n [u8], Vec<u8>>,
}

impl Search<'_> {
    fn folder(&mut self, folder: &Folder, lower: &mut Vec<u8>) {
        for entry in folder.entries() {
            if self.any_upper || has_upper(entry.name) {
                lower.clear();
                lower.extend(entry.name.iter().map(u8::to_ascii_lowercase));
                if let Some(name) = self.wanted.get(lower.as_slice()).filter(|name| **name != entry.name) {
                    self.found.entry(name).or_insert_with(|| entry.name.to_vec());
                }
            }
            entry.folder.iter().for_each(|inner| self.folder(inner, lower));
        }
    }
}

fn any_upper(folder: &Folder) -> bool {
    folder.entries().any(|entry| has_upper(entry.name) || entry.folder.is_some_and(any_upper))
}

fn has_upper(name: &[u8]) -> bool {
    name.iter().any(u8::is_ascii_uppercase)
}

fn split_last(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.strip_suffix(b"/").unwrap_or(text);
    let start = text.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    text.split_at(start)
}

/// How many existing paths a rule would match whose file is in `top`.
fn matches_of(text: &str, top: Option<&Folder>) -> usize {
    let rules = rule::parse(text.as_bytes());
    let Some((rule, path)) = rules.first().and_then(|rule| Some((rule, rule.path.as_ref().ok()?))) else {
        return 0;
    };
    let Some(top) = top else { return 0 };
    count_matches(top, path, rule.folders_only, &mut Vec::new())
}

fn count_matches<'t>(
    folder: &'t Folder,
    path: &[Segment],
    folders_only: bool,
    names: &mut Vec<&'t [u8]>,
) -> usize {
    let mut matched = 0;
    for entry in folder.entries() {
        names.push(entry.name);
        if (!folders_only || entry.kind == Kind::Folder) && rule::matches(path, names) {
            matched += 1;
        } else if let Some(inner) = entry.folder {
            matched += count_matches(inner, path, folders_only, names);
        }
        names.pop();
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
                other.shown()
            ));
        }
    }
    None
}

/// The same rule twice without a `!` rule between them.
fn repeated(file: &RulesFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: FxHashMap<&[u8], usize> = FxHashMap::default();
    for rule in &file.rules.list {
        if rule.negated {
            seen.clear();
        } else if let Some(first) = seen.insert(&rule.text, rule.line) {
            let what = format!("the same as line {first}: {}", rule.shown());
            problems.push(Problem::at_line(&file.path, rule.line, what));
        }
    }
    problems
}
