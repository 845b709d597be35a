//! The observer of a run while it goes on. What is shown and how is in `report`.

use crate::outcome::Outcome;

/// Sees what happens while it happens.
pub(crate) trait Watcher: Sync {
    /// That many steps are to come.
    fn expect(&self, _steps: usize) {}
    /// A script of `service` starts.
    fn started(&self, service: &str);
    /// Its script has ended, and its dumps are checked.
    fn checking(&self, _service: &str) {}
    /// It printed this.
    fn line(&self, service: &str, text: &str);
    /// A step is over.
    fn finished(&self, outcome: &Outcome);
    /// All steps are over.
    fn close(&self, _outcomes: &[Outcome]) {}
}
