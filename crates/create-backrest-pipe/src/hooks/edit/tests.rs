//! Configurations as Backrest returns them.

use super::*;

use crate::hooks::finding::Finding;
use crate::hooks::wiring::tests::wiring as wanted_with;

fn wanted() -> Wiring {
    wanted_with([true, false])
}

/// The hooks of a plan.
#[track_caller]
fn hooks_of(wiring: &Wiring) -> Vec<Value> {
    list(&wiring.to_json()["plan"], "hooks").to_vec()
}

fn config() -> Value {
    json!({
        "modno": 7,
        "version": 6,
        "repos": [{ "id": "nas", "uri": "sftp:nas:/r", "password": "secret", "futureField": { "a": 1 } }],
        "plans": [
            {
                "id": "all", "repo": "nas", "paths": ["/userdata"],
                "hooks": [{ "conditions": ["CONDITION_ANY_ERROR"], "actionWebhook": { "webhookUrl": "http://x" } }],
                "backup_flags": ["--exclude-caches"],
                "schedule": { "cron": "0 3 * * *", "clock": "CLOCK_LOCAL" }
            },
            { "id": "other", "repo": "nas", "paths": ["/userdata/data"] }
        ],
        "sync": { "identity": { "keyId": "k" } }
    })
}

#[track_caller]
fn put_in(config: &Value) -> EditedConfig {
    put(config, &wanted())
}

#[track_caller]
fn put(config: &Value, wiring: &Wiring) -> EditedConfig {
    edit(config, "all", wiring, Direction::PutIn).unwrap()
}

#[track_caller]
fn take(config: &Value, wiring: &Wiring) -> EditedConfig {
    edit(config, "all", wiring, Direction::TakeOut).unwrap()
}

#[test]
fn the_repositorys_hooks_stay_as_long_as_another_plan_needs_them() {
    let both = edit(&put_in(&config()).config, "other", &wanted(), Direction::PutIn).unwrap();
    let out = take(&both.config, &wanted());
    assert_eq!(out.config["repos"][0]["hooks"], wanted().to_json()["repo"]["hooks"]);
    let out = edit(&out.config, "other", &wanted(), Direction::TakeOut).unwrap();
    assert_eq!(out.config, config());
}

#[test]
fn hooks_of_an_earlier_version_are_replaced_where_they_stand() {
    let mut config = config();
    let theirs = config["plans"][0]["hooks"][0].clone();
    let earlier = json!({ "conditions": ["CONDITION_SNAPSHOT_END"],
        "actionCommand": { "command": "#!/bridge/backrest-send\nstop-tailscale\n" } });
    config["plans"][0]["hooks"] = json!([earlier, theirs, earlier]);
    let edited = put_in(&config);
    let hooks = [hooks_of(&wanted()), vec![theirs]].concat();
    assert_eq!(edited.config["plans"][0]["hooks"], json!(hooks));
}

#[test]
fn the_flag_in_another_spelling_is_the_flag() {
    for flag in [
        "--exclude-file /userdata/containers/backrest/ignorefile.txt",
        "'--exclude-file=/userdata/containers/backrest/ignorefile.txt'",
    ] {
        let mut config = config();
        config["plans"][0]["backup_flags"] = json!([flag]);
        assert_eq!(put_in(&config).config["plans"][0]["backup_flags"], json!([flag]));
    }
}

#[test]
fn what_does_not_fit_the_bridge_is_reported() {
    let mut config = config();
    config["plans"][0]["paths"] = json!(["/mnt"]);
    config["plans"][0]["hooks"] = json!([{ "conditions": ["CONDITION_SNAPSHOT_START"],
        "actionCommand": { "command": "echo pre-backups > /backrest-pipe" } }]);
    let findings = put_in(&config).findings;
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(edit(&json!({}), "all", &wanted(), Direction::PutIn).is_err(), "no plans at all");
}

