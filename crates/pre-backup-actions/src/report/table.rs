//! Tables without frames, as wide as their cells, or as the terminal if that is narrower.

use anstream::adapter::strip_str;
use common::width;
use unicode_width::UnicodeWidthStr;

/// A column is never cut to less.
const NARROWEST: usize = 8;

/// `rows` under `heads`. Cells may be coloured; colour takes no room. In a terminal of so few `columns` that it does not
/// fit, the widest cells are cut.
pub(crate) fn table(
    heads: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    columns: Option<usize>,
) -> String {
    let heads = heads.iter().map(|head| (*head).to_string()).collect();
    let mut lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let cells = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widest =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| width(cell)).max();
    let mut widths: Vec<usize> = (0..cells).map(|column| widest(column).unwrap_or(0)).collect();
    while widths.iter().map(|wide| wide + 2).sum::<usize>()
        > columns.map_or(usize::MAX, |columns| columns + 2)
    {
        match widths.iter_mut().max() {
            Some(most) if *most > NARROWEST => *most -= 1,
            _ => break,
        }
    }
    for line in &mut lines {
        line.iter_mut().zip(&widths).for_each(|(cell, wide)| cut(cell, *wide));
    }
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

/// Cuts the text of `cell` and leaves its colour.
fn cut(cell: &mut String, wide: usize) {
    let text = strip_str(cell).to_string();
    if UnicodeWidthStr::width(text.as_str()) > wide {
        *cell = cell.replacen(&text, &width::cut(&text, wide), 1);
    }
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
        let heads = &["service", "result", "time"];
        let narrow = table(heads, rows.clone().into_iter(), Some(22));
        assert_eq!(
            strip_str(&narrow).to_string(),
            "service   result  time\na         ok      1 s\nlong na…  failed  2 s"
        );
        assert!(narrow.contains(&green("ok")));
        let text = strip_str(&table(heads, rows.into_iter(), None)).to_string();
        assert_eq!(text, "service    result  time\na          ok      1 s\nlong name  failed  2 s");
    }
}
