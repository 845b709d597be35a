//! `cargo xtask test`: everything that has to hold before a change is good.
//!
//! Programs first, then format, lints, the repository's own rules, and all tests of all crates. Every step runs even
//! if one before it failed, so that one run shows everything that is wrong. The last line is `N passed, N failed`: the
//! tests of all binaries, and a failed check counts as one failed.

mod count;

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::exit::Exit;
use common::out;
use common::process::{self, End, Limits};

use crate::needs;
use crate::tidy;
use crate::workspace::{self, Workspace};
use count::Count;

/// The longest that one step may take.
const DEADLINE: Duration = Duration::from_secs(2 * 3600);

/// Runs all steps. Fails if a program is missing; otherwise the exit code reports whether all was well.
pub(crate) fn run() -> Result<Exit> {
    let cancel = Cancel::on_signals().context("listen to signals")?;
    let workspace = Workspace::find()?;
    needs::ensure_rust(&cancel)?;
    needs::ensure(needs::TESTS, &cancel)?;
    let restic = needs::newest_restic(&workspace.tools(), &cancel)?;
    let compose = needs::compose_plugin(&workspace.tools(), &cancel)?;
    needs::ssh_servers(&workspace.tools(), &cancel)?;

    let mut failed_checks = 0;
    for (title, arguments) in [
        ("format", ["fmt", "--all", "--check"].as_slice()),
        ("lints", &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
        // In tests a child may go without a deadline, and a file may be half written.
        ("lints of programs", &["clippy", "--workspace", "--", "-D", "clippy::disallowed_methods"]),
    ] {
        let end = step(title, workspace::cargo(&workspace.root).args(arguments), &cancel, &mut |_| {})?;
        failed_checks += usize::from(!end.is_success());
    }
    out!("== rules");
    failed_checks += usize::from(!tidy::holds(&workspace)?);

    let mut command = workspace::cargo(&workspace.root);
    command.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    command.env("RESTIC_NEWEST", restic).env("COMPOSE_PLUGIN", compose).env("INSTA_UPDATE", "no");
    // Most tests wait for another program, so twice as many as there are cores keep the cores busy.
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    command.env("RUST_TEST_THREADS", threads.to_string());
    let mut count = Count::default();
    let end = step("tests", &mut command, &cancel, &mut |line| count.read(line))?;
    if count.ignored > 0 {
        out!("{} tests were skipped: a test never passes by being skipped", count.ignored);
        failed_checks += 1;
    }
    // A binary that does not build, or that crashes, has no line of its own.
    if !end.is_success() && count.failed == 0 {
        failed_checks += 1;
    }
    let failed = count.failed + failed_checks;
    out!("{} passed, {failed} failed", count.passed);
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// Runs one command, shows its output as it comes, and passes each line to `each_line`.
fn step(title: &str, command: &mut Command, cancel: &Cancel, each_line: &mut dyn FnMut(&str)) -> Result<End> {
    out!("== {title}");
    command.env("CARGO_TERM_PROGRESS_WHEN", "never");
    let finished = process::run(command, Limits::within(DEADLINE), Some(cancel), &mut |line| {
        // The reader of our output may be gone; the result still counts.
        let _ = std::io::stdout().write_all(line).and_then(|()| std::io::stdout().write_all(b"\n"));
        each_line(&String::from_utf8_lossy(line));
    })?;
    match finished.end {
        End::Cancelled => bail!("{title}: interrupted"),
        End::TimedOut => out!("{title}: {}", finished.end),
        _ => {}
    }
    Ok(finished.end)
}
