//! A whole run in one line: `5 ok, 1 failed: immich (exit code 1)`.

use crate::outcome::{Outcome, Verdict};

/// Uptime Kuma's message is cut where it is longer, and so would be the names.
const LONGEST: usize = 180;

/// `outcomes` in one line. Where the names of those that failed would make it too long, the rest are counted.
pub(crate) fn summary(outcomes: &[Outcome]) -> String {
    type Group = (&'static str, fn(&Verdict) -> bool);
    let groups: [Group; 4] = [
        ("failed", |verdict| matches!(verdict, Verdict::Failed(_))),
        ("with a warning", |verdict| matches!(verdict, Verdict::Warned(_))),
        ("unproved", |verdict| matches!(verdict, Verdict::Unproved(_))),
        ("not run", |verdict| matches!(verdict, Verdict::NotRun(_))),
    ];
    let ok = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Ok).count();
    let mut line = format!("{ok} ok");
    for (word, is_in_it) in groups {
        let group: Vec<_> = outcomes
            .iter()
            .filter(|outcome| is_in_it(&outcome.verdict))
            .filter_map(|outcome| Some((outcome, outcome.verdict.why()?)))
            .collect();
        if !group.is_empty() {
            line.push_str(&format!(", {} {word}: ", group.len()));
            push_names(&mut line, &group);
        }
    }
    line
}

fn push_names(line: &mut String, group: &[(&Outcome, &String)]) {
    for (index, (outcome, why)) in group.iter().enumerate() {
        let name = format!("{} ({why})", outcome.shown_name());
        if index > 0 && line.chars().count() + name.chars().count() > LONGEST {
            line.push_str(&format!(" and {} more", group.len() - index));
            return;
        }
        if index > 0 {
            line.push_str(", ");
        }
        let room = LONGEST.saturating_sub(line.chars().count()).max(40);
        if name.chars().count() > room {
            line.extend(name.chars().take(room - 1));
            line.push('…');
        } else {
            line.push_str(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn outcome(service: &str, verdict: Verdict) -> Outcome {
        Outcome::new(OsStr::new(service), verdict)
    }

    #[test]
    fn it_stays_short_however_many_failed() {
        let many: Vec<_> = (0..100)
            .map(|n| outcome(&format!("service-{n}"), Verdict::Failed("exit code 1".into())))
            .collect();
        let line = summary(&many);
        assert!(line.starts_with("0 ok, 100 failed: service-0 (exit code 1), service-1"), "{line}");
        assert!(line.ends_with(" more") && line.chars().count() < 200, "{line}");
        let long = [outcome(&"x".repeat(250), Verdict::Failed("y".repeat(1000)))];
        assert!(summary(&long).chars().count() <= 181);
    }
}
