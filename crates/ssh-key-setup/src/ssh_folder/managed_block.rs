//! Our part of a file that the user may write in too: it stands between two marks, everything else stays.
//!
//! In comes the file's text; out goes the same text with another part between the marks. A file that lost its second
//! mark is refused rather than guessed at.

use anyhow::{Result, anyhow};
use common::exit::HintExt;

const BEGIN: &str = "# >>> ssh-key-setup: written by ssh-key-setup, edits in here are lost >>>";
const END: &str = "# <<< ssh-key-setup <<<";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) before: &'a str,
    /// Between the marks; empty if there are none.
    pub(crate) ours: &'a str,
    /// After the second mark; the whole text if there are none.
    pub(crate) after: &'a str,
}

/// Cuts `text`. Fails if only one of the marks is there.
pub(crate) fn split(text: &str) -> Result<Parts<'_>> {
    let line = |mark: &str| {
        let mut start = 0;
        text.split_inclusive('\n').find_map(|line| {
            let here = start;
            start += line.len();
            (line.trim_end() == mark).then_some((here, start))
        })
    };
    match (line(BEGIN), line(END)) {
        (None, None) => Ok(Parts { before: "", ours: "", after: text }),
        (Some(begin), Some(end)) if begin.1 <= end.0 => {
            Ok(Parts { before: &text[..begin.0], ours: &text[begin.1..end.0], after: &text[end.1..] })
        }
        _ => Err(anyhow!("the lines \"{BEGIN}\" and \"{END}\" are not both present, in this order"))
            .hint("put the missing one back, or move the file away and run this again"),
    }
}

/// `text` with `ours` between the marks, at the top if there were none; without the marks if `ours` is empty.
pub(crate) fn replace(text: &str, ours: &str) -> Result<String> {
    let Parts { before, after, .. } = split(text)?;
    Ok(match ours {
        "" => format!("{before}{after}"),
        _ => format!("{before}{BEGIN}\n{ours}{END}\n{after}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_of_marks_is_refused() {
        assert!(replace(&format!("{BEGIN}\nHost x\n"), "").is_err());
        assert!(replace(&format!("{END}\n{BEGIN}\n"), "").is_err());
    }
}
