//! The part of Go's text/template that our hooks use: fields, `printf` with `%.Nq` and `%.Ns`, `urlquery`, Backrest's
//! `.FormatSizeBytes`, and blocks `if` and `with` without `else`. Anything else is an error, never an empty text.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};

/// What Backrest fills in.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) plan: &'a str,
    pub(super) error: &'a str,
    /// The snapshot's id; without one its statistics are missing as well.
    pub(super) snapshot: Option<&'a str>,
}

/// A field's value; `None` if it is there and nil.
fn field(path: &str, values: &Values<'_>) -> Result<Option<String>> {
    let of_snapshot = |text: &str| Ok(values.snapshot.map(|_| text.to_string()));
    match path {
        ".Plan.Id" => Ok(Some(values.plan.into())),
        ".Error" => Ok(Some(values.error.into())),
        ".SnapshotId" => Ok(Some(values.snapshot.unwrap_or_default().into())),
        ".SnapshotStats" => of_snapshot("{}"),
        ".SnapshotStats.TotalDuration" => of_snapshot("12.5"),
        ".SnapshotStats.TotalFilesProcessed" => of_snapshot("1204"),
        ".SnapshotStats.DataAdded" => of_snapshot("5000000"),
        other => bail!("a template with another field: {other}"),
    }
}

/// The text of a hook with what is in `{{ }}` filled in.
pub(super) fn render(text: &str, values: &Values<'_>) -> Result<String> {
    let mut rendered = String::new();
    // For each open block whether it is shown, and the field that a leading dot stands for.
    let mut blocks: Vec<(bool, String)> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let is_shown = blocks.iter().all(|(is_shown, _)| *is_shown);
        let prefix = blocks.last().map(|(_, prefix)| prefix.clone()).unwrap_or_default();
        if is_shown {
            rendered.push_str(before);
        }
        let (action, after) = after.split_once("}}").context("a template that does not end")?;
        let action = action.trim();
        match action.split_once(' ').unwrap_or((action, "")) {
            ("if", path) => blocks.push((is_true(&format!("{prefix}{path}"), values)?, prefix)),
            ("with", path) => {
                let path = format!("{prefix}{path}");
                blocks.push((is_true(&path, values)?, path));
            }
            ("end", "") => drop(blocks.pop().context("an end without a block")?),
            _ if is_shown => rendered.push_str(&value(action, &prefix, values)?),
            _ => {}
        }
        rest = after;
    }
    if !blocks.is_empty() {
        bail!("a block that does not end");
    }
    Ok(rendered + rest)
}

fn is_true(path: &str, values: &Values<'_>) -> Result<bool> {
    Ok(field(path, values)?.is_some_and(|value| !value.is_empty()))
}

/// What an action renders to. A field of something that is nil breaks the template, as it does in Go.
fn value(action: &str, prefix: &str, values: &Values<'_>) -> Result<String> {
    let of = |path: &str| {
        let path = format!("{prefix}{path}");
        field(&path, values)?.with_context(|| format!("a field of nil: {path}"))
    };
    match action.split_once(' ') {
        None => of(action),
        Some(("urlquery", path)) => Ok(urlquery(&of(path)?)),
        Some((".FormatSizeBytes", path)) => {
            of(path)?;
            Ok("5.000 MB".into())
        }
        Some(("printf", arguments)) => {
            let words = arguments.strip_prefix('"').and_then(|rest| rest.rsplit_once("\" "));
            let (format, paths) = words.with_context(|| format!("a template of another form: {action}"))?;
            let fields: Result<Vec<_>> = paths.split(' ').map(of).collect();
            printf(format, &fields?).with_context(|| format!("a template of another form: {action}"))
        }
        Some(_) => bail!("a template of another form: {action}"),
    }
}

fn urlquery(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// Go's `%.Nq` is a quoted text of at most N characters, `%.Ns` a plain one.
fn printf(format: &str, fields: &[String]) -> Result<String> {
    let mut fields = fields.iter();
    let mut pieces = format.split('%');
    let mut text = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let piece = piece.strip_prefix('.').context("another verb")?;
        let end = piece.find(|c: char| !c.is_ascii_digit()).context("another verb")?;
        let most: usize = piece[..end].parse().context("another verb")?;
        let cut: String = fields.next().context("too few fields")?.chars().take(most).collect();
        match piece.as_bytes()[end] {
            b'q' => text.push_str(&quoted(&cut)),
            b's' => text.push_str(&cut),
            _ => bail!("another verb"),
        }
        text.push_str(&piece[end + 1..]);
    }
    if fields.next().is_some() {
        bail!("too many fields");
    }
    Ok(text)
}

/// As Go's `strconv.Quote` for ASCII and printable text.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other if other.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(other))),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Values<'_> = Values { plan: "nightly", error: "a\"\n\u{1}cdef", snapshot: None };
    const MADE: Values<'_> = Values { plan: "my plan", error: "", snapshot: Some("0123456789abcdef") };

    #[test]
    fn a_template_is_rendered_as_go_renders_it() {
        let text = "#!/x\nnotify-down {{ printf \"plan %.60q: %.5q\" .Plan.Id .Error }}\n";
        assert_eq!(
            render(text, &FAILED).unwrap(),
            "#!/x\nnotify-down plan \"nightly\": \"a\\\"\\n\\x01c\"\n"
        );
        assert_eq!(render("#!/x\npre-backups\n", &FAILED).unwrap(), "#!/x\npre-backups\n");
        let text = "--plan {{ urlquery .Plan.Id }} {{ with .SnapshotStats }}--duration {{ .TotalDuration }}s \
                    {{ end }}x{{ if .SnapshotId }}, {{ printf \"%.8s\" .SnapshotId }}{{ end }}";
        assert_eq!(render(text, &FAILED).unwrap(), "--plan nightly x");
        assert_eq!(render(text, &MADE).unwrap(), "--plan my+plan --duration 12.5s x, 01234567");
    }

    #[test]
    fn what_is_not_understood_is_no_text() {
        for text in [
            "{{ .Task }}",
            "{{ printf \"%s\" .Error }}",
            "{{ printf \"%.3q\" .Task }}",
            "{{ x",
            "{{ if .Error }}",
            "{{ end }}",
            "{{ .SnapshotStats.TotalDuration }}",
            "{{ printf \"%.3q %.3q\" .Error }}",
        ] {
            assert!(render(text, &FAILED).is_err(), "{text}");
        }
    }
}
