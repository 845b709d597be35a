//! Text as wide as the terminal: lines continue below their start, and no word is ever broken, because it may be a path.
//!
//! In a pipe or a file a line stays as it is.

use std::os::fd::AsFd;

use unicode_width::UnicodeWidthStr;

/// The columns of the terminal that `stream` is; none if it is not one.
pub fn of_terminal(stream: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// The columns that `text` takes.
pub fn of(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `line`, of which the first row starts after `start` columns; the rows after it start after `indent` blanks. `width` is
/// that of the terminal.
pub fn folded(line: &str, start: usize, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return line.to_string() };
    let (mut folded, mut used, mut is_start) = (String::with_capacity(line.len()), start, true);
    for word in line.split(' ') {
        let length = UnicodeWidthStr::width(word);
        if !is_start && used + 1 + length > width && used > indent {
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else if !is_start {
            folded.push(' ');
            used += 1;
        }
        folded.push_str(word);
        used += length;
        is_start = false;
    }
    folded
}

/// `name` in at most `width` columns, with `…` for what is cut off its end.
pub fn cut(name: &str, width: usize) -> String {
    if UnicodeWidthStr::width(name) <= width {
        return name.to_string();
    }
    let mut short = String::new();
    for c in name.chars() {
        short.push(c);
        if UnicodeWidthStr::width(short.as_str()) >= width {
            short.pop();
            break;
        }
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_folded_between_words_only() {
        assert_eq!(folded("one two three", 2, 4, Some(10)), "one two\n    three");
        assert_eq!(folded("/a/very/long/path x", 0, 2, Some(10)), "/a/very/long/path\n  x");
        assert_eq!(folded("x /a/very/long/path", 4, 4, Some(10)), "x\n    /a/very/long/path");
        assert_eq!(folded("one two three", 2, 4, None), "one two three");
    }

    #[test]
    fn a_cut_name_fits() {
        assert_eq!(cut("containers/vaultwarden", 12), "containers/…");
        assert_eq!(cut("日本語の名前", 6), "日本…");
        assert_eq!(cut("short", 5), "short");
    }
}
