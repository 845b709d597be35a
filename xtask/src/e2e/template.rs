//! Go's text/template, as far as the text of our hooks goes: each action that they have with the text that it renders
//! to, and blocks that are shown if there is a snapshot. Anything else is an error, never an empty text.

use anyhow::{Context, Result, bail};

/// What Backrest fills in.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) plan: &'a str,
    pub(super) error: &'a str,
    /// The snapshot's id; without one its statistics are missing as well.
    pub(super) snapshot: Option<&'a str>,
}

const BLOCKS: [&str; 3] = ["{{ with .SnapshotStats }}", "{{ if .SnapshotStats }}", "{{ if .SnapshotId }}"];

/// The text of a hook with what is in `{{ }}` filled in.
pub(super) fn render(text: &str, values: &Values<'_>) -> Result<String> {
    let mut text = text.to_string();
    for start in BLOCKS {
        while let Some((before, rest)) = text.split_once(start) {
            let (inner, after) = rest.split_once("{{ end }}").context("a block that does not end")?;
            text = [before, values.snapshot.map_or("", |_| inner), after].concat();
        }
    }
    // Go quotes as Rust does, but for characters that no hook's text has.
    let quoted = |text: &str, most| format!("{:?}", text.chars().take(most).collect::<String>());
    for (action, rendered) in [
        ("urlquery .Plan.Id", values.plan.replace(' ', "+")),
        (r#"printf "%.60q" .Plan.Id"#, quoted(values.plan, 60)),
        (r#"printf "%.20000q" .Error"#, quoted(values.error, 20_000)),
        (r#"printf "%.8s" .SnapshotId"#, values.snapshot.unwrap_or_default().chars().take(8).collect()),
        (".TotalDuration", "12.5".into()),
        (".SnapshotStats.TotalFilesProcessed", "1204".into()),
        (".FormatSizeBytes .SnapshotStats.DataAdded", "5.000 MB".into()),
    ] {
        text = text.replace(&format!("{{{{ {action} }}}}"), &rendered);
    }
    match text.split_once("{{") {
        Some((_, unknown)) => bail!("a template of another form: {unknown}"),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_rendered_as_go_renders_it_or_not_at_all() {
        let text = "--plan {{ urlquery .Plan.Id }} {{ with .SnapshotStats }}--duration {{ .TotalDuration }}s \
                    {{ end }}{{ printf \"%.20000q\" .Error }}{{ if .SnapshotId }}, {{ printf \"%.8s\" .SnapshotId }}\
                    {{ end }}";
        let failed = Values { plan: "nightly", error: "a\"\n", snapshot: None };
        let made = Values { plan: "my plan", error: "", snapshot: Some("0123456789abcdef") };
        assert_eq!(render(text, &failed).unwrap(), "--plan nightly \"a\\\"\\n\"");
        assert_eq!(render(text, &made).unwrap(), "--plan my+plan --duration 12.5s \"\", 01234567");
        for unknown in ["{{ .Task }}", "{{ if .SnapshotId }}", "{{ end }}"] {
            assert!(render(unknown, &failed).is_err(), "{unknown}");
        }
    }
}
