//! 0 lost and 0 extra: random services, real git, real backups by two versions of restic.
//!
//! `IGNORE_SEED` repeats a run, `IGNORE_SERVICES` sets how many services there are, `IGNORE_MINUTES` goes on for as long
//! instead. A failure is made smaller until no line and no path can be left away, and printed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use build_ignore::build::{Options, build};
use build_ignore::section::{NamedPath, Section, Sections};
use build_ignore::translate::line::SeenAt;
use build_ignore::tree::Detail;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::case::{Case, Node, path_of};
use crate::generate;
use crate::oracle::{Restic, Verdict, kept_by_git, scratch};

const SERVICES_IN_A_BATCH: usize = 100;

#[track_caller]
pub(crate) fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// The exclude file for `root`, as the tool would write it for a restic that sees it there.
#[track_caller]
fn write_exclude_file(root: &Path, seen_at: &SeenAt, file: &Path, lean: bool) {
    let built = build(root, seen_at, Detail::Rules, &Options { lean, ..Options::default() }).unwrap();
    let taken_back: Vec<_> =
        named_paths(&built.sections).filter(|path| path.line.starts_with(b"!")).collect();
    assert!(taken_back.is_empty(), "the patterns alone would lose files: {taken_back:?}");
    write_lines(built.sections.values().flat_map(Section::lines), file);
}

#[track_caller]
fn write_lines<'a>(lines: impl Iterator<Item = &'a [u8]>, file: &Path) {
    let lines: Vec<&[u8]> = lines.collect();
    fs::write(file, [lines.join(&b'\n').as_slice(), b"\n"].concat()).unwrap();
}

fn named_paths(sections: &Sections) -> impl Iterator<Item = &NamedPath> {
    sections.values().flat_map(|section| &section.paths)
}

pub(crate) fn seen_at(root: &Path) -> SeenAt {
    let names = root.iter().skip(1).map(|name| name.as_encoded_bytes().to_vec()).collect();
    SeenAt { names, inner: Vec::new() }
}

#[track_caller]
pub(crate) fn verdict(root: &Path, scratch: &Path, restic: &Restic, lean: bool) -> Verdict {
    verdict_at(root, &seen_at(root), scratch, restic, lean)
}

#[track_caller]
fn verdict_at(root: &Path, seen_at: &SeenAt, scratch: &Path, restic: &Restic, lean: bool) -> Verdict {
    let exclude_file = scratch.join("exclude");
    write_exclude_file(root, seen_at, &exclude_file, lean);
    Verdict::of(&kept_by_git(root, scratch), &restic.backed_up(root, &exclude_file))
}

#[track_caller]
fn write_batch(root: &Path, cases: &[Case], rules_of_root: Option<&Vec<Vec<u8>>>) {
    for (number, case) in cases.iter().enumerate() {
        case.write(&root.join(format!("service-{number}")));
    }
    if let Some(lines) = rules_of_root {
        fs::write(root.join(".resticignore"), lines.concat()).unwrap();
    }
}

/// The same failure with less in it.
#[track_caller]
fn shrink(case: Case, rules_of_root: Option<&Vec<Vec<u8>>>, restic: &Restic, lean: bool) -> Case {
    let fails = |case: &Case| {
        let scratch = scratch();
        let root = scratch.path().join("data");
        write_batch(&root, std::slice::from_ref(case), rules_of_root);
        !verdict(&root, scratch.path(), restic, lean).is_clean()
    };
    let mut smallest = case;
    let end = Instant::now() + Duration::from_secs(240);
    while let Some(smaller) = smallest.smaller().into_iter().find(|case| Instant::now() < end && fails(case))
    {
        smallest = smaller;
    }
    smallest
}

