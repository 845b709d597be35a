//! Crontabs as people have them.

use super::*;

const HOME: &str = "/home/me/containers/backrest";

fn command() -> Vec<OsString> {
    ["/home/me/.local/bin/pipe-listener", "--container-dir", HOME].map(OsString::from).to_vec()
}

const WANTED: &str = "@reboot /home/me/.local/bin/pipe-listener --container-dir /home/me/containers/backrest >/dev/null 2>&1\n";

#[track_caller]
fn edit(text: &str) -> EditedCrontab {
    with_listener(text, &command(), Path::new(HOME)).unwrap()
}

#[test]
fn the_line_is_added_once_and_everything_else_kept() {
    for text in
        ["", "MAILTO=me\n# a comment\n\n0 3 * * * backup\n", "@reboot other\n", "  # indented\n@rebootx y\n"]
    {
        let edited = edit(text);
        assert_eq!(edited.text, format!("{text}{WANTED}"));
        assert_eq!(edited.changes, [format!("+ {}", WANTED.trim_end())]);
        let again = edit(&edited.text);
        assert_eq!((again.text.as_str(), again.changes), (edited.text.as_str(), vec![]));
        assert_eq!(as_it_was(&edited.text, Path::new(HOME), &[], false).text, text);
    }
}

#[test]
fn a_last_line_without_its_end_stays_a_line() {
    assert_eq!(edit("0 3 * * * backup").text, format!("0 3 * * * backup\n{WANTED}"));
}

#[test]
fn the_bash_listeners_line_is_replaced_where_it_stands() {
    for old in [
        "@reboot /home/me/scripts/backrest-trigger.sh",
        "@reboot ~/scripts/backrest-trigger.sh &",
        "@reboot nohup /home/me/scripts/backrest-trigger.sh >/dev/null 2>&1 &",
        "@reboot sleep 30 && PIPE=/x /bin/bash /home/me/scripts/backrest-trigger.sh",
        "@reboot  /usr/bin/bash '/home/me/my scripts/backrest-trigger.sh'",
    ] {
        let edited = edit(&format!("# before\n{old}\n0 3 * * * after\n"));
        assert_eq!(edited.text, format!("# before\n{WANTED}0 3 * * * after\n"), "{old}");
        let changes = [format!("- {old}"), format!("+ {}", WANTED.trim_end())];
        assert_eq!(edited.changes, changes);
        let before = format!("# before\n{old}\n0 3 * * * after\n");
        let replaced = bash_lines(&before, Path::new(HOME));
        assert_eq!(as_it_was(&edited.text, Path::new(HOME), &replaced, false).text, before);
        assert_eq!(without_any_listener(&before, Path::new(HOME)).text, "# before\n0 3 * * * after\n");
    }
}

#[test]
fn a_line_that_does_more_than_start_the_bash_listener_is_left_and_named() {
    let old = "@reboot mount /data && /home/me/backrest-trigger.sh";
    let edited = edit(&format!("{old}\n"));
    assert_eq!(edited.text, format!("{old}\n{WANTED}"));
    assert_eq!(edited.left, [old]);
}

#[test]
fn a_line_that_only_mentions_the_script_is_none_of_ours() {
    for line in [
        "#@reboot /home/me/backrest-trigger.sh",
        "@reboot logger 'backrest-trigger.sh is next'",
        "0 3 * * * /home/me/backrest-trigger.sh",
        "@reboot rm /tmp/backrest-trigger.sh",
        "@reboot echo \"unclosed",
    ] {
        let edited = edit(&format!("{line}\n"));
        assert_eq!((edited.text, edited.left), (format!("{line}\n{WANTED}"), vec![]), "{line}");
    }
}

#[test]
fn a_moved_listener_keeps_one_line_and_another_folders_listener_its_own() {
    let other = "@reboot /opt/pipe-listener --container-dir=/srv/backrest\n";
    let edited = edit(&format!("@reboot /old/bin/pipe-listener\n{other}{WANTED}"));
    assert_eq!(edited.text, format!("{WANTED}{other}"));
    assert_eq!(as_it_was(&edited.text, Path::new(HOME), &[], false).text, other);
}

#[test]
fn odd_paths_are_quoted_for_sh_and_for_cron() {
    let line = reboot_line(&["/a b/100%/pipe-listener".into(), "it's".into()]).unwrap();
    assert_eq!(line, "@reboot '/a b/100\\%/pipe-listener' \"it's\" >/dev/null 2>&1");
    assert_eq!(kind_of(&line, Path::new(HOME)), CrontabLine::Listener);
    assert!(reboot_line(&["/a\nb".into()]).is_err());
}

#[test]
fn what_was_replaced_comes_back_once() {
    let old = ["@reboot /home/me/backrest-trigger.sh".to_string()];
    let back = |text: &str, is_elsewhere| as_it_was(text, Path::new(HOME), &old, is_elsewhere);
    assert_eq!(back(&format!("# a\n{WANTED}# b\n"), false).text, format!("# a\n{}\n# b\n", old[0]));
    assert_eq!(back("# a", true).text, format!("# a\n{}\n", old[0]));
    // Where the person has taken our line away, or a removal was interrupted, there is nothing to do.
    for (text, is_elsewhere) in [("# a\n".to_string(), false), (format!("# a\n{}\n", old[0]), true)] {
        let again = back(&text, is_elsewhere);
        assert_eq!((again.text, again.changes), (text, vec![]));
    }
}
