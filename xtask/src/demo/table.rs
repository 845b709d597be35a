//! The demo's table: what of each service is in the snapshot, what is not, and the dump.
//!
//! A plain function from rows to text, so that it can be looked at without a backup.

use comfy_table::{CellAlignment, Table, TableComponent, presets};
use common::text::count;
use common::units;

use super::compare::{Amount, Comparison, Row};
use super::services::{DUMPED, ROWS, Service};

/// The table, as wide as it needs to be.
pub(super) fn render(services: &[Service], comparison: &Comparison) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    table.set_header(["service", "", "backed up", "", "left out", "", "dump"]);
    let own = [("backrest", "its own settings")];
    let names = services.iter().map(|service| (service.name, service.about)).chain(own);
    for (name, about) in names {
        let row = comparison.rows.get(name).copied().unwrap_or_default();
        let dump = if name == DUMPED { format!("✓ {ROWS} rows") } else { String::new() };
        table.add_row(cells(name, about, row, dump));
    }
    table.add_row(cells("all", "", comparison.total(), String::new()));
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn cells(name: &str, about: &str, row: Row, dump: String) -> [String; 7] {
    let files = |amount: Amount| count(amount.files, "file");
    let size = |amount: Amount| if amount.files == 0 { String::new() } else { units::bytes(amount.bytes) };
    let (kept, left) = (row.backed_up, row.left_out);
    [name.into(), about.into(), files(kept), size(kept), files(left), size(left), dump]
}