#[test]
fn nothing_is_lost_and_nothing_is_extra() {
    let seed = setting("IGNORE_SEED").unwrap_or_else(|| rand::rng().random());
    let services = setting("IGNORE_SERVICES").unwrap_or(400) as usize;
    let minutes = setting("IGNORE_MINUTES").map(|minutes| Duration::from_secs(60 * minutes));
    println!("IGNORE_SEED={seed}");
    let restics = Restic::both();
    let started = Instant::now();
    let mut done = 0;
    let mut files = 0;
    for batch in 0.. {
        let is_over = minutes.map_or(done >= services, |minutes| started.elapsed() >= minutes);
        if is_over {
            break;
        }
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(batch));
        let cases: Vec<Case> =
            (0..SERVICES_IN_A_BATCH).map(|number| generate::service(&mut random, 8 + number / 2)).collect();
        let rules_of_root = (batch % 3 == 2).then(|| generate::rules(&mut random, &cases[0]));
        let scratch = scratch();
        let root = scratch.path().join("data");
        write_batch(&root, &cases, rules_of_root.as_ref());
        // What --lean writes is another file; for that one restic a batch is enough.
        let with_lean = &restics[batch as usize % restics.len()];
        for (restic, lean) in restics.iter().map(|restic| (restic, false)).chain([(with_lean, true)]) {
            let verdict = verdict(&root, scratch.path(), restic, lean);
            if !verdict.is_clean() {
                let service = verdict.services().into_iter().next().unwrap().to_string_lossy().into_owned();
                let number: Option<usize> =
                    service.strip_prefix("service-").and_then(|number| number.parse().ok());
                let case = shrink(cases[number.unwrap_or(0)].clone(), rules_of_root.as_ref(), restic, lean);
                let rules_of_root = rules_of_root.map(|lines| {
                    let mut case = Case::default();
                    case.add(&[b".resticignore".to_vec()], Node::Rules(lines));
                    case.to_string()
                });
                panic!(
                    "IGNORE_SEED={} {}, lean {lean}: {} lost, {} extra, first in {service}: {:?}\nmade smaller:\n{case}\nroot:\n{}",
                    seed.wrapping_add(batch),
                    restic.version(),
                    verdict.lost.len(),
                    verdict.extra.len(),
                    verdict
                        .lost
                        .iter()
                        .chain(&verdict.extra)
                        .next()
                        .map(|path| path.escape_ascii().to_string()),
                    rules_of_root.unwrap_or_default(),
                );
            }
        }
        done += cases.len();
        files += cases.iter().map(|case| case.nodes.len()).sum::<usize>();
    }
    println!("{done} services, {files} paths, both restics: 0 lost, 0 extra in {:.0?}", started.elapsed());
}

/// The services of a root that is in a service of the other one have sections of their own, and rules above all of them.
#[test]
fn nothing_is_lost_or_extra_if_a_root_is_in_the_other_one() {
    let seed = setting("IGNORE_SEED").unwrap_or_else(|| rand::rng().random());
    println!("IGNORE_SEED={seed}");
    let restics = Restic::both();
    let mut random = StdRng::seed_from_u64(seed);
    let mut kept = 0;
    for inner in
        [&[b"service-0".to_vec()][..], &[b"service-0".to_vec(), b"in".to_vec(), b"containers".to_vec()]]
    {
        let scratch = scratch();
        let root = scratch.path().join("data");
        let inner_root = path_of(&root, inner);
        for folder in [&root, &inner_root] {
            let cases: Vec<Case> = (0..60).map(|_| generate::service(&mut random, 20)).collect();
            write_batch(folder, &cases, None);
        }
        for folder in [root.clone(), root.join("service-0"), inner_root] {
            let about = generate::service(&mut random, 20);
            fs::write(folder.join(".resticignore"), generate::rules(&mut random, &about).concat()).unwrap();
        }
        let seen_at = SeenAt { inner: inner.to_vec(), ..seen_at(&root) };
        for (restic, lean) in [(&restics[0], false), (&restics[1], true)] {
            let verdict = verdict_at(&root, &seen_at, scratch.path(), restic, lean);
            assert!(verdict.is_clean(), "IGNORE_SEED={seed} lean {lean}, {inner:?}: {verdict:?}");
        }
        kept += kept_by_git(&root, scratch.path()).len();
    }
    println!("{kept} kept files, 0 lost, 0 extra");
}