#[test]
fn a_hook_that_halts_is_reported_if_it_comes_before_ours_at_an_end() {
    let hook = |condition: &str, on_error: &str| json!({ "conditions": [condition], "onError": on_error, "actionCommand": { "command": "x" } });
    let notes_with = |place: &str, hook: Value| {
        let mut config = config();
        *config.pointer_mut(place).unwrap() = json!([hook]);
        put_in(&config).findings.iter().map(|finding| finding.check(None).what).collect::<Vec<_>>()
    };
    let mut empty = config();
    empty["repos"][0]["hooks"] = json!([]);
    assert!(put_in(&empty).findings.is_empty());
    let halting = || hook("CONDITION_SNAPSHOT_END", "ON_ERROR_CANCEL");
    let notes = notes_with("/plans/0/hooks", halting());
    assert!(notes[0].starts_with("a hook of your own on SNAPSHOT_END"), "{notes:?}");
    for harmless in [
        hook("CONDITION_SNAPSHOT_START", "ON_ERROR_CANCEL"),
        hook("CONDITION_SNAPSHOT_END", "ON_ERROR_IGNORE"),
        hook("CONDITION_PRUNE_ERROR", "ON_ERROR_FATAL"),
    ] {
        assert!(notes_with("/plans/0/hooks", harmless.clone()).is_empty(), "{harmless}");
    }
    // The repository's hooks come first, wherever ours are in the plan; after ours there is nothing to stop.
    let mut put = put_in(&config()).config;
    put["repos"][0]["hooks"] = json!([halting()]);
    assert_eq!(put_in(&put).findings.len(), 1);
    put["repos"][0]["hooks"] = json!([]);
    put["plans"][0]["hooks"].as_array_mut().unwrap().push(halting());
    assert!(put_in(&put).findings.is_empty());
}

/// A plan with these hooks, each on its conditions with its `onError`.
fn plan_with(hooks: &[(&str, &str, &str)]) -> Value {
    let hook = |(conditions, on_error, text): &(&str, &str, &str)| {
        let conditions: Vec<_> = conditions.split(' ').map(|name| format!("CONDITION_{name}")).collect();
        let mut hook = json!({ "conditions": conditions, "actionCommand": { "command": text } });
        if !on_error.is_empty() {
            hook["onError"] = format!("ON_ERROR_{on_error}").into();
        }
        hook
    };
    let mut config = config();
    config["repos"][0]["hooks"] = json!([]);
    config["plans"][0]["hooks"] = hooks.iter().map(hook).collect();
    config
}

/// How many hooks of the plan send the message at the start and at the end of a backup.
#[track_caller]
fn sending(config: &Value, action: BuiltIn) -> usize {
    list(&config["plans"][0], "hooks").iter().filter(|hook| sends(hook, action)).count()
}

#[test]
fn a_hook_that_a_person_wrote_is_completed_and_not_doubled() {
    let wanted = wanted_with([false, false]);
    let ours = hooks_of(&wanted);
    for hooks in [
        &[("SNAPSHOT_START", "", "/bridge/backrest-send pre-backups")][..],
        &[("SNAPSHOT_START", "CANCEL", "#!/bridge/backrest-send\npre-backups")],
        &[("SNAPSHOT_START", "FATAL", "#!/bin/sh\n# before\nset -e\n/bridge/backrest-send pre-backups\n")],
        &[("SNAPSHOT_START", "CANCEL", "#!/bridge/backrest-send\npre-backups\nmy-own-action\n")],
        &[
            ("SNAPSHOT_START", "CANCEL", "/bridge/backrest-send pre-backups || exit 1"),
            ("SNAPSHOT_END", "", "/bridge/backrest-send post-backups"),
        ],
    ] {
        let edited = put(&plan_with(hooks), &wanted);
        let config = &edited.config;
        let sent = [BuiltIn::PreBackups, BuiltIn::PostBackups].map(|action| sending(config, action));
        assert_eq!(sent, [1, 1], "{hooks:?}: {:?}", edited.difference);
        let start = &config["plans"][0]["hooks"][0];
        assert!(cancels(start), "{start}");
        let text = command_of(start).unwrap();
        assert!(text.contains("pre-backups --failure-cancels --key"), "{text}");
        assert_eq!(text.contains("my-own-action"), hooks[0].2.contains("my-own-action"));
        assert_eq!(text.contains("# before"), hooks[0].2.contains("# before"));
        let again = put(config, &wanted);
        assert!(again.difference.is_empty() && again.findings.is_empty(), "{again:?}");
        let out = take(config, &wanted);
        assert_eq!((sending(&out.config, BuiltIn::PreBackups), out.changes_flag), (0, true), "{hooks:?}");
        assert!(!out.config.to_string().contains("post-backups"));
        // An earlier version put ours beside it.
        let mut doubled = plan_with(hooks);
        doubled["plans"][0]["hooks"].as_array_mut().unwrap().extend(ours.clone());
        let edited = put(&doubled, &wanted);
        assert_eq!(sending(&edited.config, BuiltIn::PreBackups), 1, "{:?}", edited.difference);
    }
}

