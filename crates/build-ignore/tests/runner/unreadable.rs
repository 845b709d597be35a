//! Folders that nobody may read: the tool can't look into them, restic (root in its container) can.
//!
//! What git keeps is in the backup all the same. What git ignores may get into it, in such a folder only: there no
//! single path can be named. A `.resticignore` in such a folder is not seen, so there is none in these.

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

/// Folders of the service without rules in or below them, some of them, none inside another one.
fn to_close(case: &Case, random: &mut StdRng) -> Vec<Names> {
    let holds_rules = |folder: &Names| {
        case.nodes.iter().any(|(path, node)| matches!(node, Node::Rules(_)) && path.starts_with(folder))
    };
    let mut closed: Vec<Names> = Vec::new();
    for (names, node) in &case.nodes {
        let is_inside = closed.iter().any(|folder| names.starts_with(folder));
        if *node == Node::Folder && !is_inside && !holds_rules(names) && random.random_bool(0.3) {
            closed.push(names.clone());
        }
    }
    closed
}

fn set_mode(folders: &[PathBuf], mode: u32) {
    for folder in folders {
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn nothing_is_lost_below_folders_that_nobody_may_read() {
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
    assert!(closed.len() > SERVICES / 4, "only {} folders were closed", closed.len());

    set_mode(&closed, 0o000);
    let mut tool = as_ordinary_user(&sandbox);
    tool.arg(env!("CARGO_BIN_EXE_build-ignore")).args(["--output", "-", "--mount"]).arg(sandbox.home());
    let written = output_of(&mut tool);
    set_mode(&closed, 0o755);
    let work = scratch();
    let exclude_file = work.path().join("exclude");
    fs::write(&exclude_file, written).unwrap();

    let kept = kept_by_git(&root, work.path());
    let is_closed = |path: &Path| closed.iter().any(|folder| path.starts_with(folder));
    for restic in Restic::both() {
        let verdict = Verdict::of(&kept, &restic.backed_up(&root, &exclude_file));
        assert!(verdict.lost.is_empty(), "IGNORE_SEED={seed} {}: lost {:?}", restic.version(), verdict.lost);
        let names = |path: &[u8]| path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect::<Names>();
        let outside: Vec<_> =
            verdict.extra.iter().filter(|path| !is_closed(&path_of(&root, &names(path)))).collect();
        assert!(outside.is_empty(), "IGNORE_SEED={seed} {}: extra {outside:?}", restic.version());
        println!(
            "{}: {} folders closed, {} files kept, 0 lost, {} extra in closed folders",
            restic.version(),
            closed.len(),
            kept.len(),
            verdict.extra.len()
        );
    }
}
