//! Folders and rules files that the tool may not read, and restic (root in its container) can.
//!
//! The rules in them may keep anything. So what git keeps, asked as root, is in the backup all the same. What git ignores
//! may get into it, but only there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::testing::Sandbox;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bad_input::as_ordinary_user;
use crate::case::{Case, Names, Node, path_of};
use crate::generate;
use crate::oracle::{Restic, Verdict, kept_by_git, output_of, scratch};
use crate::property::setting;

const SERVICES: usize = 80;

/// Some folders and rules files of the service, none inside another one.
fn to_close(case: &Case, random: &mut StdRng) -> Vec<Names> {
    let mut closed: Vec<Names> = Vec::new();
    for (names, node) in &case.nodes {
        let is_inside = closed.iter().any(|folder| names.starts_with(folder));
        let share = if matches!(node, Node::Rules(_)) { 0.5 } else { 0.2 };
        if matches!(node, Node::Folder | Node::Rules(_)) && !is_inside && random.random_bool(share) {
            closed.push(names.clone());
        }
    }
    closed
}

#[track_caller]
fn set_mode(paths: &[PathBuf], mode: u32) {
    for path in paths {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn nothing_is_lost_for_what_can_not_be_read() {
    let seed = setting("IGNORE_SEED").unwrap_or_else(|| rand::rng().random());
    println!("IGNORE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    let mut closed = Vec::new();
    for number in 0..SERVICES {
        let case = generate::service(&mut random, 40);
        let service = root.join(format!("service-{number}"));
        case.write(&service);
        closed.extend(to_close(&case, &mut random).iter().map(|names| path_of(&service, names)));
    }
    let (files, folders): (Vec<&PathBuf>, Vec<&PathBuf>) = closed.iter().partition(|path| path.is_file());
    assert!(folders.len() > SERVICES / 4, "only {} folders were closed", folders.len());
    assert!(files.len() > SERVICES / 4, "only {} rules files were closed", files.len());
    // Rules above all services apply in what is closed, too.
    fs::write(root.join(".resticignore"), generate::rules(&mut random, &Case::default()).concat()).unwrap();

    set_mode(&closed, 0o000);
    let mut tool = as_ordinary_user(&sandbox);
    tool.arg(env!("CARGO_BIN_EXE_build-ignore")).args(["--output", "-", "--mount"]).arg(sandbox.home());
    let written = output_of(&mut tool);
    set_mode(&closed, 0o755);
    let work = scratch();
    let exclude_file = work.path().join("exclude");
    fs::write(&exclude_file, written).unwrap();

    let kept = kept_by_git(&root, work.path());
    let unseen: Vec<&Path> = folders
        .iter()
        .map(|path| path.as_path())
        .chain(files.iter().filter_map(|file| file.parent()))
        .collect();
    let is_closed = |path: &Path| unseen.iter().any(|folder| path.starts_with(folder));
    for restic in Restic::both() {
        let verdict = Verdict::of(&kept, &restic.backed_up(&root, &exclude_file));
        assert!(verdict.lost.is_empty(), "IGNORE_SEED={seed} {}: lost {:?}", restic.version(), verdict.lost);
        let names = |path: &[u8]| path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect::<Names>();
        let outside: Vec<_> =
            verdict.extra.iter().filter(|path| !is_closed(&path_of(&root, &names(path)))).collect();
        assert!(outside.is_empty(), "IGNORE_SEED={seed} {}: extra {outside:?}", restic.version());
        println!(
            "{}: {} folders and {} rules files closed, {} files kept, 0 lost, {} extra there",
            restic.version(),
            folders.len(),
            files.len(),
            kept.len(),
            verdict.extra.len()
        );
    }
}
