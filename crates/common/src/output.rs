//! The one way to print: standard output and standard error that never panic and never stop the work.
//!
//! [`out!`](crate::out) writes a line on standard output, [`note!`](crate::note) one on standard error. The first
//! error of standard output is kept and everything after it is dropped; [`exit::finish`](crate::exit::finish) asks for
//! it when the work is over. A reader would expect each line to return a `Result`: it does not, so that a full disk
//! behind `>` can't leave a set-up half done.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::Mutex;

/// What went wrong first on standard output.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints one line on standard output, with colours on a terminal only. Takes what `format!` takes.
#[macro_export]
macro_rules! out {
    () => { $crate::output::line(format_args!("")) };
    ($($arg:tt)*) => { $crate::output::line(format_args!($($arg)*)) };
}

/// Prints one line on standard error, with colours on a terminal only. Takes what `format!` takes.
#[macro_export]
macro_rules! note {
    ($($arg:tt)*) => { $crate::output::note_line(format_args!($($arg)*)) };
}

/// Standard output as a writer, for tables and JSON. Its `write` never fails: an error is kept for
/// [`take_failure`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Stdout;

/// Standard output as a writer.
pub fn stdout() -> Stdout {
    Stdout
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        attempt(|| anstream::stdout().lock().write_all(bytes));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        flush();
        Ok(())
    }
}

/// What [`out!`](crate::out) does.
pub fn line(text: fmt::Arguments<'_>) {
    attempt(|| {
        let mut stdout = anstream::stdout().lock();
        stdout.write_fmt(text)?;
        stdout.write_all(b"\n")
    });
}

/// Has `write` write bytes as they are, for lists of names: every other way takes escape sequences out.
pub fn raw(write: impl FnOnce(&mut BufWriter<io::StdoutLock<'_>>) -> io::Result<()>) {
    attempt(|| {
        let mut stdout = BufWriter::with_capacity(256 << 10, io::stdout().lock());
        write(&mut stdout).and_then(|()| stdout.flush())
    });
}

/// What [`note!`](crate::note) does. Without a working standard error the exit code alone reports a failure.
pub fn note_line(text: fmt::Arguments<'_>) {
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_fmt(text).and_then(|()| stderr.write_all(b"\n"));
}

/// Writes out what is buffered.
pub fn flush() {
    attempt(|| anstream::stdout().lock().flush());
}

/// Whether the reader of standard output has gone away: a long listing may stop.
pub fn reader_gone() -> bool {
    failure().as_ref().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Flushes and returns the first error that standard output had, once. A reader that went away is not one.
pub fn take_failure() -> Option<io::Error> {
    flush();
    failure().take().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

fn failure() -> std::sync::MutexGuard<'static, Option<io::Error>> {
    FAILURE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn attempt(write: impl FnOnce() -> io::Result<()>) {
    if failure().is_some() {
        return;
    }
    if let Err(error) = write() {
        failure().get_or_insert(error);
    }
}
