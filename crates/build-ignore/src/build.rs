//! One root from folder to lines: walk, compile, check, name what differs, check again.
//!
//! Out come the sections to write and every warning about them. Nothing is written here.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use common::problem::Problem;
use common::text::{count, escape, word};
use common::units;

use crate::decide;
use crate::held::Held;
use crate::hints;
use crate::index::Id;
use crate::reconcile::{self, Difference, DifferenceKind};
use crate::restic::cost::Depths;
use crate::restic::matcher::Matcher;
use crate::rules_file::FILE_NAME;
use crate::rules_file::RulesFile;
use crate::section::{self, RulePatterns, Sections};
use crate::translate::line::SeenAt;
use crate::translate::order::Position;
use crate::tree::{self, Closed, Detail, Exceptions, Tree};

/// A root, ready to be written.
#[derive(Debug)]
pub struct Built {
    /// What was seen of it.
    pub tree: Tree,
    /// What is written.
    pub sections: Sections,
    /// restic's side of the lines, for explanations; it may know lines that match nothing and are not written.
    pub matcher: Matcher,
    /// Everything that is not as it should be, by file and line.
    pub warnings: Vec<Problem>,
}

/// How a root is built.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only patterns that match something today are written.
    pub lean: bool,
    /// Rules that wait for the person's consent.
    pub held: Held,
}

/// Builds `root`. Fails only where the root itself can't be read.
pub fn build(root: &Path, seen_at: &SeenAt, detail: Detail, options: &Options) -> Result<Built> {
    let Options { lean, held } = options;
    let lean = *lean;
    let (base, inner) = (seen_at.base(), seen_at.inner.as_slice());
    let mut exceptions = Exceptions { held: held.clone(), ..Exceptions::default() };
    // Few services have too many rules, and each repetition blocks one at least.
    let (mut tree, mut sections) = loop {
        let tree = tree::walk(root, inner, detail, &exceptions)?;
        let depth = base.depth() + tree.top.height();
        let sections = section::compile(&tree.files, &base, inner, lean, depth);
        let over: Vec<_> =
            sections.iter().filter(|(_, section)| section.is_over).map(|(name, _)| name.clone()).collect();
        let blocked = &mut exceptions.blocked;
        let known = blocked.len();
        blocked.extend(tree.over.iter().cloned().chain(over));
        if blocked.len() == known {
            break (tree, sections);
        }
    };
    let mut warnings = std::mem::take(&mut tree.problems);
    warn_about_closed(&tree.closed, &mut warnings);
    warnings.extend(exceptions.blocked.iter().map(|name| too_many_rules(root, name)));
    let hints = hints::hints(&tree, root, &seen_at.names);
    warn_about_rules(&sections, &hints, &mut warnings);

    let mut matcher = Matcher::new(&sections, &base, seen_at);
    if lean {
        matcher.remember_names(&tree.top);
    }
    let differences = reconcile::compare(&tree, &matcher);
    let owners = if differences.is_empty() { Vec::new() } else { owners(&sections) };
    // They match nothing, so they decide nothing: there is no need to compare again for their sake.
    let is_lean = drop_idle_lines(&mut sections, &matcher, lean);
    if !differences.is_empty() || is_lean {
        let why = |difference: &Difference| why(difference, &tree, &matcher, &owners);
        reconcile::name_paths(&mut sections, &differences, &base, inner, why);
        matcher = Matcher::new(&sections, &base, seen_at);
        warn_about_limits(root, &sections, &mut warnings);
        let left = reconcile::compare(&tree, &matcher);
        warn_about_the_rest(root, &left, &sections, inner, &mut warnings);
    }
    warn_about_cost(&sections, &Depths::new(&tree.depths, base.depth() + 1), &mut warnings);
    warnings.extend(hints);
    warnings.extend(matcher.refused.iter().map(|line| {
        Problem::new(
            root,
            format!("a line that restic would refuse was made: {}; please report it", escape(line)),
        )
    }));
    warnings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(Built { tree, sections, matcher, warnings })
}

