//! The observer of a run while it goes on. What is shown and how is in `report`.

use crate::outcome::Outcome;

pub(crate) trait Watcher: Sync {
    /// That many steps are to come.
    fn expect(&self, _steps: usize) {}
    /// A script of `service` starts.
    fn started(&self, _service: &str) {}
    /// Its script has ended, and its dumps are checked.
    fn checking(&self, _service: &str) {}
    /// It printed this.
    fn line(&self, _service: &str, _text: &str) {}
    /// A step is over.
    fn finished(&self, _outcome: &Outcome) {}
    /// All steps are over.
    fn close(&self, _outcomes: &[Outcome]) {}
}
