//! What changed since the last run: services, rules, bytes, gaps. One line for the hook's output and for the push.
//!
//! Only a run that writes the exclude file looks back. Sizes are asked for only when the rules have changed, because they
//! cost more than the walk; the exclude file before shows what was left out until then.

use std::fs;
use std::hash::{Hash, Hasher};

use common::contract::coverage::{Gap, GapKind};
use common::contract::picture::{Bytes, Picture, PictureChange, ServicePicture};
use common::exit::one_line;
use common::roots::DATA;
use common::services::{AFTER, PREPARE, RULES};
use common::settings::Settings;
use common::text::{WARN, escape};
use common::{atomic, note, private};
use rustc_hash::FxHasher;

use crate::build::Options;
use crate::cli::TOOL;
use crate::coverage::owner;
use crate::dumps::{self, Declared};
use crate::restic::exclude_file::{ExcludeFile, LineCursor};
use crate::root::{Root, build_roots};
use crate::tree::{Detail, Folder, Kind};

/// More new gaps than this are a count.
const MOST_GAPS: usize = 5;
/// What belongs to the backup itself, and does not count as something that a service keeps.
const OWN_FILES: [&[u8]; 3] = [RULES.as_bytes(), PREPARE.as_bytes(), AFTER.as_bytes()];

/// Patterns that are not looked up times paths. If it is more, sizes are not compared, which is reported: this many tries
/// take about 15 seconds, by the constants of `restic::cost`, while services wait for their backup.
const MOST_TRIES: usize = 10_000_000;

/// If the rules have changed and all roots can be read: prints and returns that `new` leaves out a fifth more than `old`,
/// the exclude file before, or that this can't be measured.
pub(crate) fn compare(
    before: &Picture,
    roots: &[Root],
    old: &[u8],
    new: &[u8],
    settings: &Settings,
    options: &Options,
) -> Option<PictureChange> {
    if before.rules == fingerprint(roots) {
        return None;
    }
    let (roots, errors) = build_roots(settings, Detail::Sizes, options).ok()?;
    let trees = roots.iter().map(|root| (&root.built.tree.top, root.seen_at.names.as_slice()));
    if !errors.is_empty() {
        return None;
    }
    let much = match left_out(&trees.collect::<Vec<_>>(), old, new, MOST_TRIES) {
        None => PictureChange::NotMeasured,
        Some((before, now)) if is_much(before, now) => PictureChange::MuchLeftOut { before, now },
        Some(_) => return None,
    };
    warn(&Picture { changes: vec![much.clone()], ..Picture::default() });
    Some(much)
}

/// Compares what the roots are with the last run, prints what changed, and remembers it; `much` was printed before.
pub(crate) fn look_back(
    roots: &[Root],
    gaps: &[Gap],
    declared: &Declared,
    before: Option<Picture>,
    much: Option<PictureChange>,
    own_rules: Vec<String>,
) {
    let settings = declared.settings;
    let place = settings.layout().ignore_picture();
    let since = fs::metadata(&place).and_then(|metadata| metadata.modified()).ok();
    let mut picture = Picture { own_rules, ..see(roots, gaps) };
    if let Some(before) = &before {
        picture.changes = changes(before, &picture, settings);
    }
    let before = before.unwrap_or_default();
    for (dump, rule) in dumps::left_out(roots, declared, since) {
        if !before.dumps_left_out.contains(&dump) {
            picture.changes.push(PictureChange::DumpLeftOut { dump: dump.clone(), rule });
        }
        picture.dumps_left_out.push(dump);
    }
    report_gaps(&before, gaps);
    warn(&picture);
    picture.changes.splice(..0, much);
    let text = serde_json::to_vec(&picture).unwrap_or_default();
    let written = private::folder(&settings.layout().state())
        .map_err(anyhow::Error::from)
        .and_then(|()| atomic::write(&place, &text, 0o600));
    if let Err(error) = written {
        note!("{TOOL}: warning: what was seen is not remembered for the next run: {}", one_line(&error));
    }
}