/// Drops lines of positive rules that match nothing today: with `lean` all of them, which become comments, else those of
/// rules that need several, down to the first. restic tries every line on every path, and the tool runs before
/// each backup. A line that takes something back could save what is made later; those stay. Returns whether any of the
/// other lines names only what it matches today, as it may with `lean`.
fn drop_idle_lines(sections: &mut Sections, matcher: &Matcher, lean: bool) -> bool {
    let mut first_id = 0;
    let mut has_lean_lines = false;
    for written in sections.values_mut().flat_map(|section| &mut section.rules) {
        let ids = first_id..first_id + written.lines.len() as Id;
        first_id = ids.end;
        let is_one_line = written.lines.len() <= 1 && !lean;
        if is_one_line || written.place.rule().negated {
            continue;
        }
        let is_idle = !ids.clone().any(|id| matcher.has_matched(id));
        let keeps_first = is_idle && !lean;
        let keeps = |id| matcher.has_matched(id) || (keeps_first && id == ids.start);
        let (kept, dropped): (Vec<_>, Vec<_>) =
            ids.clone().zip(std::mem::take(&mut written.lines)).partition(|(id, _)| keeps(*id));
        written.is_first_only = keeps_first && !dropped.is_empty();
        for (id, line) in kept {
            match matcher.lean_lines(id, &line) {
                Some(lines) => {
                    written.lines.extend(lines);
                    written.is_lean = true;
                }
                None => written.lines.push(line),
            }
        }
        has_lean_lines |= written.is_lean;
        if lean {
            written.inactive.extend(dropped.into_iter().map(|(_, line)| line));
        }
    }
    if has_lean_lines {
        sections.values_mut().for_each(|section| section::drop_repeated(&mut section.rules));
    }
    has_lean_lines
}

/// A rule that can't match anything is named once: by a hint, if there is one.
fn warn_about_rules(sections: &Sections, hints: &[Problem], warnings: &mut Vec<Problem>) {
    for written in rules_of_odd_sections(sections) {
        let (file, rule) = (&written.place.file, written.place.rule());
        let what = match written.place.position {
            Position::Never(why) => format!("matches nothing, as in git: {why}: {}", rule.excerpt()),
            _ if written.is_unsayable => {
                let text = rule.excerpt();
                format!("restic's syntax can't express it; what it matches now is listed by path: {text}")
            }
            _ => continue,
        };
        let is_hinted = |hint: &Problem| hint.line == Some(rule.line) && hint.path == file.path;
        if file.rules.hold_of(written.place.number).is_none() && !hints.iter().any(is_hinted) {
            warnings.push(Problem::at_line(&file.path, rule.line, what));
        }
    }
}

fn rules_of_odd_sections(sections: &Sections) -> impl Iterator<Item = &RulePatterns> {
    sections.values().filter(|section| section.has_odd_rules).flat_map(|section| &section.rules)
}

fn warn_about_limits(root: &Path, sections: &Sections, warnings: &mut Vec<Problem>) {
    for (name, section) in sections {
        if section.unnamed > 0 {
            let what = format!(
                "{} that rules leave out stay in the backup: more than {} would need lines of their own",
                count(section.unnamed, "path"),
                reconcile::MOST_PATHS
            );
            warnings.push(Problem::new(decide::host_path(root, name), what));
        }
    }
}

/// After single paths were named nothing may differ but what was over the limit.
fn warn_about_the_rest(
    root: &Path,
    left: &[Difference],
    sections: &Sections,
    inner: &[Vec<u8>],
    warnings: &mut Vec<Problem>,
) {
    for difference in left {
        let is_over_limit =
            sections.get(difference.section(inner)).is_some_and(|section| section.unnamed > 0);
        if is_over_limit && difference.kind != DifferenceKind::Lost {
            continue;
        }
        let what = match difference.kind {
            DifferenceKind::Lost => "would be left out although its rules keep it; please report it",
            _ => "stays in the backup although its rules leave it out",
        };
        warnings.push(Problem::new(decide::host_path(root, &difference.names), what));
    }
}

/// A pattern that takes restic longer than this for a path, in nanoseconds and on average, is named.
const COSTLY: f64 = 100_000.0;

