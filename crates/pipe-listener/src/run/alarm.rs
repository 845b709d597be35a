//! The text of a push: the part of an error that explains it, behind what is wrong with this backup's services.
//!
//! Backrest's text begins with several hundred characters about what it was doing, quoted more than once, and ends with
//! what restic printed. Uptime Kuma shows the first line or two. So the text is unescaped, and of an error only its last
//! part is kept: `Fatal: …` or the last error, with the exit reason. Nothing but words depends on what is found.

use bridge::request::SHORT;
use common::contract::trouble::{Preparation, Trouble};

/// What restic prints last is looked for in the last part of a text.
const LONGEST: usize = 16 << 10;

/// The part of `text` that explains why something failed.
pub(super) fn reason(text: &str) -> String {
    let text = unescape(text);
    let text = &text[floor(&text, text.len().saturating_sub(LONGEST))..];
    if text.chars().count() <= SHORT && !text.contains('\n') {
        return tidy(text);
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let fatal = text.rfind("Fatal: ").map(|at| text[at..].lines().next().unwrap_or_default());
    let exit = text.rfind("exit status ").or_else(|| text.rfind("exit code "));
    let exit = exit.map(|at| {
        let rest = &text[at..];
        let end = rest
            .char_indices()
            .skip(12)
            .find(|(_, c)| !c.is_ascii_digit())
            .map_or(rest.len(), |(end, _)| end);
        &rest[..end]
    });
    let last = fatal.map(str::to_string).or_else(|| lines().next_back().map(last_cause));
    let last = tidy(&last.unwrap_or_default());
    match exit {
        Some(exit) if !last.contains(exit) => format!("{last} ({exit})"),
        _ => last,
    }
}

/// The causes of a chain `a: b: c` from its end, as many as are short.
fn last_cause(line: &str) -> String {
    let mut start = line.len();
    for (at, _) in line.rmatch_indices(": ") {
        if line.len() - at > SHORT {
            break;
        }
        start = at + 2;
    }
    if start == line.len() {
        start = floor(line, line.len().saturating_sub(2 * SHORT));
    }
    line[start..].to_string()
}

/// Takes back what `%q` of Go and JSON do to a text, as often as it was done.
fn unescape(text: &str) -> String {
    let mut text = text.to_string();
    for _ in 0..4 {
        if !text.contains("\\n") && !text.contains("\\\"") {
            break;
        }
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('\\', Some('n' | 'r')) => out.push('\n'),
                ('\\', Some('t')) => out.push(' '),
                ('\\', Some(&next @ ('"' | '\\' | '\''))) => out.push(next),
                _ => {
                    out.push(c);
                    continue;
                }
            }
            chars.next();
        }
        text = out;
    }
    text
}

/// One line without what closes a quotation at its end.
fn tidy(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let text = words.join(" ");
    let quotes = text.matches('"').count();
    let text = if quotes % 2 == 1 { text.trim_end_matches(['"', '}', ')', ']']).to_string() } else { text };
    text.trim_matches([',', ';', ' ']).to_string()
}

/// The next character boundary at or after `at`.
fn floor(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

/// The last preparation of `plan`'s backup; of one without a plan, for `None`. There is none if all was well with it.
pub(crate) fn of_preparation<'a>(trouble: &'a Trouble, plan: Option<&str>) -> Option<&'a Preparation> {
    let of_plan = |key: &str| {
        let id = key.rsplit_once('/').map_or(key, |(_, plan)| plan);
        (!key.is_empty()).then(|| bridge::request::decode(id))
    };
    let found = trouble.preparations.iter().filter(|(key, _)| of_plan(key).as_deref() == plan);
    found.map(|(_, preparation)| preparation).max_by_key(|preparation| preparation.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Backrest 1.14.1 hands it to a hook.
    const WRONG_PASSWORD: &str = r#"failed to get snapshots for plan: get snapshots for plan "nightly": command "/bin/restic snapshots --json -o sftp.args=-oBatchMode=yes --tag plan:nightly --tag created-by:home" failed: exit status 12\nOutput:\n{\"message_type\":\"exit_error\",\"code\":12,\"message\":\"Fatal: wrong password or no key found\"}\n"#;

    #[test]
    fn the_part_that_explains_arrives() {
        assert_eq!(reason(WRONG_PASSWORD), "Fatal: wrong password or no key found (exit status 12)");
        let preamble = "x".repeat(600);
        for (text, expected) in [
            (
                format!(
                    "{preamble}: exit status 10\nFatal: repository does not exist: unable to open config file\nIs there a repository?"
                ),
                "Fatal: repository does not exist: unable to open config file (exit status 10)",
            ),
            (format!("{preamble}: connection reset by peer"), "connection reset by peer"),
            (format!("run: {preamble}: read /a: input/output error"), "read /a: input/output error"),
            ("task cancelled: hook failed".into(), "task cancelled: hook failed"),
            (r#"printed \"no\""#.into(), r#"printed "no""#),
            (String::new(), ""),
        ] {
            assert_eq!(reason(&text), expected);
        }
        assert!(reason(&"ä".repeat(50_000)).chars().count() <= 2 * SHORT);
    }

    #[test]
    fn what_is_wrong_with_another_plan_is_left_out() {
        let preparation = |at, summary: &str| Preparation { at, is_failure: true, summary: summary.into() };
        let preparations = [
            (String::new(), preparation(1, "old hook")),
            ("home/a%2Fb".to_string(), preparation(2, "older")),
            ("work/a%2Fb".to_string(), preparation(3, "newest")),
            ("home/c".to_string(), preparation(4, "another plan")),
        ];
        let trouble = Trouble { preparations: preparations.into(), ..Trouble::default() };
        for (plan, expected) in [(Some("a/b"), Some("newest")), (None, Some("old hook")), (Some("d"), None)] {
            assert_eq!(of_preparation(&trouble, plan).map(|found| found.summary.as_str()), expected);
        }
    }
}
