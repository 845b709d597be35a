//! Rules that look like a mistake: what the person probably meant, and what that would match.
//!
//! Only rules that match nothing today are suspected, so a rule that works is never questioned. Two mistakes are looked for
//! in rules that do match, too: a `!` behind a folder that is left out, and the same rule twice.
//!
//! What a reader gets wrong: nothing is mended here. The rule keeps git's meaning.

use std::collections::HashMap;
use std::path::Path;

use common::paths;
use common::problem::Problem;
use common::text::{count, escape};

use crate::build::SeenAt;
use crate::decide;
use crate::git::glob::Glob;
use crate::git::rule::{self, Rule, Segment};
use crate::index::Step;
use crate::rules_file::RulesFile;
use crate::tree::{Folder, Kind, Tree};

/// More suspicious rules of a root than this are not looked into.
const MOST: usize = 100;

/// What looks like a mistake in the rules of a tree, whose root is at `root` and seen at `seen_at`.
pub(crate) fn hints(tree: &Tree, root: &Path, seen_at: &SeenAt) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in &tree.files {
        repeated(file, &mut problems);
        for (number, rule) in file.rules.list.iter().enumerate() {
            if problems.len() >= MOST {
                return problems;
            }
            if rule.line == 0 || file.rules.hold_of(number).is_some() {
                continue;
            }
            let what = match rule.negated {
                true if rule.text == b"!" => Some("it says nothing".to_string()),
                true => behind_a_left_out_folder(tree, file, rule),
                false if file.has_matched(number) => None,
                false => suspicion(&rule.text, file, root, seen_at)
                    .map(|meant| meant.text(tree, file))
                    .or_else(|| other_case(tree, file, rule)),
            };
            let what = what.map(|what| format!("{}: {what}", rule.shown()));
            problems.extend(what.map(|what| Problem::at_line(&file.path, rule.line, what)));
        }
    }
    problems
}

/// What a rule was probably meant to be.
struct Meant {
    why: &'static str,
    /// The rules to write; none if that is not known.
    rules: Vec<String>,
}

impl Meant {
    fn text(&self, tree: &Tree, file: &RulesFile) -> String {
        if self.rules.is_empty() {
            return self.why.to_string();
        }
        let matched: usize = self.rules.iter().map(|rule| matches_of(rule, tree, file)).sum();
        let would = if matched == 0 {
            "would match nothing today either".into()
        } else {
            format!("would match {}", count(matched, "path"))
        };
        let rules: Vec<String> = self.rules.iter().map(|rule| escape(rule.as_bytes())).collect();
        format!("{}; {} {would}", self.why, rules.join(" and "))
    }
}

fn suspicion(text: &[u8], file: &RulesFile, root: &Path, seen_at: &SeenAt) -> Option<Meant> {
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
fn whole_path(text: &str, file: &RulesFile, root: &Path, seen_at: &SeenAt) -> Option<Meant> {
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
    let inside: Vec<String> =
        seen_at.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
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

/// The same rule if upper and lower case did not count.
fn other_case(tree: &Tree, file: &RulesFile, rule: &Rule) -> Option<String> {
    let path = rule.path.as_ref().ok()?;
    let last = match path.last()? {
        Step::Name(Glob::Literal(name)) => name,
        _ => return None,
    };
    let top = tree.top.at(&file.folder)?;
    let found = find_name(top, &last.to_ascii_lowercase(), last)?;
    let (folder, _) = split_last(&rule.text);
    let meant = [folder, &found].concat();
    Some(format!("case counts in names; there is {}", escape(&meant)))
}

fn split_last(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.strip_suffix(b"/").unwrap_or(text);
    let start = text.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    text.split_at(start)
}

fn find_name(folder: &Folder, lower: &[u8], but: &[u8]) -> Option<Vec<u8>> {
    folder.entries().find_map(|entry| {
        if entry.name != but && entry.name.to_ascii_lowercase() == lower {
            return Some(entry.name.to_vec());
        }
        find_name(entry.folder?, lower, but)
    })
}

/// How many existing paths a rule in this file would match.
fn matches_of(text: &str, tree: &Tree, file: &RulesFile) -> usize {
    let rules = rule::parse(text.as_bytes());
    let Some((rule, path)) = rules.first().and_then(|rule| Some((rule, rule.path.as_ref().ok()?))) else {
        return 0;
    };
    let Some(top) = tree.top.at(&file.folder) else { return 0 };
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
fn repeated(file: &RulesFile, problems: &mut Vec<Problem>) {
    let mut seen: HashMap<&[u8], usize> = HashMap::new();
    for rule in &file.rules.list {
        if rule.negated {
            seen.clear();
        } else if let Some(first) = seen.insert(&rule.text, rule.line).filter(|_| problems.len() < MOST) {
            let what = format!("the same as line {first}: {}", rule.shown());
            problems.push(Problem::at_line(&file.path, rule.line, what));
        }
    }
}
