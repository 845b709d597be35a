//! Which hooks a backup needs, so that every way in which it can end runs `post-backups`, once.
//!
//! What a reader gets wrong: when a START hook fails, SNAPSHOT_END does not fire, only SNAPSHOT_ERROR and ANY_ERROR
//! do; when restic fails all three fire in one set, and a hook runs once in a set. So a hook that has to run after
//! every end stands on END *and* ERROR. Forget runs after the END hooks, and needs the network again.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use common::exit::HintExt;
use common::settings::Settings;
use common::text::escape_path;
use serde_json::{Value, json};

/// The first line of each of our hooks. Backrest runs the program on a `#!` line and gives it the rest on standard
/// input, so the hook needs no shell, which Backrest's smallest image does not have.
pub(crate) const FIRST_LINE: &str = "#!/bridge/backrest-send";

/// The messages that our hooks send; a hook that sends another one is the user's own.
const MESSAGES: [&str; 6] =
    ["start-tailscale", "stop-tailscale", "pre-backups", "post-backups", "notify-up", "notify-down"];

/// What Backrest has to be told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// The hooks of the plan, in order.
    pub(crate) plan_hooks: Vec<Value>,
    /// The hooks of its repository, in order.
    pub(crate) repo_hooks: Vec<Value>,
    /// The unified ignore file as the container sees it.
    pub(crate) ignore_file: String,
    /// Where the container sees both roots.
    pub(crate) mount: PathBuf,
}

impl Wanted {
    /// What these settings need. Tailscale is used where the program is there, and Uptime Kuma where its push
    /// address is set, unless the person says otherwise. Fails where the container can't see the ignore file.
    pub(crate) fn of(settings: &Settings, tailscale: Option<bool>, notify: Option<bool>) -> Result<Wanted> {
        let tailscale = tailscale.unwrap_or_else(|| is_on_path("tailscale"));
        let notify = notify.unwrap_or(settings.push_url.is_some());
        let (plan_hooks, repo_hooks) = hooks(tailscale, notify);
        let ignore_file = inside(settings)?;
        Ok(Wanted { plan_hooks, repo_hooks, ignore_file, mount: settings.mount.clone() })
    }

    /// The backup flag, quoted for Backrest, which splits it as a shell does.
    pub(crate) fn flag(&self) -> String {
        // A path from the file system holds no NUL byte.
        let file =
            shlex::try_quote(&self.ignore_file).map_or(self.ignore_file.clone(), |file| file.into_owned());
        format!("--exclude-file={file}")
    }

    /// The parts of Backrest's configuration that hold it.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "plan": { "backup_flags": [self.flag()], "hooks": self.plan_hooks },
            "repo": { "hooks": self.repo_hooks },
        })
    }
}

/// Whether `hook`, from Backrest's configuration, is one of ours.
pub(crate) fn is_ours(hook: &Value) -> bool {
    let Some(command) = hook.pointer("/actionCommand/command").and_then(Value::as_str) else { return false };
    let mut lines = command.lines().filter(|line| !line.trim().is_empty());
    let is_client = lines.next().is_some_and(|first| first.trim_end() == FIRST_LINE);
    let mut messages = lines.map(|line| line.split(' ').next().unwrap_or(line)).peekable();
    is_client && messages.peek().is_some() && messages.all(|message| MESSAGES.contains(&message))
}

