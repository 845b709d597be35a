//! `bench hostile`: rules made to stall the tool, each kind doubled three times. None may cost more than in proportion
//! to the rules and to the depth of the tree.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use common::cancel::Cancel;
use common::exit::Exit;
use common::out;

use super::measure::{self, Contender};
use super::restic::scratch;
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

/// The shape at a factor.
type Growing = fn(usize) -> Shape;

const START: Shape = Shape { depth: 100, stars: 4, rules: 50 };

/// Prints the growth, and reports whether each row stays in proportion.
pub(super) fn run(cancel: &Cancel) -> Result<Exit> {
    let tool = build::released("build-ignore")?;
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["doubled", "1", "2", "4", "8", "growth"]);
    let mut is_met = true;
    let shapes: [(&str, Growing); 3] = [
        ("depth", |factor| Shape { depth: START.depth * factor, ..START }),
        ("stars of a rule", |factor| Shape { stars: START.stars * factor, ..START }),
        ("rules", |factor| Shape { rules: START.rules * factor, ..START }),
    ];
    for (name, shape) in shapes {
        let mut cells = vec![name.to_string()];
        let mut times = Vec::new();
        for factor in [1, 2, 4, 8] {
            let home = scratch()?;
            shape(factor).make(home.path())?;
            let contender = [Contender {
                name: String::new(),
                command: Box::new(|| {
                    let mut command = Command::new(&tool);
                    command.args(["--output", "-"]).env("HOME", home.path());
                    command
                }),
            }];
            let time = measure::medians(&contender, ROUNDS, cancel)?[0];
            cells.push(format!("{:.0} ms", time.as_secs_f64() * 1000.0));
            times.push(time.as_secs_f64());
        }
        let growth = times[3] / times[0].max(0.001);
        is_met &= growth <= MOST_GROWTH;
        cells.push(format!("{growth:.1}"));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    out!(
        "{} folders deep, {} `**` in a rule, {} rules; median of {ROUNDS} rounds\n{table}\ngoal: eight times the size in at \
         most {MOST_GROWTH} times the time: {}",
        START.depth,
        START.stars,
        START.rules,
        if is_met { "met" } else { "missed" }
    );
    Ok(if is_met { Exit::Done } else { Exit::Failed })
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
