//! Decides what has to be done: facts in, steps out, no I/O. What is right already gives no step, so a second run
//! has an empty plan.
//!
//! What a reader gets wrong: the FIFO that a running container mounts is an inode, not a name. An old FIFO is moved
//! into the bridge by a hard link, and its old name becomes a symlink; both lead to the inode the container has.

pub(crate) mod crontab;
pub(crate) mod remove;
pub(crate) mod setup;
pub(crate) mod unit;

use std::path::PathBuf;

use common::text::escape_path;

use crate::inspect::bash_listener::BashListener;
use crate::inspect::crontab::Crontab;
use crate::inspect::listener::Listener;
use crate::record::Record;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    MakeFolder {
        path: PathBuf,
        mode: u32,
    },
    RemoveEmptyFolder {
        path: PathBuf,
    },
    SetMode {
        path: PathBuf,
        mode: u32,
    },
    WriteRecord {
        path: PathBuf,
        record: Record,
    },
    MakeFifo {
        path: PathBuf,
    },
    AdoptFifo {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        path: PathBuf,
        target: PathBuf,
    },
    InstallClient {
        from: PathBuf,
        to: PathBuf,
    },
    EndBashListener(BashListener),
    StopListener {
        lock: PathBuf,
        listener: Listener,
    },
    StartListener,
    /// Waits until a listener that another program has started holds its lock.
    AwaitListener {
        lock: PathBuf,
        before: Listener,
    },
    WriteUnit {
        path: PathBuf,
        text: String,
    },
    /// Runs `systemctl --user` with these arguments.
    Systemctl(&'static [&'static str]),
    Crontab {
        before: Crontab,
        after: Crontab,
        changes: Vec<Change>,
    },
    PutBackFifo {
        from: PathBuf,
        to: PathBuf,
    },
    RemoveFile {
        path: PathBuf,
    },
    /// Removes what stands there, a folder with all that is in it; a symlink is not followed.
    Remove {
        path: PathBuf,
    },
    /// Gives the state folder another name, under which it is then removed.
    RetireState {
        from: PathBuf,
        to: PathBuf,
    },
    /// Removes a folder if nothing is left in it; what is left is named.
    RemoveFolder {
        path: PathBuf,
    },
}

/// One line that a crontab loses or gains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added(String),
    Removed(String),
}

/// Something that can't be done, and what the person can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) what: String,
    pub(crate) hint: String,
    /// Whether it makes the run a failure; else it is only said.
    pub(crate) is_failure: bool,
}

impl Complaint {
    pub(crate) fn failure(what: impl Into<String>, hint: impl Into<String>) -> Complaint {
        Complaint { what: what.into(), hint: hint.into(), is_failure: true }
    }

    pub(crate) fn warning(what: impl Into<String>, hint: impl Into<String>) -> Complaint {
        Complaint { is_failure: false, ..Complaint::failure(what, hint) }
    }
}

/// What is to be done, and what can't be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) complaints: Vec<Complaint>,
}

impl Step {
    /// What it makes, changes or takes away, where that is a file or a folder.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        match self {
            Step::MakeFolder { path, .. }
            | Step::RemoveEmptyFolder { path }
            | Step::SetMode { path, .. }
            | Step::MakeFifo { path }
            | Step::AdoptFifo { to: path, .. }
            | Step::Link { path, .. }
            | Step::InstallClient { to: path, .. }
            | Step::PutBackFifo { to: path, .. }
            | Step::WriteUnit { path, .. }
            | Step::WriteRecord { path, .. }
            | Step::RetireState { from: path, .. }
            | Step::RemoveFile { path }
            | Step::Remove { path }
            | Step::RemoveFolder { path } => Some(path),
            Step::EndBashListener(_)
            | Step::StopListener { .. }
            | Step::StartListener
            | Step::AwaitListener { .. }
            | Step::Systemctl(_)
            | Step::Crontab { .. } => None,
        }
    }

    /// The step in two columns: what is done, to what. `None` for what is of no interest to a person.
    pub(crate) fn in_words(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Step::MakeFolder { path, .. } => ("make", format!("{}/", escape_path(path))),
            Step::RemoveEmptyFolder { path } => {
                ("remove", format!("{}/, an empty folder where something else belongs", escape_path(path)))
            }
            Step::SetMode { path, mode } => ("set mode", format!("{mode:04o} of {}", escape_path(path))),
            Step::WriteRecord { .. } => return None,
            Step::MakeFifo { path } => ("make", format!("{}, the FIFO", escape_path(path))),
            Step::AdoptFifo { from, to } => {
                ("move", format!("the FIFO {} to {}, the same one", escape_path(from), escape_path(to)))
            }
            Step::Link { path, target } => {
                ("link", format!("{} to {}", escape_path(path), escape_path(target)))
            }
            Step::InstallClient { to, .. } => ("install", escape_path(to)),
            Step::EndBashListener(BashListener { process, command }) => {
                ("end", format!("the Bash listener that runs, process {process}: {command}"))
            }
            Step::StopListener { listener: Listener::Running { text, .. }, .. } => {
                ("stop", format!("the listener, {text}"))
            }
            Step::StopListener { .. } => return None,
            Step::StartListener => ("start", "the listener".into()),
            Step::AwaitListener { .. } => return None,
            Step::WriteUnit { path, .. } => ("write", escape_path(path)),
            Step::Systemctl(arguments) => ("run", format!("systemctl --user {}", arguments.join(" "))),
            Step::Crontab { changes, .. } => {
                let lines = changes.iter().map(|change| match change {
                    Change::Added(line) => format!("+ {line}"),
                    Change::Removed(line) => format!("- {line}"),
                });
                ("crontab", lines.collect::<Vec<_>>().join("\n"))
            }
            Step::PutBackFifo { from, to } => {
                ("move", format!("the FIFO {} back to {}", escape_path(from), escape_path(to)))
            }
            Step::RetireState { from, .. } => ("remove", format!("{}/", escape_path(from))),
            Step::Remove { path } if path.ends_with(".state.removed") => return None,
            Step::RemoveFile { path } | Step::Remove { path } => ("remove", escape_path(path)),
            Step::RemoveFolder { path } => ("remove", format!("{}/", escape_path(path))),
        })
    }
}
