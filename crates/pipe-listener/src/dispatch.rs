//! What a message's name means on this host.
//!
//! A file in `<CONTAINER_DIR>/actions` comes before a built-in action of the same name. It has to be safe to run:
//! neither it nor a folder above it may be writable by anybody but the user and root, since otherwise whoever can
//! write there, and not the user, would choose what runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::text::escape_path;
use pipe_listener::message::Message;

use crate::door::Door;

/// What is to be done for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Say that we are here.
    Ping,
    /// Say how we are.
    Status,
    /// Bring the network up.
    StartTailscale,
    /// Let the network go, after a while.
    StopTailscale,
    /// Take the network down now, if nobody has asked for it since.
    TailscaleDown,
    /// Prepare steps, then the ignore file.
    PreBackups,
    /// What undoes the prepare steps.
    PostBackups,
    /// The same, because a backup has not come back.
    OverdueBackup,
    /// The ignore file alone.
    BuildIgnore,
    /// Tell Uptime Kuma.
    Notify(State),
    /// A file of the user's.
    Own(PathBuf),
}

/// What Uptime Kuma is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    Down,
}

/// Why a message can't be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No action has this name.
    Unknown,
    /// There is a file for it that is not safe to run.
    Unsafe(String),
}

/// The messages that the listener sends to itself.
pub(crate) const TAILSCALE_DOWN: &str = "tailscale-down";
pub(crate) const OVERDUE_BACKUP: &str = "overdue-backup";

/// Finds the action for `message`; `actions` is the folder with the user's own.
pub(crate) fn look_up(message: &Message, door: Door, actions: &Path) -> Result<Action, Refusal> {
    let name = message.name.as_str();
    if door == Door::Timer {
        return match name {
            TAILSCALE_DOWN => Ok(Action::TailscaleDown),
            OVERDUE_BACKUP => Ok(Action::OverdueBackup),
            _ => Err(Refusal::Unknown),
        };
    }
    match name {
        // What tells whether the bridge works can't be replaced.
        "ping" => return Ok(Action::Ping),
        "status" => return Ok(Action::Status),
        _ => {}
    }
    let own = actions.join(name);
    if fs::symlink_metadata(&own).is_ok() {
        return match why_unsafe(&own) {
            None => Ok(Action::Own(own)),
            Some(why) => Err(Refusal::Unsafe(why)),
        };
    }
    match name {
        "start-tailscale" => Ok(Action::StartTailscale),
        "stop-tailscale" => Ok(Action::StopTailscale),
        "pre-backups" => Ok(Action::PreBackups),
        "post-backups" => Ok(Action::PostBackups),
        "build-ignore" => Ok(Action::BuildIgnore),
        "notify-up" => Ok(Action::Notify(State::Up)),
        "notify-down" => Ok(Action::Notify(State::Down)),
        _ => Err(Refusal::Unknown),
    }
}

/// Why `file` must not be run; `None` where it may be.
fn why_unsafe(file: &Path) -> Option<String> {
    // Symlinks are the user's own doing where nobody else can write; what they lead to is what counts.
    let real = match fs::canonicalize(file) {
        Ok(real) => real,
        Err(error) => return Some(format!("{}: {error}", escape_path(file))),
    };
    let metadata = match fs::metadata(&real) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("{}: {error}", escape_path(&real))),
    };
    if !metadata.is_file() {
        return Some(format!("{} is not a file", escape_path(&real)));
    }
    if metadata.mode() & 0o111 == 0 {
        return Some(format!("{} is not executable; chmod u+x makes it so", escape_path(&real)));
    }
    let linked = file.ancestors().skip(1).filter(|folder| !real.starts_with(folder));
    let ours = nix::unistd::geteuid().as_raw();
    real.ancestors().chain(linked).find_map(|path| who_else_writes(path, ours))
}

fn who_else_writes(path: &Path, ours: u32) -> Option<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("{}: {error}", escape_path(path))),
    };
    if metadata.uid() != ours && metadata.uid() != 0 {
        return Some(format!("{} belongs to user {}", escape_path(path), metadata.uid()));
    }
    // In a sticky folder (/tmp) nobody can replace what belongs to somebody else.
    let sticky_folder = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    if metadata.mode() & 0o022 != 0 && !sticky_folder {
        return Some(format!(
            "others than its owner can write {}; chmod go-w takes that away",
            escape_path(path)
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn found(name: &str, actions: &Path) -> Result<Action, Refusal> {
        look_up(&Message::parse(name.as_bytes()).unwrap(), Door::Socket, actions)
    }

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
        assert_eq!(found("ping", folder.path()), Ok(Action::Ping));
        assert_eq!(found("post-backups", folder.path()), Ok(Action::PostBackups));
        assert_eq!(found("reboot", folder.path()), Err(Refusal::Unknown));
        assert_eq!(found(TAILSCALE_DOWN, folder.path()), Err(Refusal::Unknown), "only the listener may");
    }

    #[test]
    fn a_file_that_somebody_else_could_write_is_refused_and_hides_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, why) in [(0o775, "chmod go-w"), (0o757, "chmod go-w"), (0o644, "chmod u+x")] {
            file(folder.path(), "pre-backups", mode);
            match found("pre-backups", folder.path()) {
                Err(Refusal::Unsafe(said)) => assert!(said.contains(why), "{said}"),
                other => panic!("{mode:o}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_folder_above_that_somebody_else_could_write_is_refused_too() {
        let folder = tempfile::tempdir().unwrap();
        let actions = folder.path().join("open/actions");
        fs::create_dir_all(&actions).unwrap();
        file(&actions, "own", 0o755);
        assert!(found("own", &actions).is_ok());
        fs::set_permissions(folder.path().join("open"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(found("own", &actions), Err(Refusal::Unsafe(_))));
        let link = folder.path().join("linked");
        fs::create_dir(&link).unwrap();
        std::os::unix::fs::symlink(actions.join("own"), link.join("own")).unwrap();
        assert!(matches!(found("own", &link), Err(Refusal::Unsafe(_))), "where a link leads counts");
    }
}
