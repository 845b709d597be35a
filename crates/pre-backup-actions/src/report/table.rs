//! Tables without frames, as wide as their cells.

use anstream::adapter::strip_str;
use unicode_width::UnicodeWidthStr;

/// `rows` under `heads`. Cells may be coloured; colour takes no room.
pub(crate) fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let heads = heads.iter().map(|head| (*head).to_string()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widest =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| width(cell)).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let mut blanks = 0;
        for (cell, wide) in line.iter().zip(&widths) {
            // Blanks are written once something follows them.
            if !cell.is_empty() {
                out.extend(std::iter::repeat_n(' ', blanks));
                blanks = 0;
                out.push_str(cell);
            }
            blanks += wide - width(cell) + 2;
        }
        out.push('\n');
    }
    out.pop();
    out
}

/// How many columns of a terminal `cell` takes.
fn width(cell: &str) -> usize {
    strip_str(cell).map(UnicodeWidthStr::width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_their_colour() {
        let green = |text: &str| format!("\u{1b}[32m{text}\u{1b}[0m");
        let rows = [
            vec!["a".into(), green("ok"), "1 s".into()],
            vec!["long name".into(), "failed".into(), "2 s".into()],
        ];
        let text = strip_str(&table(&["service", "result", "time"], rows.into_iter())).to_string();
        assert_eq!(text, "service    result  time\na          ok      1 s\nlong name  failed  2 s");
    }
}
