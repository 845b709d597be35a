//! What a message's name means on this host.
//!
//! A file in `<CONTAINER_DIR>/actions` comes before a built-in action of the same name, and has to be safe to run
//! (see [`common::trust`]): one that isn't hides the built-in action and is refused.

use std::fs;
use std::path::{Path, PathBuf};

use bridge::action::BuiltIn;
use bridge::message::{Message, is_name};

use common::trust::Trust;

use crate::door::Origin;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    BuiltIn(BuiltIn),
    /// What the listener asked itself for.
    Listener(OwnMessage),
    Own(PathBuf),
}

/// Why a message can't be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No action has this name.
    Unknown,
    /// There is a file for it that is not safe to run.
    Unsafe(String),
}

/// A message that the listener sends to itself, and no one else may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnMessage {
    /// Takes Tailscale down now, if no one has asked for it since.
    TailscaleDown,
    /// Runs the after steps because a backup has not come back.
    OverdueBackup,
}

impl OwnMessage {
    const fn name(self) -> &'static str {
        match self {
            OwnMessage::TailscaleDown => "tailscale-down",
            OwnMessage::OverdueBackup => "overdue-backup",
        }
    }

    /// The message with which the listener asks itself for it.
    pub(crate) fn message(self) -> Message {
        Message { name: self.name().into(), text: String::new() }
    }

    /// The one that `message` is, if it came from the listener itself.
    pub(crate) fn of(message: &Message, door: Origin) -> Option<OwnMessage> {
        let all = [OwnMessage::TailscaleDown, OwnMessage::OverdueBackup];
        all.into_iter().find(|own| door == Origin::Timer && own.name() == message.name)
    }
}

/// Finds the action for `message`; `actions` is the folder with the user's own, `trust` is asked
/// only if one of them has that name and another user than this one and root could have written it.
pub(crate) fn look_up(
    message: &Message,
    door: Origin,
    actions: &Path,
    trust: impl FnOnce() -> Trust,
) -> Result<Action, Refusal> {
    let name = message.name.as_str();
    if let Some(own) = OwnMessage::of(message, door) {
        return Ok(Action::Listener(own));
    }
    let built_in = message.built_in();
    // An action that is answered at once shows whether the bridge works, and can't be replaced.
    if let Some(action) = built_in.filter(|action| action.lane().is_none()) {
        return Ok(Action::BuiltIn(action));
    }
    let own = actions.join(name);
    if fs::symlink_metadata(&own).is_ok() {
        // Whom the settings trust as well only matters if these two alone would not do.
        let strict = Trust::only_us_and_root().check_program(&own);
        return match strict.or_else(|_| trust().check_program(&own)) {
            Ok(()) => Ok(Action::Own(own)),
            Err(why) => {
                Err(Refusal::Unsafe(why.fix().map_or_else(|| why.to_string(), |fix| format!("{why}; {fix}"))))
            }
        };
    }
    built_in.map(Action::BuiltIn).ok_or(Refusal::Unknown)
}

/// The names of the built-in actions, and of at most 50 of the user's in `actions`.
pub(crate) fn known_names(actions: &Path) -> Vec<String> {
    let files = fs::read_dir(actions).into_iter().flatten();
    let names = files.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_own = |name: &String| is_name(name) && BuiltIn::named(name).is_none();
    let mut own: Vec<_> = names.filter(is_own).take(50).collect();
    own.sort();
    BuiltIn::ALL.map(|action| action.name().to_string()).into_iter().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[track_caller]
    fn found(name: &str, actions: &Path) -> Result<Action, Refusal> {
        look_up(&Message::parse(name.as_bytes()).unwrap(), Origin::Socket, actions, Trust::only_us_and_root)
    }

    #[track_caller]
    fn file(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, "#!/bin/true\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn an_own_action_comes_before_a_built_in_one_but_not_before_ping() {
        let folder = tempfile::tempdir().unwrap();
        let own = file(folder.path(), "pre-backups", 0o755);
        file(folder.path(), "ping", 0o755);
        assert_eq!(found("pre-backups", folder.path()), Ok(Action::Own(own)));
        assert_eq!(found("ping", folder.path()), Ok(Action::BuiltIn(BuiltIn::Ping)));
        assert_eq!(found("post-backups", folder.path()), Ok(Action::BuiltIn(BuiltIn::PostBackups)));
        assert_eq!(found("reboot", folder.path()), Err(Refusal::Unknown));
        let down = OwnMessage::TailscaleDown.name();
        assert_eq!(found(down, folder.path()), Err(Refusal::Unknown), "only the listener may");
    }

    #[test]
    fn a_file_that_another_user_could_write_is_refused_and_hides_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, why) in [(0o757, "chmod go-w"), (0o644, "chmod u+x")] {
            file(folder.path(), "pre-backups", mode);
            match found("pre-backups", folder.path()) {
                Err(Refusal::Unsafe(why_refused)) => assert!(why_refused.contains(why), "{why_refused}"),
                other => panic!("{mode:o}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_link_on_the_way_that_another_user_can_turn_is_refused() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["actions", "safe", "open"] {
            fs::create_dir(path(name)).unwrap();
        }
        let actions = path("actions");
        file(&path("safe"), "real", 0o755);
        symlink("../safe/real", actions.join("direct")).unwrap();
        symlink("real", path("safe/alias")).unwrap();
        symlink(path("safe/alias"), actions.join("chain")).unwrap();
        for name in ["direct", "chain"] {
            assert!(found(name, &actions).is_ok(), "{name}: {:?}", found(name, &actions));
        }
        symlink(path("safe/real"), path("open/hop")).unwrap();
        symlink(path("open/hop"), actions.join("through-a-link")).unwrap();
        symlink(path("safe"), path("open/folder")).unwrap();
        symlink(path("open/folder/real"), actions.join("through-a-folder")).unwrap();
        fs::set_permissions(path("open"), fs::Permissions::from_mode(0o777)).unwrap();
        for name in ["through-a-link", "through-a-folder"] {
            match found(name, &actions) {
                Err(Refusal::Unsafe(why)) => assert!(why.contains("/open; chmod go-w"), "{why}"),
                other => panic!("{name}: {other:?}"),
            }
        }
        symlink("circle", actions.join("circle")).unwrap();
        assert!(matches!(found("circle", &actions), Err(Refusal::Unsafe(why)) if why.contains("too many")));
    }
}