/// The hooks of the plan and of the repository.
fn hooks(tailscale: bool, notify: bool) -> (Vec<Value>, Vec<Value>) {
    // The text of an error is one line here whatever it holds (%q), and short enough for a message.
    const PLAN_ERROR: &str = r#"notify-down {{ printf "plan %.60q: %.300q" .Plan.Id .Error }}"#;
    const REPO_ERROR: &str = r#"notify-down {{ printf "repository %.60q: %.300q" .Repo.Id .Error }}"#;
    let start = ["start-tailscale", "pre-backups"];
    let start = if tailscale { &start[..] } else { &start[1..] };
    let mut plan = vec![hook(&["SNAPSHOT_START"], Some("ON_ERROR_CANCEL"), start)];
    // First of all what was stopped for the backup is started again.
    plan.push(hook(&["SNAPSHOT_END", "SNAPSHOT_ERROR"], None, &["post-backups"]));
    if notify {
        let up = r#"notify-up {{ printf "plan %.60q" .Plan.Id }}"#;
        plan.push(hook(&["SNAPSHOT_SUCCESS", "SNAPSHOT_SKIPPED"], None, &[up]));
        plan.push(hook(&["SNAPSHOT_ERROR", "SNAPSHOT_WARNING", "ANY_ERROR"], None, &[PLAN_ERROR]));
    }
    let mut repo = Vec::new();
    if tailscale {
        plan.push(hook(&["SNAPSHOT_END", "SNAPSHOT_ERROR"], None, &["stop-tailscale"]));
        // A plan's hooks do not fire for prune and check. Forget follows each backup, after the hooks above.
        let on = |ends: &[&str]| -> Vec<String> {
            let tasks = ["PRUNE", "CHECK", "FORGET"];
            tasks.iter().flat_map(|task| ends.iter().map(move |end| format!("{task}_{end}"))).collect()
        };
        repo.push(hook(&on(&["START"]), Some("ON_ERROR_CANCEL"), &["start-tailscale"]));
        repo.push(hook(&on(&["SUCCESS", "ERROR"]), None, &["stop-tailscale"]));
    }
    if notify {
        // A forget of the repository's own schedule belongs to no plan, so no plan's hook fires for it.
        repo.push(hook(&["PRUNE_ERROR", "CHECK_ERROR", "FORGET_ERROR"], None, &[REPO_ERROR]));
    }
    (plan, repo)
}

/// One hook as Backrest's JSON has it; an `onError` of its zero value is left out there.
fn hook(conditions: &[impl AsRef<str>], on_error: Option<&str>, messages: &[&str]) -> Value {
    let conditions: Vec<_> =
        conditions.iter().map(|condition| format!("CONDITION_{}", condition.as_ref())).collect();
    let command = format!("{FIRST_LINE}\n{}\n", messages.join("\n"));
    let mut hook = json!({ "conditions": conditions });
    if let Some(on_error) = on_error {
        hook["onError"] = on_error.into();
    }
    hook["actionCommand"] = json!({ "command": command });
    hook
}

/// The ignore file's path in the container.
fn inside(settings: &Settings) -> Result<String> {
    let file = &settings.ignore_file;
    let roots = [(&settings.container_root, "containers"), (&settings.data_root, "data")];
    let seen = roots
        .into_iter()
        .find_map(|(root, name)| Some(settings.mount.join(name).join(file.strip_prefix(root).ok()?)));
    let seen = seen.ok_or_else(|| {
        anyhow!("the container does not see the ignore file: {}: it lies in neither root", escape_path(file))
    });
    let seen = seen.hint("choose a file below one of the two roots: IGNORE_FILE in Backrest's .env")?;
    seen.to_str().map(String::from).ok_or_else(|| {
        anyhow!("the ignore file's path is no UTF-8, which Backrest can't hold: {}", escape_path(file))
    })
}

