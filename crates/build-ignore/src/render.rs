//! The exclude file's text: for restic, and for the person who looks into it.
//!
//! A header, then a heading for each service with its folder; over the patterns of a rule stands the rule, unless it
//! is plain to see in the pattern. The same sections give the same bytes.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use common::text::{escape, escape_path};
use rayon::prelude::*;

use crate::decide::host_path;
use crate::index::Step;
use crate::root::Root;
use crate::rules_file::{Hold, RulesFile};
use crate::section::{RulePatterns, Section};
use crate::translate::order::Position;

/// restic reads no line of 64 KiB or more, not even a comment.
const LONGEST_COMMENT: usize = 200;

/// How a file begins that this tool has made.
pub(crate) const FIRST_LINE: &str = "# Made by build-ignore ";

/// The whole file.
pub(crate) fn render(roots: &[Root]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(FIRST_LINE.as_bytes());
    out.extend_from_slice(concat!(env!("CARGO_PKG_VERSION"), " from every .resticignore.\n").as_bytes());
    comment(
        &mut out,
        &["Do not edit: the next run replaces this file. Change the .resticignore files instead."],
    );
    for root in roots {
        let sections: Vec<_> = root.built.sections.iter().collect();
        let texts: Vec<Vec<u8>> = sections
            .into_par_iter()
            .filter(|(_, section)| !section.rules.is_empty() || !section.paths.is_empty())
            .map(|(name, section)| {
                let lines: usize = section.lines().map(<[u8]>::len).sum();
                let mut out = Vec::with_capacity(2 * lines);
                heading(&mut out, root, name);
                push_section(&mut out, &root.place.path, section);
                out
            })
            .collect();
        out.reserve(texts.iter().map(Vec::len).sum());
        texts.iter().for_each(|text| out.extend_from_slice(text));
    }
    out
}

fn heading(out: &mut Vec<u8>, root: &Root, service: &[Vec<u8>]) {
    let title = root.place.service(service);
    out.push(b'\n');
    comment(out, &["== ", &title, " (", &escape_path(host_path(&root.place.path, service)), ")"]);
}

fn push_section(out: &mut Vec<u8>, root: &Path, section: &Section) {
    let mut last_file: Option<(&Arc<RulesFile>, String)> = None;
    for written in &section.rules {
        if let Some(remark) = remark(written) {
            let (file, rule) = (&written.place.file, written.place.rule());
            let path = match last_file.take() {
                Some((last, path)) if Arc::ptr_eq(last, file) => path,
                _ => escape_path(file.path.strip_prefix(root).unwrap_or(&file.path)),
            };
            let (colon, line) =
                if rule.line == 0 { ("", String::new()) } else { (":", rule.line.to_string()) };
            comment(out, &[&path, colon, &line, ": ", &rule.excerpt(), &remark]);
            last_file = Some((file, path));
        }
        for line in &written.lines {
            push_line(out, line);
        }
        for line in &written.inactive {
            comment(out, &[&escape(line)]);
        }
    }
    let mut last_why = None;
    for path in &section.paths {
        if last_why != Some(&path.why) {
            comment(out, &["by path: ", &path.why]);
            last_why = Some(&path.why);
        }
        push_line(out, &path.line);
    }
}

/// What stands behind the rule in its comment; none where it needs no comment.
fn remark(written: &RulePatterns) -> Option<Cow<'static, str>> {
    match written.place.file.rules.hold_of(written.place.number) {
        Some(Hold::Anchored) => {
            return Some("  (held back until build-ignore --adopt: only at the top)".into());
        }
        Some(Hold::Off) => return Some("  (held back until build-ignore --adopt)".into()),
        None => {}
    }
    Some(match written.place.position {
        Position::Never(why) => format!("  (matches nothing, as in git: {why})").into(),
        Position::BringsNothingBack => "  (nothing to bring back)".into(),
        Position::MatchesNothing => "  (matches nothing today)".into(),
        Position::InOrder | Position::Last if written.is_unsayable => {
            "  (no pattern can express this; see the single paths below)".into()
        }
        Position::InOrder | Position::Last if written.lines.is_empty() && written.inactive.is_empty() => {
            "  (another line does the same)".into()
        }
        Position::InOrder | Position::Last if written.is_first_only => {
            "  (matches nothing today, so only its first level is written)".into()
        }
        Position::InOrder | Position::Last if written.is_lean => {
            "  (only for the names that it matches today)".into()
        }
        Position::InOrder | Position::Last if is_plain(written) => return None,
        Position::InOrder | Position::Last => "".into(),
    })
}

/// Whether the one line is just the rule behind the folder of its file.
fn is_plain(written: &RulePatterns) -> bool {
    let rule = written.place.rule();
    if rule.path.as_ref().is_ok_and(|path| path.first() == Some(&Step::AnyFolders)) {
        return false;
    }
    let text = rule.text.strip_prefix(b"!").unwrap_or(&rule.text);
    let text = text.strip_prefix(b"/").unwrap_or(text);
    match written.lines.as_slice() {
        [line] => line.strip_suffix(text).is_some_and(|base| base.ends_with(b"/") && !base.ends_with(b"**/")),
        _ => false,
    }
}

fn push_line(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// The pieces of `text` as one comment.
fn comment(out: &mut Vec<u8>, text: &[&str]) {
    out.extend_from_slice(b"# ");
    if text.iter().map(|piece| piece.len()).sum::<usize>() <= LONGEST_COMMENT {
        text.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
    } else {
        let short: String = text.iter().flat_map(|piece| piece.chars()).take(LONGEST_COMMENT).collect();
        out.extend_from_slice(short.as_bytes());
        out.extend_from_slice("…".as_bytes());
    }
    out.push(b'\n');
}
