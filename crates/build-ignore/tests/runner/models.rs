//! The two models against the programs that they model, 100,000 pairs of a pattern and a path each.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use build_ignore::decide;
use build_ignore::restic::pattern::{Line, Pattern, parse_line};
use build_ignore::rules_file::{Rules, RulesFile};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::case::{Case, path_of};
use crate::generate;
use crate::oracle::{Paths, Restic, check_ignore, scratch};
use crate::property::setting;

/// Few patterns and many paths: restic tries every pattern on every path.
const FOLDERS: usize = 250;
const PATHS_IN_A_FOLDER: usize = 400;

#[track_caller]
fn random(what: &str) -> StdRng {
    let seed = setting("IGNORE_SEED").unwrap_or_else(|| rand::rng().random());
    println!("{what}: IGNORE_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn random_path(random: &mut StdRng) -> Vec<Vec<u8>> {
    (0..random.random_range(1..=3)).map(|_| generate::name(random)).collect()
}

#[test]
fn git_agrees_with_its_model() {
    let mut random = random("git");
    let scratch = scratch();
    let root = scratch.path().join("tree");
    let mut paths = Vec::new();
    let mut expected = Vec::new();
    for number in 0..FOLDERS {
        let folder = format!("{number}");
        fs::create_dir_all(root.join(&folder)).unwrap();
        let content = generate::rules(&mut random, &Case::default()).concat();
        fs::write(root.join(&folder).join(".gitignore"), &content).unwrap();
        let names = vec![folder.into_bytes()];
        let file = [Arc::new(RulesFile::new("f".into(), names.clone(), Rules::read(&content).into()))];
        for _ in 0..PATHS_IN_A_FOLDER {
            let path = [names.clone(), random_path(&mut random)].concat();
            let decision = decide::decide(&file, &path, false);
            paths.push(path.join(&b'/'));
            expected.push((content.clone(), decision.map(|decision| decision.rule().line as u64)));
        }
    }
    let answers = check_ignore(&root, scratch.path(), &paths);
    assert_eq!(answers.len(), FOLDERS * PATHS_IN_A_FOLDER);
    for ((answer, path), (rules, expected)) in answers.iter().zip(&paths).zip(&expected) {
        assert_eq!(
            answer.as_ref().map(|(_, line, _)| *line),
            *expected,
            "path {} with the rules\n{}",
            path.escape_ascii(),
            rules.escape_ascii().to_string().replace("\\n", "\n")
        );
    }
    let matched = answers.iter().flatten().count();
    println!("{} pairs, {matched} matched", answers.len());
    assert!(matched > answers.len() / 20, "enough of them have to match");
}

/// A pattern as restic reads it, with everything that Go knows.
fn random_pattern(random: &mut StdRng) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"*",
        b"*",
        b"?",
        b"a",
        b"b",
        b"foo",
        b".log",
        b"x",
        b"keep",
        b"[a-c]",
        b"[^a]",
        b"[^\\]]",
        b"[\\-a]",
        b"\\*",
        b"\\a",
        b"]",
        b"[\xc3\xa9x]",
        "é".as_bytes(),
        "日".as_bytes(),
        b"[^\xc2\x80-\xf4\x8f\xbf\xbf]",
        b"\xe9",
        b"\xc3",
        "[\u{fffd}]".as_bytes(),
        "\u{fffd}".as_bytes(),
        b" ",
        b"{a,b}",
        b"-",
        b"!",
        b"#",
        b"[a-z]*",
        b"***",
    ];
    let components: Vec<Vec<u8>> = (0..random.random_range(1..=3))
        .map(|_| match random.random_range(0..6) {
            0 => b"**".to_vec(),
            1 => generate::name(random).iter().flat_map(|&byte| [b'\\', byte]).collect(),
            _ => (0..random.random_range(1..=3))
                .flat_map(|_| PIECES.choose(random).unwrap().to_vec())
                .collect(),
        })
        .collect();
    components.join(&b'/').into_iter().filter(|&byte| byte != b'\n').collect()
}

#[test]
fn restic_agrees_with_its_model() {
    let mut random = random("restic");
    let scratch = scratch();
    let root = scratch.path().join("tree");
    let above: Vec<Vec<u8>> = root.iter().skip(1).map(|name| name.as_encoded_bytes().to_vec()).collect();
    let mut lines = Vec::new();
    let mut expected = Paths::new();
    let mut pairs = 0;
    for number in 0..FOLDERS {
        let folder = format!("{number}").into_bytes();
        let (line, pattern) = usable_line(&mut random, &root, &folder);
        lines.push(line);
        let mut case = Case::default();
        while case.nodes.len() < PATHS_IN_A_FOLDER {
            let path: Vec<Vec<u8>> = [vec![folder.clone()], random_path(&mut random)].concat();
            // A newline would end the line of a listing.
            if path.iter().flatten().all(|&byte| byte != b'\n') {
                case.add(&path, crate::case::Node::File);
            }
        }
        case.write(&root);
        for (names, _) in case.nodes.iter().filter(|(names, _)| path_of(&root, names).is_file()) {
            let absolute: Vec<&[u8]> = above.iter().chain(names).map(Vec::as_slice).collect();
            let excludes = |length| !pattern.negated && pattern.matches(&absolute[..length]);
            if !(1..=absolute.len()).any(excludes) {
                expected.insert(names.join(&b'/'));
            }
        }
        pairs += case.nodes.len();
    }
    let exclude_file = scratch.path().join("exclude");
    fs::write(&exclude_file, [lines.join(&b'\n').as_slice(), b"\n"].concat()).unwrap();
    for restic in Restic::both() {
        let found = restic.backed_up(&root, &exclude_file);
        let difference: Vec<String> = found
            .symmetric_difference(&expected)
            .map(|path| {
                let folder = path.split(|&byte| byte == b'/').next().unwrap();
                let number: usize = std::str::from_utf8(folder).unwrap().parse().unwrap();
                format!("{} with {}", path.escape_ascii(), lines[number].escape_ascii())
            })
            .collect();
        assert!(
            difference.is_empty(),
            "{}: {} differ, first {}",
            restic.version(),
            difference.len(),
            difference[0]
        );
        println!("{}: {pairs} pairs, {} kept", restic.version(), found.len());
    }
    assert!(expected.len() < pairs, "something has to be left out");
}

fn usable_line(random: &mut StdRng, root: &Path, folder: &[u8]) -> (Vec<u8>, Pattern) {
    loop {
        let line =
            [root.as_os_str().as_encoded_bytes(), b"/", folder, b"/", &random_pattern(random)].concat();
        // A pattern that says nothing of the folder's inside, or climbs out of it, tests nothing here.
        if let Line::Pattern(pattern) = parse_line(&line) {
            if pattern.parts.len() > root.iter().count() {
                return (line, pattern);
            }
        }
    }
}

#[test]
fn restic_refuses_what_its_model_calls_malformed() {
    let scratch = scratch();
    let exclude_file = scratch.path().join("exclude");
    let restics = Restic::both();
    for text in ["/a/[", "/a/[]", "/a/[a", "/a/[a-]", "/a/[-a]", "/a/x\\", "/[]a]/b"] {
        assert!(matches!(parse_line(text.as_bytes()), Line::Refused), "{text}");
        fs::write(&exclude_file, format!("{text}\n")).unwrap();
        for restic in &restics {
            assert!(restic.refuses(scratch.path(), &exclude_file), "{} takes {text}", restic.version());
        }
    }
}
