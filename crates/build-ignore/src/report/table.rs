//! The table of the services, no wider than the terminal.
//!
//! In a narrow one columns go whose numbers follow below the table or in the JSON, and names are cut inside: their start
//! names the root, their end the service.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use common::{units, width};

use super::Numbers;

/// Names are not cut shorter than this.
const SHORTEST_NAME: usize = 16;

const HEADS: [&str; 9] = ["service", "kept", "", "left out", "", "rules", "warnings", "patterns", "no match"];
/// How many columns a narrower table has.
const NARROWER: [usize; 2] = [7, 5];

/// The table of `services` and their `total`; `columns` is the width of the terminal.
pub(super) fn render(
    services: &BTreeMap<String, Numbers>,
    total: &Numbers,
    columns: Option<usize>,
) -> String {
    let table = |shown: usize, longest_name: usize| table(services, total, shown, longest_name);
    let columns = columns.unwrap_or(usize::MAX);
    let longest = services.keys().map(|name| width::of(name)).max().unwrap_or(0);
    let whole = table(HEADS.len(), longest);
    if width_of(&whole) <= columns {
        return whole;
    }
    let room = |shown: usize| (longest + columns).saturating_sub(width_of(&table(shown, longest)));
    let shown = NARROWER.into_iter().find(|&shown| room(shown) >= longest.min(SHORTEST_NAME));
    let shown = shown.unwrap_or(NARROWER[1]);
    table(shown, room(shown).max(SHORTEST_NAME))
}

fn table(services: &BTreeMap<String, Numbers>, total: &Numbers, shown: usize, longest_name: usize) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(&HEADS[..shown]);
    let named = services.iter().map(|(name, numbers)| (name.as_str(), numbers));
    for (name, numbers) in named.chain([("total", total)]) {
        table.add_row(numbers.row(&width::cut_inside(name, longest_name)).into_iter().take(shown));
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if number > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_string());
    lines.collect::<Vec<_>>().join("\n")
}

fn width_of(table: &str) -> usize {
    table.lines().map(width::of).max().unwrap_or(0)
}

impl Numbers {
    fn row(&self, name: &str) -> Vec<String> {
        vec![
            name.to_string(),
            self.files_kept.to_string(),
            units::bytes(self.bytes_kept),
            self.files_left_out.to_string(),
            units::bytes(self.bytes_left_out),
            self.rules.to_string(),
            self.warnings.to_string(),
            self.patterns.to_string(),
            self.rules_without_match.len().to_string(),
        ]
    }
}
