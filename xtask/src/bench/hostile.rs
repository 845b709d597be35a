//! `bench hostile`: rules made to stall the tool, each kind doubled three times. None may cost more than in proportion
//! to the rules and to the depth of the tree.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::out;

use super::measure::{self, contender, goal};
use crate::build;

const ROUNDS: usize = 3;
/// Eight times the size may take this many times as long. Quadratic growth would be 64.
const MOST_GROWTH: f64 = 24.0;

/// What is doubled: the folders nested in one another, the stars of a rule, the rules of the service.
#[derive(Clone, Copy)]
struct Shape {
    depth: usize,
    stars: usize,
    rules: usize,
}

const START: Shape = Shape { depth: 100, stars: 4, rules: 50 };

/// Prints the growth, and reports whether each row stays in proportion.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let tool = build::released("build-ignore")?;
    out!("{} folders deep, {} `**` in a rule, {} rules", START.depth, START.stars, START.rules);
    let most = measure::growth(
        &[
            ("depth", &|home, factor| Shape { depth: START.depth * factor, ..START }.make(home)),
            ("stars of a rule", &|home, factor| Shape { stars: START.stars * factor, ..START }.make(home)),
            ("rules", &|home, factor| Shape { rules: START.rules * factor, ..START }.make(home)),
        ],
        &|home| contender("", &tool, &["--output", "-"], home),
        ROUNDS,
        cancel,
    )?;
    Ok(goal(&format!("eight times the size in at most {MOST_GROWTH} times the time"), most <= MOST_GROWTH))
}

impl Shape {
    /// Folders nested in one another, and rules that match none of them but look as if they could.
    fn make(self, home: &Path) -> Result<()> {
        let service = home.join("data/hostile");
        let folder = service.join("a/".repeat(self.depth));
        fs::create_dir_all(&folder).context("make a deep folder")?;
        fs::create_dir_all(home.join("containers")).context("make a folder")?;
        fs::write(folder.join("f"), "").context("write a file")?;
        let rule = |number: usize| {
            let sign = if number % 5 == 4 { "!" } else { "" };
            format!("{sign}{}z{number}\n", "a/**/".repeat(self.stars))
        };
        let rules: String = (0..self.rules).map(rule).collect();
        fs::write(service.join(".resticignore"), rules).context("write the rules")
    }
}
