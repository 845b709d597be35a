//! A run as one JSON object, for programs.

use std::io::Write as _;

use common::output;
use serde_json::{Value, json};

use super::summary;
use crate::name;
use crate::outcome::Outcome;

/// The summary, and one object for each service.
pub(crate) fn print_outcomes(outcomes: &[Outcome]) {
    print(&json!({
        "ok": !outcomes.iter().any(Outcome::is_failure),
        "summary": summary(outcomes),
        "services": outcomes.iter().map(service).collect::<Vec<_>>(),
    }));
}

fn service(outcome: &Outcome) -> Value {
    json!({
        "service": name::encode(&outcome.service),
        "result": outcome.verdict.word().0,
        "why": outcome.verdict.why(),
        "hint": outcome.hint,
        "seconds": outcome.elapsed.as_secs_f64(),
        "log": outcome.log.as_ref().map(|log| name::encode(log.as_os_str())),
        "last_line": outcome.last_line,
        "details": outcome.details,
        "dumps": outcome.dumps,
    })
}

pub(crate) fn print(value: &impl serde::Serialize) {
    let mut stdout = output::stdout();
    // An error of standard output is kept and reported at the end.
    let _ = serde_json::to_writer_pretty(&mut stdout, value);
    let _ = stdout.write_all(b"\n");
}
