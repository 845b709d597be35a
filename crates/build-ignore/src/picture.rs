//! What changed since the last run: services, rules, bytes, gaps. One line for the hook's output and for the push.
//!
//! Only a run that writes the exclude file looks back. Sizes are asked for only when the rules have changed, because they
//! cost more than the walk; the exclude file before shows what was left out until then.

use std::fs;
use std::hash::{Hash, Hasher};

use common::contract::coverage::{Gap, GapKind};
use common::contract::picture::{Bytes, Picture, PictureChange, ServicePicture};
use common::exit::one_line;
use common::services::{AFTER, PREPARE, RULES};
use common::settings::Settings;
use common::text::{WARN, escape};
use common::{atomic, note, private};
use rustc_hash::FxHasher;

use crate::build::Options;
use crate::cli::TOOL;
use crate::compare::compare;
use crate::coverage::owner;
use crate::dumps::{self, Declared};
use crate::restic::exclude_file::ExcludeFile;
use crate::root::{Root, build_roots};
use crate::tree::{Folder, Kind, Wanted};

/// More new gaps than this are a count.
const MOST_GAPS: usize = 5;
/// What belongs to the backup itself, and does not count as something that a service keeps.
const OWN_FILES: [&[u8]; 3] = [RULES.as_bytes(), PREPARE.as_bytes(), AFTER.as_bytes()];

/// What the last run left.
#[derive(Debug)]
pub(crate) struct LastRun {
    /// What it saw.
    pub(crate) picture: Option<Picture>,
    /// Its exclude file.
    pub(crate) exclude_file: Option<Vec<u8>>,
}

/// Compares what the roots are with the last run, prints what changed, and remembers it.
pub(crate) fn look_back(
    roots: &[Root],
    gaps: &[Gap],
    declared: &Declared,
    options: &Options,
    last: LastRun,
    own_rules: Vec<String>,
) {
    let settings = declared.settings;
    let place = settings.layout().ignore_picture();
    let since = fs::metadata(&place).and_then(|metadata| metadata.modified()).ok();
    let mut picture = Picture { own_rules, ..see(roots, gaps) };
    if let Some(before) = &last.picture {
        picture.changes = changes(before, &picture, settings);
        let old = last.exclude_file.filter(|_| before.rules != picture.rules);
        let bytes = old.and_then(|old| left_out(&ExcludeFile::parse(&old), settings, options));
        let much = bytes.filter(|(before, now)| is_much(*before, *now));
        picture.changes.extend(much.map(|(before, now)| PictureChange::MuchLeftOut { before, now }));
    }
    let before = last.picture.unwrap_or_default();
    for (dump, rule) in dumps::left_out(roots, declared, since) {
        if !before.dumps_left_out.contains(&dump) {
            picture.changes.push(PictureChange::DumpLeftOut { dump: dump.clone(), rule });
        }
        picture.dumps_left_out.push(dump);
    }
    report_gaps(&before, gaps);
    if let Some(line) = picture.line() {
        note!("{TOOL}: {WARN}warning{WARN:#}: {line}");
    }
    let text = serde_json::to_vec(&picture).unwrap_or_default();
    let written = private::folder(&settings.layout().state())
        .map_err(anyhow::Error::from)
        .and_then(|()| atomic::write(&place, &text, 0o600));
    if let Err(error) = written {
        note!("{TOOL}: warning: what was seen is not remembered for the next run: {}", one_line(&error));
    }
}

fn see(roots: &[Root], gaps: &[Gap]) -> Picture {
    let mut picture = Picture { gaps: gaps.iter().map(key).collect(), ..Picture::default() };
    let mut hasher = FxHasher::default();
    for root in roots {
        for (names, entry) in root.services() {
            let keeps = match entry.folder {
                _ if entry.is_ignored => false,
                Some(folder) => keeps(folder) || !leaves_out(folder),
                None => continue,
            };
            picture.services.insert(root.place.service(&names), ServicePicture { rules: 0, keeps });
        }
        for file in &root.built.tree.files {
            // Not as a path, whose hash takes it apart.
            file.path.as_os_str().hash(&mut hasher);
            file.rules.fingerprint.hash(&mut hasher);
            let name = root.place.service(&file.folder);
            let service = picture.services.entry(name).or_insert(ServicePicture { rules: 0, keeps: true });
            service.rules += file.rules.list.iter().filter(|rule| rule.line > 0).count();
        }
    }
    picture.rules = hasher.finish();
    picture
}