/// Makes, removes and turns over files and folders, as a day of work does.
#[track_caller]
fn change(root: &Path, random: &mut StdRng, cases: &mut [Case]) {
    for (number, case) in cases.iter_mut().enumerate() {
        let folder = root.join(format!("service-{number}"));
        let fresh = generate::service(random, 12);
        for (names, node) in fresh.nodes.into_iter().filter(|(_, node)| !matches!(node, Node::Rules(_))) {
            // Now and then an entry changes its kind: a file becomes a folder, or the reverse.
            let turned =
                case.nodes.get(&names).is_some_and(|old| *old != node && !matches!(old, Node::Rules(_)));
            let holds_rules = case
                .nodes
                .keys()
                .any(|path| path.starts_with(&names) && path.last().unwrap() == b".resticignore");
            if turned && !holds_rules {
                case.nodes.retain(|path, _| !path.starts_with(&names));
            }
            if random.random_bool(0.8) {
                case.add(&names, node);
            }
        }
        fs::remove_dir_all(&folder).unwrap();
        case.write(&folder);
    }
}

/// The one way to lose a file: a path that was named because no pattern expresses exactly this was a file then, and is a
/// wanted folder now.
fn lies_in_a_named_file(path: &[u8], named: &[Vec<Vec<u8>>]) -> bool {
    let names: Vec<Vec<u8>> = path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect();
    named.iter().any(|named| names.starts_with(named) && names.len() > named.len())
}

#[test]
fn nothing_is_lost_in_a_tree_that_changes_after_the_run() {
    let seed = setting("IGNORE_SEED").unwrap_or_else(|| rand::rng().random());
    println!("IGNORE_SEED={seed}");
    let restics = Restic::both();
    let mut random = StdRng::seed_from_u64(seed);
    let scratch = scratch();
    let root = scratch.path().join("data");
    let mut cases: Vec<Case> = (0..150).map(|_| generate::service(&mut random, 40)).collect();
    write_batch(&root, &cases, None);

    let built = build(&root, &seen_at(&root), Detail::Rules, &Options::default()).unwrap();
    let (patterns, all) = (scratch.path().join("patterns"), scratch.path().join("all"));
    let of_rules = built.sections.values().flat_map(|section| &section.rules).flat_map(|rule| &rule.lines);
    write_lines(of_rules.map(Vec::as_slice), &patterns);
    write_lines(built.sections.values().flat_map(Section::lines), &all);
    let named_files: Vec<_> = named_paths(&built.sections)
        .filter(|path| !path_of(&root, &path.names).is_dir() || path_of(&root, &path.names).is_symlink())
        .map(|path| path.names.clone())
        .collect();

    let lean = scratch.path().join("lean");
    let built =
        build(&root, &seen_at(&root), Detail::Rules, &Options { lean: true, ..Options::default() }).unwrap();
    let of_rules = built.sections.values().flat_map(|section| &section.rules).flat_map(|rule| &rule.lines);
    write_lines(of_rules.map(Vec::as_slice), &lean);

    change(&root, &mut random, &mut cases);
    let kept = kept_by_git(&root, scratch.path());
    let lost = Verdict::of(&kept, &restics[0].backed_up(&root, &lean)).lost;
    assert!(lost.is_empty(), "IGNORE_SEED={seed}: the patterns of --lean alone lose {lost:?}");
    for restic in &restics {
        let lost = Verdict::of(&kept, &restic.backed_up(&root, &patterns)).lost;
        assert!(lost.is_empty(), "IGNORE_SEED={seed}: the patterns alone lose {lost:?}");
        let lost = Verdict::of(&kept, &restic.backed_up(&root, &all)).lost;
        let unexplained: Vec<_> =
            lost.iter().filter(|path| !lies_in_a_named_file(path, &named_files)).collect();
        assert!(unexplained.is_empty(), "IGNORE_SEED={seed}: lost {unexplained:?}");
        println!(
            "{}: of {} kept files 0 lost to patterns, {} to the path of a file that became a folder",
            restic.version(),
            kept.len(),
            lost.len()
        );
    }
}
