//! Text as wide as the terminal: lines continue below their start, and no word is ever broken, because it may be a path;
//! neither is a path of this machine that has blanks in it.
//!
//! In a pipe or a file a line stays as it is.

use std::fs;
use std::os::fd::AsFd;

use unicode_width::UnicodeWidthStr;

use crate::text::escape;

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
    for word in words(line) {
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

/// What is between the blanks of `line`; a path that exists here is in one piece.
fn words(line: &str) -> Vec<&str> {
    let (mut words, mut start, mut end) = (Vec::new(), 0, 0);
    while let Some(blank) = line[end..].find(' ').map(|blank| end + blank) {
        match name_with_blanks(&line[start..], blank - start) {
            // The rest of the name is looked at again, for another blank behind it.
            Some(length) => end = blank + length,
            None => {
                words.push(&line[start..blank]);
                (start, end) = (blank + 1, blank + 1);
            }
        }
    }
    words.push(&line[start..]);
    words
}

/// If the blank of `text` is in the name of an existing file, the length from there to the end of that name.
fn name_with_blanks(text: &str, blank: usize) -> Option<usize> {
    let path = text[..blank].find('/')?;
    let name = path + text[path..blank].rfind('/')? + 1;
    let names =
        fs::read_dir(&text[path..name]).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names = names.map(|name| escape(name.as_bytes()));
    let fitting = names.filter(|found| name + found.len() > blank && text[name..].starts_with(found));
    fitting.map(|found| name + found.len() - blank).max()
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

/// `name` in at most `width` columns, with `…` for what is cut out of its middle.
pub fn cut_inside(name: &str, width: usize) -> String {
    if of(name) <= width {
        return name.to_string();
    }
    let start = cut(name, width / 2);
    let ends = name.char_indices().map(|(at, _)| &name[at..]);
    let end = ends.into_iter().find(|end| of(&start) + of(end) <= width).unwrap_or_default();
    start + end
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
    fn a_path_with_blanks_is_not_broken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        fs::create_dir_all(folder.path().join("my own  services/日本 語")).unwrap();
        fs::write(folder.path().join("my own"), "").unwrap();
        for path in ["my own  services/日本 語/not there", "my own  services/x", "my own"] {
            let path = format!("{root}/{path}");
            let line = format!("mode of '{path}' is 777: chmod go-w {path}");
            let rows = folded(&line, 0, 2, Some(12));
            assert_eq!(rows.matches(&path).count(), if path.ends_with("there") { 0 } else { 2 }, "{rows}");
            assert!(rows.contains(path.trim_end_matches(" there")), "{rows}");
            assert!(rows.starts_with("mode of\n"), "{rows}");
        }
    }

    #[test]
    fn a_cut_name_fits() {
        assert_eq!(cut("containers/vaultwarden", 12), "containers/…");
        assert_eq!(cut("日本語の名前", 6), "日本…");
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut_inside("containers/vaultwarden", 12), "conta…warden");
        assert_eq!(cut_inside("日本語の長い名前", 7), "日…名前");
        assert_eq!(cut_inside("short", 5), "short");
    }
}
