//! Hooks as people write them.

use serde_json::json;

use super::*;

fn reading(text: &str) -> Reading {
    read(&json!({ "conditions": ["CONDITION_SNAPSHOT_START"], "actionCommand": { "command": text } }))
}

/// The messages that are waited for, and whether the hook does nothing else.
#[track_caller]
fn sends(text: &str) -> (String, bool) {
    match reading(text) {
        Reading::Script(script) => {
            let messages: Vec<_> = script.messages().iter().map(|message| message.to_string()).collect();
            (messages.join(", "), script.is_pure())
        }
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn both_forms_are_understood() {
    let pure = [
        ("#!/bridge/backrest-send\npre-backups\n", "pre-backups"),
        ("#!/bridge/backrest-send\npre-backups", "pre-backups"),
        (
            "#!/bridge/backrest-send\r\n# mine\r\n\r\nstart-tailscale\r\npre-backups\r\n",
            "start-tailscale, pre-backups",
        ),
        ("#!/bridge/backrest-send\npre-backups\nmy-own-action\n", "pre-backups, my-own-action"),
        ("/bridge/backrest-send pre-backups", "pre-backups"),
        ("exec /bridge/backrest-send pre-backups immich 'wiki*'", "pre-backups immich wiki*"),
        (
            "#!/bin/sh\nset -e\n/bridge/backrest-send start-tailscale\n/bridge/backrest-send pre-backups\n",
            "start-tailscale, pre-backups",
        ),
        (
            "/bridge/backrest-send start-tailscale && /bridge/backrest-send pre-backups || exit 1",
            "start-tailscale, pre-backups",
        ),
        (
            "/bridge/backrest-send start-tailscale; /bridge/backrest-send \\\n  pre-backups",
            "start-tailscale, pre-backups",
        ),
        (
            r#"/bridge/backrest-send notify-down "{{ printf "plan %q" .Plan.Id }}""#,
            r#"notify-down {{ printf "plan %q" .Plan.Id }}"#,
        ),
        (
            "/bridge/backrest-send notify-down {{ .ShellEscape .Error }}",
            "notify-down {{ .ShellEscape .Error }}",
        ),
        ("#!/usr/bin/env bash\n'/bridge/backrest-send' \"pre-backups\" # the night", "pre-backups"),
    ];
    // What does something else as well is not written anew.
    let mixed = [
        ("curl -fsS https://hc/ping\n/bridge/backrest-send post-backups\n", "post-backups"),
        ("/bridge/backrest-send post-backups > /tmp/log", "post-backups"),
        ("/bridge/backrest-send --timeout 1h pre-backups", "pre-backups"),
        ("/bridge/backrest-send notify-up \"$HOSTNAME\"", "notify-up $HOSTNAME"),
        ("/bridge/backrest-send post-backups || curl http://x", "post-backups"),
    ];
    for (cases, is_pure) in [(&pure[..], true), (&mixed[..], false)] {
        for (text, messages) in cases {
            assert_eq!(sends(text), (messages.to_string(), is_pure), "{text}");
        }
    }
}

#[test]
fn what_goes_through_the_fifo_is_not_answered() {
    for text in [
        "echo pre-backups > /backrest-pipe",
        "echo \"pre-backups\" >> /bridge/backrest-pipe",
        "printf 'pre-backups\\n' >/backrest-pipe",
        "printf '%s\\n' pre-backups > /backrest-pipe",
        "echo pre-backups | tee /backrest-pipe",
        "/bridge/backrest-send --no-wait pre-backups",
        "#!/bin/bash\necho pre-backups 1> /backrest-pipe\n",
        "/bridge/backrest-send pre-backups &",
        "#!/bin/sh\n/bridge/backrest-send pre-backups & wait\n",
    ] {
        let Reading::Script(script) = reading(text) else { panic!("{text}: {:?}", reading(text)) };
        let message = Message { name: "pre-backups".into(), text: String::new() };
        assert!(
            script.has(|line| *line == Line::Sends(vec![message.clone()], Delivery::Unanswered)),
            "{text}: {script:?}"
        );
        assert!(script.messages().is_empty() && !script.is_pure(), "{text}");
    }
}

#[test]
fn however_it_is_typed_the_message_is_found_or_asked_about() {
    for text in [
        "/bridge/backrest-send pre-backups || true",
        "cd /bridge && ./backrest-send pre-backups",
        "PATH=/bridge:$PATH backrest-send pre-backups",
        "\t/bridge/backrest-send\tpre-backups",
        "set -eu; /bridge/backrest-send pre-backups >/dev/null 2>&1",
        "/bridge/backrest-send pre-backups && /bridge/backrest-send notify-up 'all well'",
        "#!/bin/ash -e\n/bridge/backrest-send pre-backups\n",
        "#! /bridge/backrest-send\n  pre-backups  \n",
        "#!/bin/busybox sh\n/bridge/backrest-send pre-backups\n",
        "logger start; /bridge/backrest-send pre-backups; logger done",
        "env LC_ALL=C /bridge/backrest-send -- pre-backups",
    ] {
        let Reading::Script(script) = reading(text) else { panic!("{text}: {:?}", reading(text)) };
        assert!(script.messages().iter().any(|sent| sent.name == "pre-backups"), "{text}: {script:?}");
    }
    for text in [
        "timeout 3600 /bridge/backrest-send pre-backups",
        "nice -n 10 /bridge/backrest-send pre-backups",
        "sh -c '/bridge/backrest-send pre-backups'",
        "( /bridge/backrest-send pre-backups )",
        "{ /bridge/backrest-send pre-backups; }",
        "SEND=/bridge/backrest-send; $SEND pre-backups",
        "/bridge/backrest-send <<EOF\npre-backups\nEOF",
        "echo pre-backups | /bridge/backrest-send",
        "#!/usr/bin/env -S /bridge/backrest-send\npre-backups\n",
        // Only a shell can know.
        "if [ -S /bridge/backrest.sock ]; then\n  /bridge/backrest-send pre-backups\nfi",
        "for m in start-tailscale pre-backups; do /bridge/backrest-send $m; done",
        "/bridge/backrest-send \"$MESSAGE\"",
        "cat <<EOF > /backrest-pipe\npre-backups\nEOF",
        "$(command -v /bridge/backrest-send) pre-backups",
        "#!/usr/bin/python3\nimport os\nos.system('/bridge/backrest-send pre-backups')",
        "#!/bridge/backrest-send\n{{ if .Error }}\nnotify-down\n{{ end }}",
        "/bridge/my-script",
        "{{ if .Plan }}/bridge/backrest-send pre-backups{{ end }}",
    ] {
        assert_eq!(reading(text), Reading::Unclear, "{text}");
    }
}

#[test]
fn other_hooks_have_nothing_to_do_with_it() {
    for text in [
        "",
        "curl http://x",
        "# echo pre-backups > /backrest-pipe\ncurl http://x",
        "echo {{ .ShellEscape .Error }}",
    ] {
        assert_eq!(reading(text), Reading::Unrelated, "{text}");
    }
    assert_eq!(read(&json!({ "actionWebhook": { "webhookUrl": "http://bridge/" } })), Reading::Unrelated);
}

#[test]
fn a_line_is_taken_out_and_the_rest_stays() {
    let text = "#!/bin/sh\ncurl http://x\necho stop-tailscale > /backrest-pipe\n";
    let Reading::Script(script) = reading(text) else { panic!() };
    let is_old = |line: &Line| matches!(line, Line::Sends(_, Delivery::Unanswered));
    assert_eq!(script.without(is_old).unwrap(), "#!/bin/sh\ncurl http://x\n");
    let Reading::Script(script) = reading("# old\necho stop-tailscale > /backrest-pipe") else { panic!() };
    assert_eq!(script.without(is_old), None);
}
