//! What every part of a run needs to know: the options, where things lie, and whom the user trusts.

use anyhow::Result;
use common::layout::Layout;
use common::problem::{self, Problem};
use common::settings::Settings;
use common::trust::Trust;

use crate::cli::Cli;
use crate::discover::{self, Found};
use crate::history::History;
use crate::journal;
use crate::options::Options;

pub(crate) const TOOL: &str = "pre-backup-actions";

/// Everything that the command line and the settings decide.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    trust: Trust,
}

impl Context {
    /// Reads the settings. What can't be used of them is printed.
    pub(crate) fn new(cli: &Cli) -> Result<Context> {
        let settings = Settings::load(&cli.flags, None, None)?;
        let (trust, problems) = Trust::of(&settings);
        problem::warn(TOOL, &settings.problems);
        problem::warn(TOOL, &problems);
        let options = Options::resolve(cli, &settings)?;
        let layout = settings.layout();
        Ok(Context { options, settings, layout, trust })
    }

    pub(crate) fn history(&self) -> History {
        History::new(self.layout.actions_history())
    }

    /// The services with a script. What could not be looked at is printed, except folders that can't be entered:
    /// those are in the result.
    pub(crate) fn candidates(&self) -> Result<Found> {
        let history = self.history();
        let is_open = |name: &std::ffi::OsStr| {
            let journal = journal::look(&self.layout.actions_journal());
            journal.is_ok_and(|(entries, _)| entries.iter().any(|entry| entry.service == name))
        };
        let had_script = |name: &std::ffi::OsStr| history.knows(name) || is_open(name);
        let found = discover::candidates(&self.settings, &self.trust, &had_script)?;
        problem::warn(TOOL, &found.problems);
        Ok(found)
    }

    /// The after script of a service, wherever it lies now.
    pub(crate) fn after_script(&self, service: &std::ffi::OsStr) -> Option<discover::Script> {
        self.after_scripts(&[service.to_os_string()]).pop().flatten()
    }

    pub(crate) fn after_scripts(&self, services: &[std::ffi::OsString]) -> Vec<Option<discover::Script>> {
        discover::after_scripts(&self.settings, &self.trust, services)
    }

    /// Prints what could not be written, say, and goes on.
    pub(crate) fn warn(&self, path: impl Into<std::path::PathBuf>, error: &anyhow::Error) {
        problem::warn(TOOL, &[Problem::new(path, common::exit::one_line(error))]);
    }
}
