//! The demo's table: what of each service is in the snapshot, what is not, and the dump.
//!
//! A plain function from rows to text, so that it can be looked at without a backup.

use common::text::count;
use common::units;

use super::compare::{Amount, Comparison, Row};
use super::services::{DUMPED, ROWS, Service};
use crate::table::table;

/// The table.
pub(super) fn render(services: &[Service], comparison: &Comparison) -> String {
    let names = services.iter().map(|service| service.name).chain(["backrest"]);
    let mut rows: Vec<_> = names
        .map(|name| {
            let dump = if name == DUMPED { format!("✓ {ROWS} rows") } else { String::new() };
            cells(name, comparison.rows.get(name).copied().unwrap_or_default(), dump)
        })
        .collect();
    rows.push(cells("all", comparison.total(), String::new()));
    table(["service", "backed up", "", "left out", "", "dump"], rows)
}

fn cells(name: &str, row: Row, dump: String) -> [String; 6] {
    let files = |amount: Amount| count(amount.files, "file");
    let size = |amount: Amount| if amount.files == 0 { String::new() } else { units::bytes(amount.bytes) };
    let (kept, left) = (row.backed_up, row.left_out);
    [name.into(), files(kept), size(kept), files(left), size(left), dump]
}
