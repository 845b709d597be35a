//! Which Backrest runs, and what that version lacks.
//!
//! What a reader gets wrong: the image's name often is `latest` and the image has no label, so its page or its
//! configuration has to do. An upper bound is never guessed.

use std::fmt;

use common::contract::status::Check;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Exactly(u32, u32, u32),
    AtLeast(u32, u32),
    /// Older than this; how old is not known.
    Before(u32, u32),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Exactly(major, minor, patch) => write!(f, "{major}.{minor}.{patch}"),
            Version::AtLeast(major, minor) => write!(f, "{major}.{minor} or newer"),
            Version::Before(major, minor) => write!(f, "before {major}.{minor}"),
        }
    }
}

impl Version {
    /// Reads `1.14.1`, `v1.10.1-scratch`.
    pub(super) fn parse(text: &str) -> Option<Version> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let plain = text.split(['-', '+', '@']).next()?;
        let mut numbers = plain.split('.').map(|number| number.parse().ok());
        let version = Version::Exactly(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }

    /// What `docker inspect` of a container shows: a label, or the tag of its image.
    pub(super) fn of_container(inspected: &Value) -> Option<Version> {
        let label = inspected["Config"]["Labels"]["org.opencontainers.image.version"].as_str();
        let image = inspected["Config"]["Image"].as_str().unwrap_or_default();
        let name = image.split('@').next().unwrap_or_default();
        let tag = name.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
        label.into_iter().chain(tag).find_map(Version::parse)
    }

    /// What the configuration shows: version 6 of its form came with Backrest 1.13.
    pub(super) fn of_config(config: &Value) -> Option<Version> {
        config["version"].as_i64().map(|form| match form {
            6.. => Version::AtLeast(1, 13),
            _ => Version::Before(1, 13),
        })
    }

    /// What a script of the web page holds: the version that it was built as.
    pub(super) fn of_page(script: &str) -> Option<Version> {
        let mut quoted = script.match_indices('"').zip(script.match_indices('"').skip(1));
        quoted.find_map(|((start, _), (end, _))| {
            let rest = &script[end + 1..];
            let is_built = rest.starts_with(".trim()") || rest.starts_with(".toString().trim()");
            Version::parse(&script[start + 1..end]).filter(|_| is_built)
        })
    }

    fn is_before(self, major: u32, minor: u32) -> bool {
        match self {
            Version::Exactly(its_major, its_minor, _) | Version::AtLeast(its_major, its_minor) => {
                (its_major, its_minor) < (major, minor)
            }
            Version::Before(its_major, its_minor) => (its_major, its_minor) <= (major, minor),
        }
    }
}

/// One line about the version that runs; `is_asked` if its page was looked at.
pub(super) fn check(version: Option<Version>, is_asked: bool) -> Check {
    let name = "backrest";
    let update = "update it: docker compose pull && docker compose up --detach";
    match version {
        None | Some(Version::Before(..)) => {
            let form =
                version.map(|version| format!(" ({version}, by its configuration)")).unwrap_or_default();
            let what = format!(
                "its version is not known{form}; before 1.11 a failing hook at the start of a backup runs no other \
                 hook"
            );
            let ask = "name the address of its page: add --backrest URL";
            Check::note(name, what, Some(if is_asked { update } else { ask }.into()))
        }
        Some(version) if version.is_before(1, 11) => {
            let mut what = format!(
                "Backrest {version}: a failing hook at the start of a backup runs no other hook, so the host itself \
                 undoes a preparation that failed, and reports it"
            );
            if version.is_before(1, 9) {
                what += "; a backup that could not read some files is reported as down, and then as up";
            }
            Check::note(name, what, Some(update.into()))
        }
        Some(version) => Check::good(name, format!("Backrest {version}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_read_from_whatever_names_it() {
        let image = |name: &str| Version::of_container(&json!({ "Config": { "Image": name } }));
        assert_eq!(image("garethgeorge/backrest:v1.10.1-scratch"), Some(Version::Exactly(1, 10, 1)));
        assert_eq!(
            image("nas:5000/garethgeorge/backrest:1.14.1@sha256:0123"),
            Some(Version::Exactly(1, 14, 1))
        );
        for unknown in
            ["garethgeorge/backrest:latest", "garethgeorge/backrest", "nas:5000/backrest", "sha256:0123"]
        {
            assert_eq!(image(unknown), None, "{unknown}");
        }
        let label = json!({ "Config": { "Image": "x:latest",
            "Labels": { "org.opencontainers.image.version": "1.11.0" } } });
        assert_eq!(Version::of_container(&label), Some(Version::Exactly(1, 11, 0)));
        assert_eq!(Version::of_config(&json!({ "version": 6 })), Some(Version::AtLeast(1, 13)));
        assert_eq!(Version::of_config(&json!({ "version": 4 })), Some(Version::Before(1, 13)));
        assert_eq!(Version::of_config(&json!({})), None);
        for script in [r#"x="5.0.1",y="1.8.1".trim(),z="dev""#, r#"const a="1.8.1".toString().trim();"#] {
            assert_eq!(Version::of_page(script), Some(Version::Exactly(1, 8, 1)), "{script}");
        }
        assert_eq!(Version::of_page(r#"x="5.0.1";"dev".trim()"#), None);
    }

    #[test]
    fn what_a_version_lacks_is_named() {
        let what = |version: Option<Version>| check(version, true).what;
        assert!(what(Version::parse("1.10.1")).contains("runs no other hook"));
        assert_eq!(what(Version::parse("v1.14.1")), "Backrest 1.14.1");
        assert_eq!(what(Some(Version::AtLeast(1, 13))), "Backrest 1.13 or newer");
        assert!(
            what(Some(Version::Before(1, 13)))
                .contains("not known (before 1.13, by its configuration); before 1.11 ")
        );
        let fix = |is_asked: bool| serde_json::to_string(&check(None, is_asked).fix).unwrap();
        assert!(fix(false).contains("--backrest URL") && !fix(true).contains("--backrest"));
    }
}
