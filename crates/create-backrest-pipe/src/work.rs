//! One step after another, each printed: what was done, or with `--dry-run` what would be done.
//!
//! A step looks at what is there and is called only if there is something to do, so a second run has none. The first
//! that fails ends the run; the next run goes on from there.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::Result;
use common::exit::Exit;
use common::text::{self, escape_path};

/// The name of this tool, for messages.
pub(crate) const TOOL: &str = "create-backrest-pipe";

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Make,
    Move,
    Link,
    SetMode,
    Install,
    Start,
    Stop,
    Run,
    Write,
    Crontab,
    Remove,
}

impl Verb {
    /// What it does, in the infinitive and in the past tense.
    fn words(self) -> [&'static str; 2] {
        match self {
            Verb::Make => ["make", "made"],
            Verb::Move => ["move", "moved"],
            Verb::Link => ["link", "linked"],
            Verb::SetMode => ["set mode", "set mode"],
            Verb::Install => ["install", "installed"],
            Verb::Start => ["start", "started"],
            Verb::Stop => ["stop", "stopped"],
            Verb::Run => ["run", "ran"],
            Verb::Write => ["write", "wrote"],
            Verb::Crontab => ["crontab", "crontab"],
            Verb::Remove => ["remove", "removed"],
        }
    }

    pub(crate) fn infinitive(self) -> &'static str {
        self.words()[0]
    }
}

/// Something that can't be done, and what the person can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) what: String,
    pub(crate) hint: String,
    /// The run fails; otherwise it is only reported.
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

/// A run.
#[derive(Debug)]
pub(crate) struct Work {
    /// Show the steps only.
    pub(crate) is_dry: bool,
    /// How many steps there were.
    pub(crate) steps: usize,
    pub(crate) complaints: Vec<Complaint>,
    /// What was removed, or would be.
    pub(crate) removed: HashSet<PathBuf>,
}

impl Work {
    pub(crate) fn new(is_dry: bool) -> Work {
        Work { is_dry, steps: 0, complaints: Vec::new(), removed: HashSet::new() }
    }

    /// Whether something that had to be done could not be done.
    pub(crate) fn has_failed(&self) -> bool {
        self.complaints.iter().any(|complaint| complaint.is_failure)
    }

    /// Reports what could not be done, `nothing` if there was nothing to do, and `next` if there was.
    pub(crate) fn finish(&self, nothing: &str, next: &str) -> Exit {
        if self.is_dry && self.steps > 0 {
            common::out!("(nothing was done: --dry-run)");
        }
        for Complaint { what, hint, is_failure } in &self.complaints {
            let warning = match is_failure {
                true => String::new(),
                false => format!("{}warning{}: ", text::WARN, text::WARN.render_reset()),
            };
            common::note!("{TOOL}: {warning}{what}\nhint: {hint}");
        }
        if self.has_failed() {
            return Exit::Failed;
        }
        if self.steps == 0 {
            common::out!("{nothing}");
        } else if !self.is_dry && !next.is_empty() {
            common::out!("{next}");
        }
        Exit::Done
    }

    /// Removes one path and prints it.
    pub(crate) fn remove(&mut self, path: &Path, act: impl FnOnce() -> Result<()>) -> Result<()> {
        self.removed.insert(path.to_path_buf());
        self.step(Verb::Remove, escape_path(path), act)
    }

    /// Does one step and prints it.
    pub(crate) fn step(
        &mut self,
        verb: Verb,
        object: impl Display,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.noting(verb, object, || act().map(|()| String::new()))
    }

    /// Does one step and prints it together with what `act` returns.
    pub(crate) fn noting(
        &mut self,
        verb: Verb,
        object: impl Display,
        act: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        self.steps += 1;
        let (verb, note) = match self.is_dry {
            true => (verb.infinitive(), String::new()),
            false => (verb.words()[1], act()?),
        };
        row(verb, &format!("{object}{note}"));
        Ok(())
    }

    /// Does something that is of no interest to a person.
    pub(crate) fn silently(&mut self, act: impl FnOnce() -> Result<()>) -> Result<()> {
        self.steps += 1;
        if self.is_dry { Ok(()) } else { act() }
    }
}

/// Two columns; the second may have several lines.
pub(crate) fn row(verb: &str, object: &str) {
    let object = object.replace('\n', "\n          ");
    common::out!("{}{verb:<9}{} {object}", text::GOOD, text::GOOD.render_reset());
}
