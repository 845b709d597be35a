//! Configurations as Backrest gives them.

use super::*;

fn wanted() -> Wanted {
    let ours = |condition: &str, message: &str| {
        json!({
            "conditions": [condition],
            "actionCommand": { "command": format!("#!/bridge/backrest-send\n{message}\n") }
        })
    };
    Wanted {
        plan_hooks: vec![
            ours("CONDITION_SNAPSHOT_START", "pre-backups"),
            ours("CONDITION_SNAPSHOT_END", "post-backups"),
        ],
        repo_hooks: vec![ours("CONDITION_PRUNE_START", "start-tailscale")],
        ignore_file: "/userdata/containers/backrest/ignorefile.txt".into(),
        mount: "/userdata".into(),
    }
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

fn put_in(config: &Value) -> Edited {
    edit(config, "all", &wanted(), Direction::PutIn).unwrap()
}

#[test]
fn only_hooks_and_flag_are_different() {
    let edited = put_in(&config());
    let mut expected = config();
    let theirs = expected["plans"][0]["hooks"][0].clone();
    expected["plans"][0]["hooks"] = json!([theirs, wanted().plan_hooks[0], wanted().plan_hooks[1]]);
    expected["plans"][0]["backup_flags"] =
        json!(["--exclude-caches", "--exclude-file=/userdata/containers/backrest/ignorefile.txt"]);
    expected["repos"][0]["hooks"] = json!(wanted().repo_hooks);
    assert_eq!(edited.config, expected);
    insta::assert_snapshot!(edited.difference.join("\n"));
}

#[test]
fn the_second_time_nothing_is_different() {
    let edited = put_in(&config());
    assert_eq!(put_in(&edited.config), Edited { difference: vec![], ..edited });
}

#[test]
fn taken_out_again_it_is_as_it_was() {
    let edited = put_in(&config());
    let out = edit(&edited.config, "all", &wanted(), Direction::TakeOut).unwrap();
    assert_eq!(out.config, config());
    assert!(edit(&out.config, "all", &wanted(), Direction::TakeOut).unwrap().difference.is_empty());
}

#[test]
fn the_repositorys_hooks_stay_as_long_as_another_plan_needs_them() {
    let both = edit(&put_in(&config()).config, "other", &wanted(), Direction::PutIn).unwrap();
    let out = edit(&both.config, "all", &wanted(), Direction::TakeOut).unwrap();
    assert_eq!(out.config["repos"][0]["hooks"], json!(wanted().repo_hooks));
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
    let hooks = [wanted().plan_hooks, vec![theirs]].concat();
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
fn an_unknown_plan_is_answered_with_those_there_are() {
    let error = edit(&config(), "al\u{1b}l", &wanted(), Direction::PutIn).unwrap_err();
    assert_eq!(error.to_string(), "Backrest has no plan \"al\\x1bl\"");
    assert_eq!(common::exit::hint_of(&error), Some("its plans are \"all\", \"other\""));
    assert!(edit(&json!({}), "all", &wanted(), Direction::PutIn).is_err());
}

#[test]
fn what_does_not_fit_the_bridge_is_said() {
    let mut config = config();
    config["plans"][0]["paths"] = json!(["/mnt"]);
    config["plans"][0]["hooks"] = json!([{ "conditions": ["CONDITION_SNAPSHOT_START"],
        "actionCommand": { "command": "echo pre-backups > /backrest-pipe" } }]);
    let notes = put_in(&config).notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn a_hook_that_halts_is_told_where_it_stands_before_ours_at_an_end() {
    let hook = |condition: &str, on_error: &str| json!({ "conditions": [condition], "onError": on_error, "actionCommand": { "command": "x" } });
    let notes_with = |place: &str, hook: Value| {
        let mut config = config();
        *config.pointer_mut(place).unwrap() = json!([hook]);
        put_in(&config).notes
    };
    let mut empty = config();
    empty["repos"][0]["hooks"] = json!([]);
    assert!(put_in(&empty).notes.is_empty());
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
    // The repository's hooks come first, wherever ours stand in the plan; after ours there is nothing to stop.
    let mut put = put_in(&config()).config;
    put["repos"][0]["hooks"] = json!([halting()]);
    assert_eq!(put_in(&put).notes.len(), 1);
    put["repos"][0]["hooks"] = json!([]);
    put["plans"][0]["hooks"].as_array_mut().unwrap().push(halting());
    assert!(put_in(&put).notes.is_empty());
}
