//! Which hooks a backup needs, so that every way in which it can end runs `post-backups`, once.
//!
//! What a reader gets wrong: when a START hook fails, SNAPSHOT_END does not fire, only SNAPSHOT_ERROR and ANY_ERROR
//! do; when restic fails all three fire in one set, and a hook runs once in a set. So a hook that has to run after
//! every end has END *and* ERROR. Forget runs after the END hooks, and needs the network again.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use bridge::action::BuiltIn;
use bridge::message::Message;
use bridge::request::{Notification, Preparation, encode};
use common::exit::HintExt;
use common::settings::Settings;
use common::text::{escape_path, word};
use serde_json::{Value, json};

use super::config::CANCEL;
use crate::roots;

/// The first line of each of our hooks. Backrest runs the program on a `#!` line and passes it the rest on standard
/// input, so the hook needs no shell, which Backrest's smallest image does not have.
pub(crate) const FIRST_LINE: &str = "#!/bridge/backrest-send";

/// A plan's id in a message: Backrest replaces it, so a copied plan sends its own.
const PLAN: &str = "{{ urlquery .Plan.Id }}";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wiring {
    pub(crate) tailscale: bool,
    pub(crate) notify: bool,
    /// The services to prepare; `None` keeps what a plan has, and all of them at first.
    pub(crate) services: Option<Vec<String>>,
    /// Replace what writes to the FIFO or calls one of the old scripts.
    pub(crate) replaces_old: bool,
    /// Messages that hooks which can't be read send already, as the person answered.
    pub(crate) elsewhere: Vec<BuiltIn>,
    /// The unified ignore file as the container sees it.
    pub(crate) ignore_file: String,
    /// Where the container sees both roots.
    pub(crate) mount: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeededHook {
    /// Without `CONDITION_`.
    pub(crate) conditions: Vec<String>,
    /// Its failure stops the task.
    pub(crate) cancels: bool,
    pub(crate) messages: Vec<Message>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hooks {
    pub(crate) plan: Vec<NeededHook>,
    pub(crate) repo: Vec<NeededHook>,
}

/// What the person decides; the rest follows from the machine and the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    pub(crate) tailscale: Option<bool>,
    pub(crate) notify: Option<bool>,
    /// As in [`Wiring`].
    pub(crate) services: Option<Vec<String>>,
    pub(crate) replaces_old: bool,
}

impl Wiring {
    /// What these settings need. Tailscale is used if the program is installed, and Uptime Kuma if a push address is
    /// set, unless the person decides. Fails if the container can't see the ignore file.
    pub(crate) fn of(settings: &Settings, choice: Choice) -> Result<Wiring> {
        Ok(Wiring {
            tailscale: choice.tailscale.unwrap_or_else(|| is_on_path("tailscale")),
            notify: choice.notify.unwrap_or(!settings.push_settings().is_empty()),
            services: choice.services,
            replaces_old: choice.replaces_old,
            elsewhere: Vec::new(),
            ignore_file: inside(settings)?,
            mount: settings.mount.clone(),
        })
    }

    /// The backup flag, quoted for Backrest, which splits it as a shell does.
    pub(crate) fn flag(&self) -> String {
        format!("--exclude-file={}", word(&self.ignore_file))
    }

    pub(crate) fn to_json(&self) -> Value {
        let hooks = self.hooks(&key_of(None), self.services.as_deref().unwrap_or_default());
        let json = |hooks: &[NeededHook]| hooks.iter().map(NeededHook::to_json).collect::<Vec<_>>();
        json!({
            "plan": { "backup_flags": [self.flag()], "hooks": json(&hooks.plan) },
            "repo": { "hooks": json(&hooks.repo) },
        })
    }

    /// The hooks whose preparations are filed under `key` and prepare `services`.
    pub(crate) fn hooks(&self, key: &str, services: &[String]) -> Hooks {
        let key = Some(key.to_string());
        let prepare = Preparation { failure_cancels: true, key: key.clone(), services: services.to_vec() };
        let prepare = message(BuiltIn::PreBackups, prepare.to_text());
        let undo = message(BuiltIn::PostBackups, Preparation { key, ..Preparation::default() }.to_text());
        let up = message(BuiltIn::StartTailscale, String::new());
        let down = message(BuiltIn::StopTailscale, String::new());

        let start = self.tailscale.then(|| up.clone()).into_iter().chain([prepare]).collect();
        let mut plan = vec![hook(&["SNAPSHOT_START"], true, start)];
        // First of all what was stopped for the backup is started again.
        plan.push(hook(&["SNAPSHOT_END", "SNAPSHOT_ERROR"], false, vec![undo]));
        if self.notify {
            plan.push(hook(&["SNAPSHOT_SUCCESS", "SNAPSHOT_SKIPPED"], false, vec![good_news()]));
            let text = format!("plan {}: {ERROR}", quoted(".Plan.Id"));
            let bad = Notification { plan: Some(PLAN.into()), text, ..Notification::default() };
            let bad = message(BuiltIn::NotifyDown, bad.to_text());
            plan.push(hook(&["SNAPSHOT_ERROR", "SNAPSHOT_WARNING", "ANY_ERROR"], false, vec![bad]));
        }
        let mut repo = Vec::new();
        if self.tailscale {
            plan.push(hook(&["SNAPSHOT_END", "SNAPSHOT_ERROR"], false, vec![down.clone()]));
            // A plan's hooks do not fire for prune and check. Forget follows each backup, after the hooks above.
            repo.push(hook(&tasks(&["START"]), true, vec![up]));
            repo.push(hook(&tasks(&["SUCCESS", "ERROR"]), false, vec![down]));
        }
        if self.notify {
            // A forget of the repository's own schedule belongs to no plan, so no plan's hook fires for it.
            let text = format!("repository {}: {ERROR}", quoted(".Repo.Id"));
            repo.push(hook(&tasks(&["ERROR"]), false, vec![message(BuiltIn::NotifyDown, text)]));
        }
        let elsewhere = |sent: &Message| sent.built_in().is_some_and(|name| self.elsewhere.contains(&name));
        for wanted in &mut plan {
            wanted.messages.retain(|message| !elsewhere(message));
        }
        plan.retain(|wanted| !wanted.messages.is_empty());
        Hooks { plan, repo }
    }
}

/// The key of a plan's preparations: `INSTANCE/PLAN`, percent-encoded.
pub(crate) fn key_of(instance: Option<&str>) -> String {
    match instance.filter(|instance| !instance.is_empty()) {
        Some(instance) => format!("{}/{PLAN}", encode(instance)),
        None => PLAN.into(),
    }
}

/// Whether our hooks ever send that message.
pub(crate) fn is_ours(message: &Message) -> bool {
    use BuiltIn::{NotifyDown, NotifyUp, PostBackups, PreBackups, StartTailscale, StopTailscale};
    let ours = [PreBackups, PostBackups, StartTailscale, StopTailscale, NotifyUp, NotifyDown];
    message.built_in().is_some_and(|name| ours.contains(&name))
}

/// An error's text: one line whatever it holds (%q). Its cause comes last, so it is sent whole: the client shortens it
/// in the middle, and the listener finds the cause.
const ERROR: &str = r#"{{ printf "%.20000q" .Error }}"#;

fn quoted(field: &str) -> String {
    format!(r#"{{{{ printf "%.60q" {field} }}}}"#)
}

/// What a backup that went well brought. The statistics are missing in hooks of tasks that made no snapshot.
fn good_news() -> Message {
    let text = format!(
        "--plan {PLAN} {{{{ with .SnapshotStats }}}}--duration {{{{ .TotalDuration }}}}s {{{{ end }}}}plan {}\
         {{{{ if .SnapshotStats }}}}: {{{{ .SnapshotStats.TotalFilesProcessed }}}} files, \
         {{{{ .FormatSizeBytes .SnapshotStats.DataAdded }}}} added{{{{ end }}}}\
         {{{{ if .SnapshotId }}}}, snapshot {{{{ printf \"%.8s\" .SnapshotId }}}}{{{{ end }}}}",
        quoted(".Plan.Id")
    );
    message(BuiltIn::NotifyUp, text)
}

fn message(action: BuiltIn, text: String) -> Message {
    Message { name: action.name().into(), text }
}

fn tasks(ends: &[&str]) -> Vec<String> {
    let tasks = ["PRUNE", "CHECK", "FORGET"];
    tasks.iter().flat_map(|task| ends.iter().map(move |end| format!("{task}_{end}"))).collect()
}

fn hook(conditions: &[impl AsRef<str>], cancels: bool, messages: Vec<Message>) -> NeededHook {
    let conditions = conditions.iter().map(|condition| condition.as_ref().to_string()).collect();
    NeededHook { conditions, cancels, messages }
}

impl NeededHook {
    /// The hook as Backrest's JSON has it; an `onError` of its zero value is left out there.
    pub(crate) fn to_json(&self) -> Value {
        let mut hook = json!({ "conditions": self.json_conditions() });
        if self.cancels {
            hook["onError"] = CANCEL.into();
        }
        hook["actionCommand"] = json!({ "command": text_of(&self.messages) });
        hook
    }

    pub(crate) fn json_conditions(&self) -> Vec<String> {
        self.conditions.iter().map(|condition| format!("CONDITION_{condition}")).collect()
    }
}

pub(crate) fn text_of(messages: &[Message]) -> String {
    messages.iter().fold(format!("{FIRST_LINE}\n"), |text, message| text + &message.to_string() + "\n")
}

fn inside(settings: &Settings) -> Result<String> {
    let file = &settings.ignore_file;
    let seen = roots::seen_at(settings, file).ok_or_else(|| {
        anyhow!("the container does not see the ignore file: {}: it is in neither root", escape_path(file))
    });
    let seen = seen.hint("choose a file below one of the two roots: IGNORE_FILE in Backrest's .env")?;
    seen.to_str().map(String::from).ok_or_else(|| {
        anyhow!("the ignore file's path is not UTF-8, which Backrest can't hold: {}", escape_path(file))
    })
}

pub(crate) fn is_on_path(name: &str) -> bool {
    std::env::split_paths(&common::paths::search_path()).any(|folder| is_program(&folder.join(name)))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|there| there.is_file() && there.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn wiring([tailscale, notify]: [bool; 2]) -> Wiring {
        Wiring {
            tailscale,
            notify,
            services: None,
            replaces_old: false,
            elsewhere: Vec::new(),
            ignore_file: "/userdata/containers/backrest/ignorefile.txt".into(),
            mount: "/userdata".into(),
        }
    }

    #[track_caller]
    fn hooks(parts: [bool; 2]) -> (Vec<Value>, Vec<Value>) {
        let json = wiring(parts).to_json();
        let [plan, repo] = [&json["plan"]["hooks"], &json["repo"]["hooks"]];
        (plan.as_array().unwrap().clone(), repo.as_array().unwrap().clone())
    }

    /// What is sent for the sets of conditions that Backrest fires, one after another.
    #[track_caller]
    fn messages_after(hooks: &[Value], sets: &str) -> Vec<String> {
        let mut sent = Vec::new();
        for set in sets.split("; ") {
            for hook in hooks {
                let conditions = hook["conditions"].as_array().unwrap();
                if set.split(' ').any(|name| conditions.contains(&json!(format!("CONDITION_{name}")))) {
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
        let (plan, _) = hooks([true, true]);
        // internal/orchestrator/tasks/taskbackup.go: which conditions are fired together, and in which order.
        for (name, sets, notified) in [
            ("success", "SNAPSHOT_START; SNAPSHOT_SUCCESS SNAPSHOT_END", "notify-up"),
            ("skipped", "SNAPSHOT_START; SNAPSHOT_SKIPPED SNAPSHOT_SUCCESS SNAPSHOT_END", "notify-up"),
            ("skipped, older", "SNAPSHOT_START; SNAPSHOT_SKIPPED SNAPSHOT_END", "notify-up"),
            ("partial", "SNAPSHOT_START; SNAPSHOT_WARNING SNAPSHOT_END", "notify-down"),
            ("restic fails", "SNAPSHOT_START; SNAPSHOT_ERROR ANY_ERROR SNAPSHOT_END", "notify-down"),
            ("a START hook fails", "SNAPSHOT_START; ANY_ERROR SNAPSHOT_ERROR", "notify-down"),
            ("no repository", "ANY_ERROR SNAPSHOT_ERROR", "notify-down"),
        ] {
            let sent = messages_after(&plan, sets);
            let count = |message: &str| sent.iter().filter(|sent| *sent == message).count();
            assert_eq!((count("post-backups"), count("stop-tailscale")), (1, 1), "{name}: {sent:?}");
            let notes: Vec<_> = sent.iter().filter(|sent| sent.starts_with("notify-")).collect();
            assert_eq!(notes, [notified], "{name}");
        }
    }

    #[test]
    fn what_works_on_the_repository_has_the_network_and_is_reported_if_it_fails() {
        let (_, repo) = hooks([true, true]);
        for task in ["PRUNE", "CHECK", "FORGET"] {
            let sent = |end: &str| messages_after(&repo, &format!("{task}_START; {task}_{end} ANY_ERROR"));
            assert_eq!(sent("SUCCESS"), ["start-tailscale", "stop-tailscale"]);
            assert_eq!(sent("ERROR"), ["start-tailscale", "stop-tailscale", "notify-down"]);
        }
    }

    #[test]
    fn without_tailscale_and_kuma_only_the_steps_are_left() {
        let (plan, repo) = hooks([false, false]);
        assert_eq!((plan.len(), repo.len()), (2, 0));
        assert!(!json!(plan).to_string().contains("tailscale"));
    }

    #[test]
    fn both_sides_of_a_preparation_have_its_key_and_one_its_mark() {
        let (plan, _) = hooks([true, true]);
        let lines = |hook: &Value| hook["actionCommand"]["command"].as_str().unwrap().to_string();
        let start = lines(&plan[0]);
        let text = start.lines().last().unwrap().strip_prefix("pre-backups ").unwrap().to_string();
        let prepare = Preparation::parse(&text).unwrap();
        assert!(prepare.failure_cancels && plan[0]["onError"] == CANCEL);
        let text = lines(&plan[1]);
        let undo = Preparation::parse(text.lines().last().unwrap().strip_prefix("post-backups ").unwrap());
        assert_eq!(undo.unwrap().key, prepare.key);
        assert_eq!(key_of(Some("my home")), "my%20home/{{ urlquery .Plan.Id }}");
    }
}
