//! Cases that were wrong once, or that a line-by-line translation gets wrong, as `property` prints them.
//!
//! A file `fixtures/NAME.case` is enough to add one.

use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::case::Case;
use crate::generate;
use crate::oracle::{Restic, scratch};
use crate::property::verdict;

#[test]
fn they_are_exact_with_both_restics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runner/fixtures");
    let work = scratch();
    let root = work.path().join("data");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case = Case::parse(&fs::read_to_string(&path).unwrap());
        assert!(case.nodes.len() > 1, "{} holds a case", path.display());
        case.write(&root.join(path.file_stem().unwrap()));
        count += 1;
    }
    assert!(count > 0, "there are fixtures");
    for restic in Restic::both() {
        for lean in [false, true] {
            let verdict = verdict(&root, work.path(), &restic, lean);
            assert!(verdict.is_clean(), "{}, lean {lean}: {verdict:?}", restic.version());
        }
    }
}

#[test]
fn what_a_failure_prints_is_read_back() {
    let mut random = StdRng::seed_from_u64(4);
    for _ in 0..200 {
        let case = generate::service(&mut random, 40);
        assert_eq!(Case::parse(&case.to_string()), case, "{case}");
    }
}
