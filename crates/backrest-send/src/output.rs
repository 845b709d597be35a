//! Standard output and standard error of the client. Nothing that goes wrong there stops the work.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use bridge::exit_code::ExitCode;

static FAILED: AtomicBool = AtomicBool::new(false);

/// Writes on standard output. A reader that went away is not an error; any other error is reported once.
pub(crate) fn write(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) else { return };
    if error.kind() != ErrorKind::BrokenPipe && !FAILED.swap(true, Ordering::Relaxed) {
        note(&format!("write to standard output: {error}"));
    }
}

/// Writes a line on standard error. If that fails, the exit code alone reports what happened.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "backrest-send: {text}");
}

/// Writes why the client ends with `code`, which it returns.
pub(crate) fn complain(code: ExitCode, why: &str) -> ExitCode {
    note(why);
    code
}

pub(crate) fn hint(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}{text}", bridge::HINT);
}

/// The exit code when the work is over: a failure to write fails what was done otherwise.
pub(crate) fn finish(code: ExitCode) -> ExitCode {
    if code == ExitCode::Done && FAILED.load(Ordering::Relaxed) { ExitCode::Failed } else { code }
}