/// Whether something in the folder is in the backup. A folder to which no rule applies is not known name by name.
fn keeps(folder: &Folder) -> bool {
    let is_own = |name: &[u8]| OWN_FILES.contains(&name);
    !folder.is_whole()
        || folder.entries().any(|entry| match entry.folder {
            Some(inner) => !entry.is_ignored && keeps(inner),
            None => entry.kind != Kind::Folder && !entry.is_ignored && !is_own(entry.name),
        })
}

/// Whether something in the folder is left out.
fn leaves_out(folder: &Folder) -> bool {
    folder.entries().any(|entry| entry.is_ignored || entry.folder.is_some_and(leaves_out))
}

fn changes(before: &Picture, now: &Picture, settings: &Settings) -> Vec<PictureChange> {
    let is_there = |service: &str| {
        let (root, name) = service.split_once('/').unwrap_or((service, ""));
        let root = if root == "data" { &settings.data_root } else { &settings.container_root };
        root.join(name).is_dir()
    };
    let mut changes = Vec::new();
    // A service that no rule applied to kept everything.
    for (name, _) in now.services.iter().filter(|(_, is)| !is.keeps) {
        if before.services.get(name).is_none_or(|was| was.keeps) {
            changes.push(PictureChange::KeepsNothing(name.clone()));
        }
    }
    for (name, _) in before.services.iter().filter(|(_, was)| was.rules > 0) {
        if now.services.get(name).is_none_or(|is| is.rules == 0) && is_there(name) {
            changes.push(PictureChange::RulesVanished(name.clone()));
        }
    }
    changes
}

/// How much of what is there today the exclude file `old` left out, and how much the rules do. None if a root can't be
/// read.
fn left_out(old: &ExcludeFile, settings: &Settings, options: &Options) -> Option<(Bytes, Bytes)> {
    let (roots, errors) = build_roots(settings, Wanted::Sizes, options).ok()?;
    let mut now = Bytes::default();
    roots.iter().for_each(|root| add(&root.built.tree.top, &mut now));
    let comparison = compare(&roots, old);
    let more: u64 = comparison.left_out.iter().map(|group| group.files.bytes).sum();
    let less: u64 = comparison.kept.values().map(|files| files.bytes).sum();
    let before = Bytes { left_out: (now.left_out + less).saturating_sub(more), ..now };
    errors.is_empty().then_some((before, now))
}

/// Whether a fifth of all bytes is newly left out.
fn is_much(before: Bytes, now: Bytes) -> bool {
    let more = now.left_out.saturating_sub(before.left_out);
    more > 0 && more >= now.total.div_ceil(5)
}

fn add(folder: &Folder, bytes: &mut Bytes) {
    for entry in folder.entries() {
        bytes.total += entry.size;
        bytes.left_out += if entry.is_ignored { entry.size } else { 0 };
        entry.folder.iter().for_each(|inner| add(inner, bytes));
    }
}

fn report_gaps(before: &Picture, gaps: &[Gap]) {
    let new: Vec<&Gap> = gaps.iter().filter(|gap| !before.gaps.contains(&key(gap))).collect();
    for gap in new.iter().take(MOST_GAPS) {
        let to = gap.leads_to.as_ref().map_or(String::new(), |to| format!(" -> {}", escape(to.as_bytes())));
        note!(
            "{TOOL}: {WARN}warning{WARN:#}: new: {}{}{to}: {}",
            escape(gap.path.as_bytes()),
            owner(gap),
            gap.what
        );
    }
    if new.len() > MOST_GAPS {
        note!("{TOOL}: warning: and {} more; all of them: build-ignore --coverage", new.len() - MOST_GAPS);
    }
}

fn key(gap: &Gap) -> (GapKind, String) {
    (gap.kind, gap.path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_is_much() {
        let bytes = |left_out, total| Bytes { total, left_out };
        for (before, now, total, expected) in
            [(10, 29, 100, false), (10, 30, 100, true), (30, 10, 100, false), (0, 0, 0, false)]
        {
            assert_eq!(is_much(bytes(before, total), bytes(now, total)), expected, "{before} {now} {total}");
        }
    }
}
