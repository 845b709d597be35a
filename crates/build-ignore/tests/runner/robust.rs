//! Parser, translation and matchers against anything at all: no panic, every line one that restic takes and reads back
//! as it was meant, positives within the rule, negations around it, and no pattern that takes long.

use std::time::{Duration, Instant};

use build_ignore::git::rule::{self, Rule};
use build_ignore::restic::glob::GoGlob;
use build_ignore::restic::pattern::{Line, Pattern, below, parse_below, parse_line};
use build_ignore::translate::component;
use build_ignore::translate::line::Base;
use build_ignore::translate::rule::{Limits, translate};
use proptest::collection::vec;
use proptest::prelude::*;

fn base() -> Base {
    Base::new(&[b"mount".to_vec(), b"data".to_vec()])
}

#[track_caller]
fn patterns(rule: &Rule) -> Vec<Pattern> {
    let Ok(path) = &rule.path else { return Vec::new() };
    // Whatever the depth that the lines are spelled out for, they mean the same.
    let depth = rule.text.len() % 5;
    let lines =
        translate(rule, path, &base(), Limits { height: depth, double_stars: 1 + rule.text.len() % 3 });
    lines
        .iter()
        .map(|line| match parse_line(line) {
            Line::Pattern(pattern) => {
                let (negated, below) = below(base().text(), line).expect("it begins with the base");
                assert_eq!(negated, pattern.negated);
                if let Some(parts) = parse_below(below) {
                    assert_eq!(parts, pattern.parts[2..]);
                }
                pattern
            }
            other => panic!("{} became {}: {other:?}", rule.text.escape_ascii(), line.escape_ascii()),
        })
        .collect()
}

/// Bytes that mean something to git or Go, and some of every other kind.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(b"*?[]!^-\\/#$ \t\r:.ab\xc3\xa9\xe6\x97\xa5\xff".to_vec());
    vec(prop_oneof![4 => special, 1 => any::<u8>()], 0..24)
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => prop::sample::select(b"ab*?[]\\$ \n\xc3\xa9\xe6\x97\xa5\xff".to_vec()), 1 => 1..=255u8];
    vec(byte, 1..8)
        .prop_map(|name| {
            name.into_iter().map(|byte| if byte == b'/' { b'_' } else { byte }).collect::<Vec<u8>>()
        })
        .prop_filter("no name is . or ..", |name| !matches!(name.as_slice(), b"." | b".."))
}

/// Whether restic's pattern matches the path, as one below the base.
fn restic_matches(patterns: &[Pattern], names: &[Vec<u8>]) -> bool {
    let path: Vec<&[u8]> =
        [b"mount".as_slice(), b"data"].into_iter().chain(names.iter().map(Vec::as_slice)).collect();
    patterns.iter().any(|pattern| pattern.matches(&path))
}

/// Whether git's rule matches the path or a folder above it.
fn git_matches(rule: &Rule, names: &[Vec<u8>], is_folder: bool) -> bool {
    let Ok(segments) = &rule.path else { return false };
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    (1..=names.len()).any(|length| {
        let may_match = !rule.folders_only || length < names.len() || is_folder;
        may_match && rule::matches(segments, &names[..length])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_positive_rule_leaves_out_no_more_than_git(line in text(), names in vec(name(), 1..4)) {
        for rule in rule::parse(&line).iter().filter(|rule| !rule.negated) {
            if restic_matches(&patterns(rule), &names) {
                // A file: what a pattern says of it must hold without its being a folder.
                prop_assert!(git_matches(rule, &names, false), "{}", rule.text.escape_ascii());
            }
        }
    }

    #[test]
    fn a_negation_takes_back_no_less_than_git(line in text(), names in vec(name(), 1..4)) {
        for rule in rule::parse(&[b"!", line.as_slice()].concat()).iter().filter(|rule| rule.negated) {
            if git_matches(rule, &names, true) {
                prop_assert!(restic_matches(&patterns(rule), &names), "{}", rule.text.escape_ascii());
            }
        }
    }

    #[test]
    fn a_name_becomes_a_pattern_for_itself_alone(name in name(), other in name()) {
        let pattern = GoGlob::parse(&component::literal(&name)).expect("a pattern that Go takes");
        prop_assert!(pattern.matches(&name));
        prop_assert_eq!(pattern.matches(&other), name == other);
    }

    #[test]
    fn anything_can_be_read_as_a_line(line in vec(any::<u8>(), 0..60), name in name()) {
        for rule in rule::parse(&line) {
            let _ = patterns(&rule);
        }
        if let Line::Pattern(pattern) = parse_line(&line) {
            let _ = pattern.matches(&[&name]);
        }
    }
}

/// Patterns that take a careless matcher years, against names made for them. Each takes well under a millisecond; the
/// bound only distinguishes that from years.
#[test]
fn no_pattern_takes_long() {
    let long = vec![b'a'; 4000];
    let deep: Vec<Vec<u8>> = vec![b"a".to_vec(); 200];
    let started = Instant::now();
    for text in [
        "*a*a*a*a*a*a*a*a*b",
        "*[!b]*[!b]*[!b]*[!b]*[!b]*b",
        "*?*?*?*?*?*?*b",
        "[a-z]*[a-z]*[a-z]*[a-z]*[0-9]",
    ] {
        let rule = &rule::parse(text.as_bytes())[0];
        assert!(!git_matches(rule, std::slice::from_ref(&long), false), "{text}");
        assert!(!restic_matches(&patterns(rule), std::slice::from_ref(&long)), "{text}");
    }
    let many_stars = format!("{}b", "**/a/".repeat(60));
    assert!(!git_matches(&rule::parse(many_stars.as_bytes())[0], &deep, false));
    assert!(!restic_matches(&patterns(&rule::parse(many_stars.as_bytes())[0]), &deep[..40]));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
