//! Something in a file that a person wrote which can't be used as it stands: where, what, and what to do.
//!
//! A parser returns what it understood and a list of these; it never stops at the first.

use std::fmt;
use std::path::PathBuf;

use crate::text::{WARN, escape, escape_path};
use crate::width;

/// One line of bad news about one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file or folder it is about.
    pub path: PathBuf,
    /// The line, counted from 1, if it is about one.
    pub line: Option<usize>,
    /// What is wrong, and what happens because of it.
    pub what: String,
}

impl Problem {
    /// About a whole file or folder.
    pub fn new(path: impl Into<PathBuf>, what: impl Into<String>) -> Problem {
        Problem { path: path.into(), line: None, what: what.into() }
    }

    /// About one line of a file.
    pub fn at_line(path: impl Into<PathBuf>, line: usize, what: impl Into<String>) -> Problem {
        Problem { path: path.into(), line: Some(line), what: what.into() }
    }
}

/// `path:line: what`, safe for a terminal.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_path(&self.path))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", escape(self.what.as_bytes()))
    }
}

/// Prints each problem as a warning of `tool` on standard error; a line each, folded on a terminal.
pub fn warn(tool: &str, problems: &[Problem]) {
    let width = width::of_terminal(std::io::stderr());
    for problem in problems {
        let text = width::folded(&problem.to_string(), tool.len() + ": warning: ".len(), 4, width);
        crate::note!("{tool}: {WARN}warning{WARN:#}: {text}");
    }
}
