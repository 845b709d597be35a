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
