//! Rules by their text: what was meant, and what is right as it is.

use super::*;

#[track_caller]
fn meant_by(text: &str) -> Option<Vec<String>> {
    assert!(!is_plain(text.as_bytes()) || mistake(text, false).is_none(), "{text:?} looks plain");
    meant(text.as_bytes(), false).map(|meant| meant.rules)
}

#[test]
fn what_was_meant_is_found() {
    for (text, expected) in [
        ("\"my folder\"/x", "my folder/x"),
        ("`thumbs`", "thumbs"),
        ("“thumbs”", "thumbs"),
        ("«thumbs»/", "thumbs/"),
        (" thumbs", "thumbs"),
        ("\u{feff}thumbs", "thumbs"),
        ("thumbs\u{a0}", "thumbs"),
        ("my\u{a0}folder", "my folder"),
        ("th\u{200b}umbs", "thumbs"),
        ("＊.log", "*.log"),
        ("thumbs\r", "thumbs"),
        ("thumbs\t# note", "thumbs"),
        ("\"./thumbs\" # note", "/thumbs"),
        ("cache\\thumbs", "cache/thumbs"),
        ("cache\\thumbs\\", "cache/thumbs/"),
        (".\\thumbs", "/thumbs"),
        ("C:\\data\\x", "data/x"),
        ("a/./b", "/a/b"),
        ("a/x/../b", "/a/b"),
        ("^.*\\.log$", "*.log"),
        (".*\\.log", "*.log"),
        ("--exclude='*.log'", "*.log"),
        ("sh:**/cache", "**/cache"),
        ("$DATA_DIR/cache", "/cache"),
        ("${CONTAINER_DIR}/cache", "/cache"),
        ("logs/**.log", "logs/**/*.log"),
        ("a/log**/x", "a/log*/**/x"),
        ("thumbs/**/", "thumbs/**"),
        ("./*", "/*"),
    ] {
        assert_eq!(meant_by(text), Some(vec![expected.to_string()]), "{text:?}");
    }
}

#[test]
fn lists_and_alternatives_are_several_rules() {
    for text in ["*.{log,tmp}", "(*.log|*.tmp)", "*.log, *.tmp", "*.log *.tmp", "*.log;*.tmp;"] {
        assert_eq!(meant_by(text), Some(vec!["*.log".to_string(), "*.tmp".to_string()]), "{text:?}");
    }
    assert_eq!(meant_by("thumbs,"), Some(vec!["thumbs".to_string()]));
}

#[test]
fn what_no_rule_can_be_meant_by_has_only_a_reason() {
    for text in ["/", "//", "", "../other", "; note", "// note", "$CACHE/x", "%APPDATA%\\x", "~bob"] {
        let home = paths::home().unwrap().to_string_lossy().into_owned();
        let rules = meant_by(text);
        assert!(rules == Some(vec![]) || rules == Some(vec![format!("{home}/")]), "{text:?}: {rules:?}");
    }
}

#[test]
fn rules_that_are_right_are_not_suspected() {
    for text in [
        "*~",
        "~$*.docx",
        "~*",
        "$RECYCLE.BIN/",
        "#recycle/",
        "\\#x\\#",
        "\\!important",
        "@eaDir/",
        "*.tmp",
        ".*",
        ".*/",
        "a/**/b",
        "**/cache",
        "cache/**",
        "**foo**",
        "foo**",
        "[a-z]*",
        "Thumbs.db",
        "[!a]?",
        "*.[oa]",
        "100%",
        "a+b",
        "it's",
        "name (1)",
        "\\ ",
        "x\\ ",
        "=x",
        "a:b",
        ".cache",
        "...",
        "..x",
        "x..",
        "café",
    ] {
        let found = meant(text.as_bytes(), false).filter(|meant| meant.proof != Proof::AllMatch);
        assert_eq!(found, None, "{text:?}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_decoded() {
    assert_eq!(meant(b"caf\xe9", false).unwrap().rules, ["caf\u{e9}"]);
}