#[test]
fn the_form_without_a_last_newline_is_the_same_hook() {
    let wanted = wanted_with([true, true]);
    let mut config = put(&config(), &wanted).config;
    for hook in config["plans"][0]["hooks"].as_array_mut().unwrap().iter_mut().skip(1) {
        let text = command_of(hook).unwrap().trim_end().to_string();
        hook["actionCommand"]["command"] = text.into();
    }
    let edited = put(&config, &wanted);
    assert_eq!((edited.config, edited.difference), (config, vec![]));
}

#[test]
fn a_field_that_a_newer_backrest_added_stays_in_a_hook() {
    let wanted = wanted_with([true, false]);
    let mut config = put(&config(), &wanted).config;
    config["plans"][0]["hooks"][1]["futureField"] = json!({ "a": 1 });
    let edited = put(&config, &wanted);
    assert_eq!((&edited.config, edited.difference), (&config, vec![]));
    // A change of ours keeps it, too.
    let edited = put(&config, &wanted_with([false, false]));
    let start = &edited.config["plans"][0]["hooks"][1];
    assert_eq!(start["futureField"], json!({ "a": 1 }));
    assert!(!command_of(start).unwrap().contains("start-tailscale"));
}

#[test]
fn a_hook_that_does_other_work_is_left_as_it_is_and_is_not_doubled() {
    let wanted = wanted_with([false, false]);
    let text = "curl http://x\n/bridge/backrest-send pre-backups\n";
    let config = plan_with(&[("SNAPSHOT_START", "", text)]);
    let edited = put(&config, &wanted);
    assert_eq!(edited.config["plans"][0]["hooks"][0], config["plans"][0]["hooks"][0]);
    assert_eq!(sending(&edited.config, BuiltIn::PreBackups), 1);
    assert!(matches!(edited.findings[..], [Finding::DoesNotCancel { .. }]), "{:?}", edited.findings);
    // An end that it does not cover gets a hook of ours.
    let config = plan_with(&[("SNAPSHOT_END", "", "curl http://x\n/bridge/backrest-send post-backups\n")]);
    let edited = put(&config, &wanted);
    let hooks = list(&edited.config["plans"][0], "hooks");
    let conditions: Vec<_> =
        hooks.iter().filter(|hook| sends(hook, BuiltIn::PostBackups)).map(conditions_of).collect();
    assert_eq!(conditions, [["SNAPSHOT_END"], ["SNAPSHOT_ERROR"]]);
    // Its line is taken out, and the rest of it stays.
    let out = take(&edited.config, &wanted);
    assert_eq!(command_of(&out.config["plans"][0]["hooks"][0]), Some("curl http://x\n"));
}

#[test]
fn an_end_is_added_only_to_a_hook_that_does_nothing_else() {
    let wanted = wanted_with([true, true]);
    let text = "/bridge/backrest-send notify-up all is well\n/bridge/backrest-send stop-tailscale\n";
    let edited = put(&plan_with(&[("SNAPSHOT_SUCCESS", "", text)]), &wanted);
    let up = |hook: &&Value| sends(hook, BuiltIn::NotifyUp);
    let hooks = list(&edited.config["plans"][0], "hooks");
    let conditions: Vec<_> = hooks.iter().filter(up).flat_map(conditions_of).collect();
    assert_eq!(conditions, ["SNAPSHOT_SUCCESS", "SNAPSHOT_SKIPPED"], "never on an error");
    assert!(edited.config.to_string().contains("notify-up --plan {{ urlquery .Plan.Id }} all is well"));
}

#[test]
fn hooks_of_the_old_scripts_are_reported_and_replaced_if_asked() {
    let mut wanted = wanted_with([true, false]);
    let config = plan_with(&[
        ("SNAPSHOT_START", "", "echo start-tailscale > /backrest-pipe\necho pre-backups > /backrest-pipe"),
        ("SNAPSHOT_SUCCESS", "", "curl http://kuma/api/push/x\necho stop-tailscale > /backrest-pipe\n"),
        ("ANY_ERROR", "", "/scripts/build-ignorefile.sh"),
    ]);
    let edited = put(&config, &wanted);
    assert_eq!(edited.findings, [Finding::Old { hooks: 3 }]);
    wanted.replaces_old = true;
    let edited = put(&config, &wanted);
    assert_eq!(edited.findings, []);
    let hooks = list(&edited.config["plans"][0], "hooks");
    assert_eq!(command_of(&hooks[0]), Some("curl http://kuma/api/push/x\n"));
    assert_eq!(hooks[1..], hooks_of(&wanted_with([true, false])));
}

