//! The plan's own excludes, beside the ignore file: what they leave out is missing for a reason.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::Value;

use crate::hooks::config::list;

/// The excludes of `plan`, in its lists and in its backup flags, as restic reads them. One that can't be read explains
/// nothing.
pub(super) fn excludes_of(plan: &Value) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    let mut add = |pattern: &str, ignores_case: bool| {
        let pattern = pattern.trim().trim_end_matches('/').replace('{', "\\{").replace('}', "\\}");
        let start = if pattern.starts_with('/') { "" } else { "**/" };
        // A pattern matches a path if it matches the path or a folder above it.
        for end in ["", "/**"] {
            let glob = GlobBuilder::new(&format!("{start}{pattern}{end}"))
                .literal_separator(true)
                .backslash_escape(true)
                .case_insensitive(ignores_case)
                .build();
            if let (Ok(glob), false) = (glob, pattern.is_empty() || pattern.starts_with('!')) {
                builder.add(glob);
            }
        }
    };
    for (name, ignores_case) in [("excludes", false), ("iexcludes", true)] {
        list(plan, name).iter().filter_map(Value::as_str).for_each(|pattern| add(pattern, ignores_case));
    }
    let flags = ["backup_flags", "backupFlags"].into_iter().flat_map(|name| list(plan, name));
    let flags = flags.filter_map(Value::as_str).filter_map(shlex::split).flatten().collect::<Vec<_>>();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let (name, value) =
            flag.split_once('=').map_or((flag.as_str(), None), |(name, value)| (name, Some(value)));
        let ignores_case = match name {
            "--exclude" | "-e" => false,
            "--iexclude" => true,
            _ => continue,
        };
        if let Some(value) = value.or_else(|| flags.next().map(String::as_str)) {
            add(value, ignores_case);
        }
    }
    builder.build().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn excludes_are_read_as_restic_reads_them() {
        let plan = json!({ "excludes": ["*.tmp", "/userdata/data/a{b}/x", "!keep"], "iexcludes": ["*.BAK"],
                           "backup_flags": ["--exclude=cache --exclude-file=/x", "-e 'old files'"] });
        let excludes = excludes_of(&plan);
        for path in [
            "/userdata/data/s/a.tmp",
            "/userdata/data/s/a.tmp/b",
            "/userdata/data/a{b}/x/y",
            "/userdata/s/x.bak",
            "/userdata/s/cache/x",
            "/userdata/s/old files",
        ] {
            assert!(excludes.is_match(path), "{path}");
        }
        for path in
            ["/userdata/data/s/a.tmpx", "/userdata/data/ab/x", "/userdata/s/keep", "/userdata/s/cachex"]
        {
            assert!(!excludes.is_match(path), "{path}");
        }
    }
}