/// Whether a program of that name can be found as a shell would find it.
pub(crate) fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_program(&folder.join(name)))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|there| there.is_file() && there.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hooks that fire for the sets of conditions that Backrest fires, one after another.
    fn messages_after(hooks: &[Value], sets: &[&[&str]]) -> Vec<String> {
        let mut sent = Vec::new();
        for set in sets {
            for hook in hooks {
                let conditions = hook["conditions"].as_array().unwrap();
                let fires = |name: &&str| conditions.contains(&json!(format!("CONDITION_{name}")));
                if set.iter().any(fires) {
                    let text = hook["actionCommand"]["command"].as_str().unwrap();
                    let lines = text.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_string());
                    sent.extend(lines);
                }
            }
        }
        sent
    }

    #[test]
    fn every_end_of_a_backup_runs_post_backups_once() {
        let (plan, _) = hooks(true, true);
        // internal/orchestrator/tasks/taskbackup.go: which conditions are fired together, and in which order.
        type Sets<'a> = &'a [&'a [&'a str]];
        let cases: [(&str, Sets<'_>, &[&str]); 7] = [
            ("success", &[&["SNAPSHOT_START"], &["SNAPSHOT_SUCCESS", "SNAPSHOT_END"]], &["notify-up"]),
            (
                "skipped",
                &[&["SNAPSHOT_START"], &["SNAPSHOT_SKIPPED", "SNAPSHOT_SUCCESS", "SNAPSHOT_END"]],
                &["notify-up"],
            ),
            ("skipped, older", &[&["SNAPSHOT_START"], &["SNAPSHOT_SKIPPED", "SNAPSHOT_END"]], &["notify-up"]),
            ("partial", &[&["SNAPSHOT_START"], &["SNAPSHOT_WARNING", "SNAPSHOT_END"]], &["notify-down"]),
            (
                "restic fails",
                &[&["SNAPSHOT_START"], &["SNAPSHOT_ERROR", "ANY_ERROR", "SNAPSHOT_END"]],
                &["notify-down"],
            ),
            (
                "a START hook fails",
                &[&["SNAPSHOT_START"], &["ANY_ERROR", "SNAPSHOT_ERROR"]],
                &["notify-down"],
            ),
            ("no repository", &[&["ANY_ERROR", "SNAPSHOT_ERROR"]], &["notify-down"]),
        ];
        for (name, sets, notified) in cases {
            let sent = messages_after(&plan, sets);
            let count = |message: &str| sent.iter().filter(|sent| *sent == message).count();
            assert_eq!((count("post-backups"), count("stop-tailscale")), (1, 1), "{name}: {sent:?}");
            let notes: Vec<_> = sent.iter().filter(|sent| sent.starts_with("notify-")).collect();
            assert_eq!(notes, notified, "{name}");
        }
    }

    #[test]
    fn the_network_is_up_for_all_that_works_on_the_repository() {
        let (_, repo) = hooks(true, false);
        for task in ["PRUNE", "CHECK", "FORGET"] {
            for end in ["SUCCESS", "ERROR"] {
                let (start, end) = (format!("{task}_START"), format!("{task}_{end}"));
                let sent = messages_after(&repo, &[&[&start], &[&end, "ANY_ERROR"]]);
                assert_eq!(sent, ["start-tailscale", "stop-tailscale"]);
            }
        }
    }

    #[test]
    fn the_monitor_hears_of_whatever_fails_on_the_repository() {
        let (_, repo) = hooks(false, true);
        for task in ["PRUNE", "CHECK", "FORGET"] {
            assert_eq!(messages_after(&repo, &[&[&format!("{task}_ERROR"), "ANY_ERROR"]]), ["notify-down"]);
        }
    }

    #[test]
    fn without_tailscale_and_kuma_only_the_steps_are_left() {
        let (plan, repo) = hooks(false, false);
        assert_eq!((plan.len(), repo.len()), (2, 0));
        assert!(!json!(plan).to_string().contains("tailscale"));
    }

    #[test]
    fn our_hooks_are_told_from_the_users() {
        let (plan, repo) = hooks(true, true);
        assert!(plan.iter().chain(&repo).all(is_ours));
        for command in [
            "/bridge/backrest-send pre-backups",
            "#!/bridge/backrest-send\nmy-own-action\n",
            "#!/bridge/backrest-send\npre-backups\nmy-own-action\n",
            "#!/bridge/backrest-send --no-wait\npre-backups\n",
            "#!/bridge/backrest-send\n",
            "echo pre-backups > /backrest-pipe",
            "",
        ] {
            assert!(!is_ours(&json!({ "actionCommand": { "command": command } })), "{command}");
        }
        assert!(!is_ours(&json!({ "actionWebhook": { "webhookUrl": "x" } })));
    }
}
