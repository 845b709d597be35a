//! The table of the services, no wider than the terminal.
//!
//! In a narrow one two columns go whose numbers follow below the table or in the JSON; then names are cut.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use common::{units, width};

use super::Numbers;

/// Names are not cut shorter than this.
const SHORTEST_NAME: usize = 12;

/// The table of `services` and their `total`; `columns` is the width of the terminal.
pub(super) fn render(
    services: &BTreeMap<String, Numbers>,
    total: &Numbers,
    columns: Option<usize>,
) -> String {
    let whole = table(services, total, true, usize::MAX);
    let Some(columns) = columns else { return whole };
    if width_of(&whole) <= columns {
        return whole;
    }
    let longest = services.keys().map(|name| width::of(name)).max().unwrap_or(0);
    let narrow = table(services, total, false, usize::MAX);
    let too_much = width_of(&narrow).saturating_sub(columns);
    if too_much == 0 {
        return narrow;
    }
    table(services, total, false, longest.saturating_sub(too_much).max(SHORTEST_NAME))
}

fn table(
    services: &BTreeMap<String, Numbers>,
    total: &Numbers,
    is_wide: bool,
    longest_name: usize,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let heads = ["service", "kept", "", "left out", "", "rules", "warnings", "patterns", "no match"];
    let shown = if is_wide { heads.len() } else { heads.len() - 2 };
    table.set_header(&heads[..shown]);
    let named = services.iter().map(|(name, numbers)| (name.as_str(), numbers));
    for (name, numbers) in named.chain([("total", total)]) {
        table.add_row(numbers.row(&width::cut(name, longest_name)).into_iter().take(shown));
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
