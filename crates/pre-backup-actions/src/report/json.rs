//! A run as one JSON object, for programs.

use std::io::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Outcome, Verdict, summary};
use crate::name;

/// `outcomes` as a value: the summary and one object for each service.
pub(super) fn of(outcomes: &[Outcome]) -> Value {
    let services: Vec<_> = outcomes.iter().map(service).collect();
    json!({
        "ok": !outcomes.iter().any(Outcome::is_failure),
        "summary": summary(outcomes),
        "services": services,
    })
}

fn service(outcome: &Outcome) -> Value {
    let (result, why) = match &outcome.verdict {
        Verdict::Ok => ("ok", None),
        Verdict::Warned(why) => ("warning", Some(why)),
        Verdict::Failed(why) => ("failed", Some(why)),
        Verdict::NotRun(why) => ("not run", Some(why)),
    };
    let dumps: Vec<_> = outcome
        .dumps
        .iter()
        .map(|seen| json!({ "dump": seen.dump, "bytes": seen.bytes, "before": seen.before }))
        .collect();
    json!({
        "service": name::encode(&outcome.service),
        "result": result,
        "why": why,
        "hint": outcome.hint,
        "seconds": outcome.elapsed.as_secs_f64(),
        "log": outcome.log.as_ref().map(|log| name::encode(log.as_os_str())),
        "last_line": outcome.last_line,
        "details": outcome.details,
        "dumps": dumps,
    })
}

/// Prints `value` on standard output.
pub(crate) fn print(value: &Value) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, value)?;
    writeln!(stdout)?;
    Ok(())
}

/// Prints what came of a run.
pub(crate) fn print_outcomes(outcomes: &[Outcome]) -> Result<()> {
    print(&of(outcomes))
}
