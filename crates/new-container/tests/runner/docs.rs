//! The pages that this crate's commands are described in: every command is clean to shellcheck, every recipe can be read by
//! `pre-backup-actions`, and the action for other monitors sends what it should.

use common::contract::trouble::{Down, Preparation, Trouble};
use common::testing::{Sandbox, built};

const PAGES: [(&str, &str); 7] = [
    ("getting-started", include_str!("../../../../docs/getting-started.md")),
    ("hooks", include_str!("../../../../docs/hooks.md")),
    ("layouts", include_str!("../../../../docs/layouts.md")),
    ("new-container", include_str!("../../../../docs/new-container.md")),
    ("recipes", include_str!("../../../../docs/recipes.md")),
    ("restore", include_str!("../../../../docs/restore.md")),
    ("troubleshooting", include_str!("../../../../docs/troubleshooting.md")),
];

/// The code blocks of a page that are in one of `languages`.
fn blocks<'p>(page: &'p str, languages: &[&str]) -> Vec<&'p str> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let Some((language, code)) = after.split_once('\n') else { break };
        let Some((block, end)) = code.split_once("\n```") else { break };
        if languages.contains(&language) {
            found.push(block);
        }
        rest = end;
    }
    found
}

#[test]
fn every_command_of_the_pages_is_clean_to_shellcheck() {
    let mut count = 0;
    for (name, page) in PAGES {
        for block in blocks(page, &["sh", "bash"]) {
            let sandbox = Sandbox::new();
            let file = sandbox.write("block", format!("{block}\n"));
            let mut command = sandbox.command("shellcheck");
            // Commands to type: `cd` there is checked by the person, the variables are those of the script's environment,
            // and what is in single quotes is for the shell in the container.
            command.args(["--norc", "--shell=bash", "--exclude=SC2016,SC2148,SC2154,SC2164"]).arg(&file);
            let ran = sandbox.run(&mut command);
            assert!(ran.end.is_success(), "docs/{name}.md\n{block}\n{}", ran.everything());
            count += 1;
        }
    }
    assert!(count > 30, "only {count} blocks were found");
}

#[test]
fn every_recipe_is_read_without_a_complaint() {
    let sandbox = Sandbox::new();
    let mut count = 0;
    for (name, page) in [PAGES[2], PAGES[4]] {
        for script in blocks(page, &["sh", "bash"]).into_iter().filter(|block| block.starts_with("#!")) {
            let file = if script.contains("maintenance:mode --off") {
                "after-backup.sh"
            } else {
                "prepare-backup.sh"
            };
            count += 1;
            sandbox.script(format!("data/{name}-{count}/{file}"), format!("{script}\n"));
        }
    }
    assert!(count >= 9, "only {count} recipes were found");
    // The recipe that waits for another service's dump.
    sandbox.script("data/postgres/prepare-backup.sh", "#!/bin/sh\n");
    let mut command = sandbox.command(built("pre-backup-actions", "pre-backup-actions"));
    let ran = sandbox.run(command.arg("--list")).expect_success();
    assert!(!ran.everything().contains("warning"), "{}", ran.everything());
}

#[test]
fn the_action_for_other_monitors_sends_the_hosts_reason() {
    let sandbox = Sandbox::new();
    let page = PAGES[1].1;
    let script = blocks(page, &["sh"]).into_iter().find(|block| block.contains("/actions/ntfy")).unwrap();
    let action = sandbox.script("containers/backrest/actions/ntfy", format!("{script}\n"));
    sandbox.script("bin/curl", "#!/bin/sh\necho \"$@\" > \"$HOME/arguments\"\ncat > \"$HOME/sent\"\n");
    let send = |text: &str| {
        let mut command = sandbox.command(&action);
        command.arg(text).current_dir(sandbox.path("containers/backrest"));
        command.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
        sandbox.run(&mut command).expect_success();
        sandbox.read("sent")
    };
    assert_eq!(send("hook failed"), "hook failed");
    let summary = "1 failed: wiki (dump is empty)".to_string();
    let preparation = Preparation { at: 0, is_failure: true, summary };
    let down = Down { service: "wiki".into(), tries: 3, since: 0, why: "exit code 1".into() };
    let trouble = Trouble { preparations: [(String::new(), preparation)].into(), down: vec![down] };
    sandbox.write("containers/backrest/state/actions/trouble", serde_json::to_vec(&trouble).unwrap());
    let expected = "hook failed (1 failed: wiki (dump is empty); wiki is still stopped: exit code 1)";
    assert_eq!(send("hook failed"), expected);
    assert!(sandbox.read("arguments").contains("--config ntfy.conf"), "the address is in no argument list");
}