#[test]
fn what_is_not_understood_is_shown_and_left_alone() {
    let wanted = wanted_with([false, false]);
    let text = "if true; then\n  /bridge/backrest-send pre-backups\nfi\n";
    let config = plan_with(&[("SNAPSHOT_START", "CANCEL", text)]);
    let edited = put(&config, &wanted);
    let [Finding::Unclear { asks, .. }] = &edited.findings[..] else { panic!("{:?}", edited.findings) };
    assert_eq!(asks, &[BuiltIn::PreBackups]);
    assert_eq!(edited.config["plans"][0]["hooks"][0], config["plans"][0]["hooks"][0]);
    let answered = Wiring { elsewhere: asks.clone(), ..wanted.clone() };
    assert_eq!(sending(&put(&config, &answered).config, BuiltIn::PreBackups), 0);
    // It may need the flag, so that stays.
    let out = take(&edited.config, &wanted);
    assert!(!out.changes_flag && out.findings.contains(&Finding::FlagStays), "{:?}", out.findings);
    assert!(matches!(out.findings[0], Finding::LeftAlone { .. }));
}

#[test]
fn the_mark_and_what_a_failure_does_agree() {
    let wanted = wanted_with([false, false]);
    let marked = "curl http://x\n/bridge/backrest-send pre-backups --failure-cancels\n";
    for (on_error, finds) in [("", true), ("IGNORE", true), ("CANCEL", false), ("FATAL", false)] {
        let findings = put(&plan_with(&[("SNAPSHOT_START", on_error, marked)]), &wanted).findings;
        let found = matches!(findings[..], [Finding::MarkWithoutCancel { .. }]);
        assert_eq!(found, finds, "{on_error}: {findings:?}");
    }
    // Ours that a person set to ignore gets its cancelling back.
    let mut config = put(&config(), &wanted).config;
    config["plans"][0]["hooks"][1]["onError"] = json!("ON_ERROR_IGNORE");
    assert!(cancels(&put(&config, &wanted).config["plans"][0]["hooks"][1]));
}

#[test]
fn services_and_key_stay_until_others_are_named() {
    let some =
        Wiring { services: Some(vec!["immich".into(), "wiki*".into()]), ..wanted_with([false, false]) };
    let mut config = config();
    config["instance"] = json!("my home");
    let edited = put(&config, &some);
    let text = command_of(&edited.config["plans"][0]["hooks"][1]).unwrap();
    let end = "pre-backups --failure-cancels --key my%20home/{{ urlquery .Plan.Id }} immich wiki*\n";
    assert!(text.ends_with(end), "{text}");
    let again = put(&edited.config, &wanted_with([false, false]));
    assert_eq!(again.difference, Vec::<String>::new());
    // Pasted by hand there is no instance in the key, which is as good as long as both have it.
    config["plans"][0]["hooks"] = json!(hooks_of(&Wiring { services: Some(vec![]), ..some }));
    let edited = put(&config, &wanted_with([false, false]));
    assert!(!edited.changes_hooks, "{:?}", edited.difference);
    // A key of another plan, from a copied configuration, is not kept.
    let other = config.to_string().replace("{{ urlquery .Plan.Id }}", "other");
    let edited = put(&serde_json::from_str(&other).unwrap(), &wanted_with([false, false]));
    assert!(edited.changes_hooks);
}

#[test]
fn what_a_newer_backrest_has_in_a_hook_stays_when_the_hook_is_completed() {
    for command in
        ["/bridge/backrest-send pre-backups", "#!/bridge/backrest-send\nstart-tailscale\npre-backups"]
    {
        let mut config = config();
        config["plans"][0]["hooks"] = json!([{
            "id": 7, "enabled": true, "retry": { "max": 3 },
            "conditions": ["CONDITION_SNAPSHOT_START", "CONDITION_OF_THE_FUTURE"],
            "actionCommand": { "command": command, "timeoutMs": "5000" },
        }]);
        let edited = put_in(&config);
        let hooks = list(&edited.config["plans"][0], "hooks");
        let starting: Vec<_> = hooks.iter().filter(|hook| sends(hook, BuiltIn::PreBackups)).collect();
        let [hook] = starting.as_slice() else { panic!("{hooks:#?}") };
        assert_eq!(json!([hook["id"], hook["enabled"], hook["retry"]["max"]]), json!([7, true, 3]));
        assert_eq!(hook["actionCommand"]["timeoutMs"], "5000");
        assert_eq!(hook["conditions"], json!(["CONDITION_SNAPSHOT_START", "CONDITION_OF_THE_FUTURE"]));
        assert_eq!(hook["onError"], "ON_ERROR_CANCEL");
        let again = put_in(&edited.config).difference;
        assert!(again.is_empty(), "{command}: {again:#?}\n{hooks:#?}");
    }
}
