//! A screen as an SVG: a window with the command that was typed and what it printed.
//!
//! Each run of cells with one style is one text, stretched to its columns, so that any monospace font fits.

use vt100::{Cell, Color};

use super::terminal::{COLUMNS, Screen};

/// A cell, in pixels.
const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 18.0;
const MARGIN: f32 = 16.0;

pub(super) fn render(line: &str, screen: &Screen) -> String {
    let width = f32::from(COLUMNS) * WIDTH + 2.0 * MARGIN;
    let height = (screen.rows.len() + 1) as f32 * HEIGHT + 2.0 * MARGIN;
    let mut image = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-size=\"14\" \
         font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" fill=\"#d8dee9\">\n\
         <title>{0}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1e222a\"/>\n\
         <text x=\"{MARGIN}\" y=\"{1}\" xml:space=\"preserve\"><tspan fill=\"#a3be8c\">$</tspan> {0}</text>\n",
        escaped(line),
        MARGIN + 14.0,
    );
    for (number, row) in screen.rows.iter().enumerate() {
        let y = MARGIN + 14.0 + (number + 1) as f32 * HEIGHT;
        let mut column = 0;
        for run in row.chunk_by(|one, other| style(one) == style(other)) {
            let text: String =
                run.iter().map(|cell| if cell.has_contents() { cell.contents() } else { " " }).collect();
            let shown = text.trim_end();
            if !shown.is_empty() {
                let (x, length) = (MARGIN + column as f32 * WIDTH, shown.chars().count() as f32 * WIDTH);
                image.push_str(&format!(
                    "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{length:.1}\" xml:space=\"preserve\"{}>{}</text>\n",
                    style(&run[0]),
                    escaped(shown)
                ));
            }
            column += run.len();
        }
    }
    image.push_str("</svg>\n");
    image
}

/// The colours that programs use, by their number among the first eight.
const COLORS: [(u8, &str); 5] =
    [(1, "#e06c75"), (2, "#a3be8c"), (3, "#ebcb8b"), (4, "#81a1c1"), (6, "#88c0d0")];

fn style(cell: &Cell) -> String {
    let color =
        COLORS.iter().find(|(number, _)| [*number, *number + 8].map(Color::Idx).contains(&cell.fgcolor()));
    let mut style = color.map(|(_, color)| format!(" fill=\"{color}\"")).unwrap_or_default();
    if cell.bold() {
        style.push_str(" font-weight=\"bold\"");
    }
    if cell.dim() {
        style.push_str(" opacity=\"0.65\"");
    }
    style
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