/// Only `**` makes a pattern costly: restic tries every way to fill it.
fn warn_about_cost(sections: &Sections, depths: &Depths, warnings: &mut Vec<Problem>) {
    for written in rules_of_odd_sections(sections) {
        let lines = written.lines.iter().filter(|line| section::has_double_star(line));
        let total: f64 = lines.map(|line| depths.cost_of_line(line)).sum();
        let of_path = total / depths.paths().max(1) as f64;
        if of_path >= COSTLY {
            let (file, rule) = (&written.place.file, written.place.rule());
            let what = format!(
                "costs restic about {:.0} µs for each path, {:.0} s in all, because of its **: {}",
                of_path / 1e3,
                total / 1e9,
                rule.excerpt()
            );
            warnings.push(Problem::at_line(&file.path, rule.line, what));
        }
    }
}

/// More folders than this that can't be entered are one warning.
const MOST_CLOSED: usize = 3;

fn warn_about_closed(closed: &[Closed], warnings: &mut Vec<Problem>) {
    // Every new ext4 file system has one that only root may enter.
    let is_usual = |closed: &Closed| closed.rule.is_none() && closed.path.ends_with("lost+found");
    let closed: Vec<&Closed> = closed.iter().filter(|closed| !is_usual(closed)).collect();
    let user = nix::unistd::geteuid();
    let rules = |closed: &Closed| match &closed.rule {
        None => format!("a {FILE_NAME} in it is not seen"),
        Some((rule, 0)) => format!("rules by name leave nothing out in it: {rule}"),
        Some((rule, more)) => format!("rules by name leave nothing out in it: {rule} and {more} more"),
    };
    let help = |path: &Path| format!("to let this tool look: sudo setfacl -m u:{user}:rx {}", word(path));
    if closed.len() <= MOST_CLOSED {
        warnings.extend(closed.iter().map(|closed| {
            let what = format!("not entered: {}; {}; {}", closed.error, rules(closed), help(&closed.path));
            Problem::new(&closed.path, what)
        }));
    } else if let Some(first) = closed.iter().find(|closed| closed.rule.is_some()).or(closed.first()) {
        let what = format!(
            "and {} are not entered: {}; {}; {}",
            count(closed.len() - 1, "more folder"),
            first.error,
            rules(first),
            help(&first.path)
        );
        warnings.push(Problem::new(&first.path, what));
    }
}

fn too_many_rules(root: &Path, service: &[Vec<u8>]) -> Problem {
    let what = format!(
        "more than {} lines or {} of rules, or patterns of more than {}: none of its rules is used, and all of it is backed up",
        tree::MOST_RULES,
        units::bytes(tree::MOST_BYTES as u64),
        units::bytes(section::MOST_BYTES as u64)
    );
    Problem::new(decide::host_path(root, service), what)
}

/// For each line of the root, the rule that it was made from.
fn owners(sections: &Sections) -> Vec<Option<(Arc<RulesFile>, usize)>> {
    let mut owners = Vec::new();
    for section in sections.values() {
        for written in &section.rules {
            let owner = Some((Arc::clone(&written.place.file), written.place.number));
            owners.extend(std::iter::repeat_n(owner, written.lines.len()));
        }
        owners.extend(section.paths.iter().map(|_| None));
    }
    owners
}

fn why(
    difference: &Difference,
    tree: &Tree,
    matcher: &Matcher,
    owners: &[Option<(Arc<RulesFile>, usize)>],
) -> String {
    let is_folder = difference.kind == DifferenceKind::ExtraFolder;
    let rule = match decide::decide(&tree.files, &difference.names, is_folder) {
        Some(decision) => format!("line {}: {}", decision.rule().line, decision.rule().excerpt()),
        None => "no rule".to_string(),
    };
    let undone_by = difference.decided_by.filter(|id| matcher.is_negated(*id)).map_or_else(
        || is_folder.then(|| "a later rule's !".to_string()),
        |id| {
            let (file, number) = owners.get(id as usize)?.as_ref()?;
            let rule = &file.rules.list[*number];
            Some(format!("line {}: {}", rule.line, rule.excerpt()))
        },
    );
    match undone_by {
        Some(other) => format!("{rule}; restic would take it back in because of {other}"),
        None => format!("{rule}; no pattern expresses exactly this"),
    }
}