fn warn(picture: &Picture) {
    if let Some(line) = picture.line() {
        note!("{TOOL}: {WARN}warning{WARN:#}: {line}");
    }
}

fn fingerprint(roots: &[Root]) -> u64 {
    let mut hasher = FxHasher::default();
    for file in roots.iter().flat_map(|root| &root.built.tree.files) {
        // Not as a path, whose hash takes it apart.
        file.path.as_os_str().hash(&mut hasher);
        file.rules.fingerprint.hash(&mut hasher);
    }
    hasher.finish()
}

fn see(roots: &[Root], gaps: &[Gap]) -> Picture {
    let gaps = gaps.iter().map(key).collect();
    let mut picture = Picture { gaps, rules: fingerprint(roots), ..Picture::default() };
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
            let name = root.place.service(&file.folder);
            let service = picture.services.entry(name).or_insert(ServicePicture { rules: 0, keeps: true });
            service.rules += file.rules.list.iter().filter(|rule| rule.line > 0).count();
        }
    }
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
        let root = if root == DATA { &settings.data_root } else { &settings.container_root };
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

/// How much of the trees, each with the names that lead to it, the exclude files `old` and `new` leave out. A path that
/// rules leave out and no line does is kept. None if more than `most` patterns would be tried one by one.
fn left_out(trees: &[(&Folder, &[Vec<u8>])], old: &[u8], new: &[u8], most: usize) -> Option<(Bytes, Bytes)> {
    let (old, new) = (ExcludeFile::parse(old), ExcludeFile::parse(new));
    let paths: usize = trees.iter().map(|(top, _)| paths(top)).sum();
    if paths.saturating_mul(old.one_by_one() + new.one_by_one()) > most {
        return None;
    }
    let mut bytes = (Bytes::default(), Bytes::default());
    trees.iter().for_each(|(top, names)| add(top, &old.at(names), &new.at(names), &mut bytes));
    Some(bytes)
}

fn paths(folder: &Folder) -> usize {
    folder.names().count() + folder.entered().map(|(_, inner)| paths(inner)).sum::<usize>()
}

/// Whether a fifth of all bytes is newly left out.
fn is_much(before: Bytes, now: Bytes) -> bool {
    let more = now.left_out.saturating_sub(before.left_out);
    more > 0 && more >= now.total.div_ceil(5)
}

fn add(folder: &Folder, old: &LineCursor, new: &LineCursor, bytes: &mut (Bytes, Bytes)) {
    for entry in folder.entries() {
        for (cursor, bytes) in [(old, &mut bytes.0), (new, &mut bytes.1)] {
            bytes.total += entry.size;
            bytes.left_out += if cursor.leaves_out(entry.name) { entry.size } else { 0 };
        }
        if let Some(inner) = entry.folder {
            add(inner, &old.enter(entry.name), &new.enter(entry.name), bytes);
        }
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
    use crate::build::build;
    use crate::translate::line::SeenAt;

    #[test]
    fn too_many_patterns_are_not_tried_one_by_one() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("photo"), "1234").unwrap();
        fs::write(root.path().join("f"), "5").unwrap();
        let seen_at = SeenAt { names: vec![b"data".to_vec()], inner: Vec::new() };
        let built = build(root.path(), &seen_at, Detail::Sizes, &Options::default()).unwrap();
        let trees = [(&built.tree.top, seen_at.names.as_slice())];
        // Two paths; a pattern of each file has two **.
        let (old, new) = (b"/data/**/a/**/b\n", b"/data/photo\n/data/**/a/**/b\n");
        let bytes = |left_out| Bytes { total: 5, left_out };
        assert_eq!(left_out(&trees, old, new, 4), Some((bytes(0), bytes(4))));
        assert_eq!(left_out(&trees, old, new, 3), None);
        assert_eq!(left_out(&trees, b"/data/**/f\n", b"", 0), Some((bytes(1), bytes(0))));
    }

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
