//! One step after another, each printed: what was done, or with `--dry-run` what would be done.
//!
//! A step looks at what is there and is called only if there is something to do, so a second run has none. The first
//! that fails ends the run; the next run goes on from there.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::Result;
use common::contract::status::{Check, CheckState, Fix};
use common::exit::Exit;
use common::text::{self, escape_path};

pub(crate) const TOOL: &str = "create-backrest-pipe";

/// What a step does, in the infinitive and in the past tense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verb(pub(crate) &'static str, &'static str);

impl Verb {
    pub(crate) const MAKE: Verb = Verb("make", "made");
    pub(crate) const MOVE: Verb = Verb("move", "moved");
    pub(crate) const LINK: Verb = Verb("link", "linked");
    pub(crate) const SET_MODE: Verb = Verb("set mode", "set mode");
    pub(crate) const INSTALL: Verb = Verb("install", "installed");
    pub(crate) const START: Verb = Verb("start", "started");
    pub(crate) const STOP: Verb = Verb("stop", "stopped");
    pub(crate) const RUN: Verb = Verb("run", "ran");
    pub(crate) const WRITE: Verb = Verb("write", "wrote");
    pub(crate) const CRONTAB: Verb = Verb("crontab", "crontab");
    pub(crate) const REMOVE: Verb = Verb("remove", "removed");
}

/// What can't be done, with what the person can do about it: the run fails.
pub(crate) fn failure(what: impl Into<String>, hint: impl Into<Fix>) -> Check {
    Check::bad(TOOL, what, hint)
}

/// The same, for what is only reported.
pub(crate) fn warning(what: impl Into<String>, hint: impl Into<Fix>) -> Check {
    Check::note(TOOL, what, Some(hint.into()))
}

#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) is_dry: bool,
    pub(crate) steps: usize,
    pub(crate) complaints: Vec<Check>,
    pub(crate) removed: HashSet<PathBuf>,
}

impl Work {
    pub(crate) fn new(is_dry: bool) -> Work {
        Work { is_dry, steps: 0, complaints: Vec::new(), removed: HashSet::new() }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.complaints.iter().any(|complaint| complaint.state == CheckState::Bad)
    }

    /// Reports what could not be done, `nothing` if there was nothing to do, and `next` if there was.
    pub(crate) fn finish(&self, nothing: &str, next: &str) -> Exit {
        if self.is_dry && self.steps > 0 {
            common::out!("(nothing was done: --dry-run)");
        }
        for Check { state, what, fix, .. } in &self.complaints {
            let warning = match state {
                CheckState::Bad => String::new(),
                _ => format!("{}warning{}: ", text::WARN, text::WARN.render_reset()),
            };
            let hint = fix.as_ref().map_or("see all: create-backrest-pipe status", Fix::text);
            common::note!("{TOOL}: {warning}{what}");
            common::exit::hint(hint);
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

    pub(crate) fn remove(&mut self, path: &Path, act: impl FnOnce() -> Result<()>) -> Result<()> {
        self.removed.insert(path.to_path_buf());
        self.step(Verb::REMOVE, escape_path(path), act)
    }

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
            true => (verb.0, String::new()),
            false => (verb.1, act()?),
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
