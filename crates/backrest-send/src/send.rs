//! Sends one message and passes on what comes back, within its time.
//!
//! The listener takes a message within a moment, whatever it is doing; so one that has not been taken after
//! [`TAKEN`] is reported, long before the action's own time is over.

use std::io::{self, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bridge::SOCKET;
use bridge::exit_code::ExitCode;
use bridge::frame::Frame;

use bridge::action::BuiltIn;
use bridge::message::{Message, line_of};
use bridge::request::Preparation;

use crate::arguments::Delivery;
use crate::output::{self, complain, note};
use crate::{fifo, interrupt};

/// The listener has taken a message within this time, or something is wrong with it.
const TAKEN: Duration = Duration::from_secs(30);
/// A line of output is at most 8 KiB; what is longer is none.
const LONGEST_FRAME: usize = 64 << 10;

pub(crate) fn send(line: &str, delivery: &Delivery) -> ExitCode {
    let end = Instant::now() + delivery.timeout;
    let unmarked = if delivery.wait { None } else { without_mark(line) };
    let line = unmarked.as_deref().unwrap_or(line);
    let mut stream = match connect(&delivery.bridge, end) {
        Ok(stream) => stream,
        Err((ExitCode::Later, why)) => return unanswered(&why, line, delivery),
        Err((code, why)) => return not_taken(code, &why, line, delivery),
    };
    // A half-closed connection means that this client does not wait for the end. Without a newline the listener takes the
    // message when it sees that, not before.
    let text = if delivery.wait { format!("{line}\n") } else { line.to_string() };
    let sent = stream
        .set_write_timeout(Some(left(end)))
        .and_then(|()| stream.write_all(text.as_bytes()))
        .and_then(|()| if delivery.wait { Ok(()) } else { stream.shutdown(Shutdown::Write) });
    match sent {
        Err(error) if is_timeout(&error) => unanswered("the host does not take the message", line, delivery),
        // It went away; what it sent before that is still to be read.
        _ => receive(&mut stream, line, delivery, end),
    }
}

/// No listener has taken the message, and none will.
fn not_taken(code: ExitCode, why: &str, line: &str, delivery: &Delivery) -> ExitCode {
    let code = match leave_behind(line, delivery) {
        true => {
            complain(ExitCode::Later, &format!("{why}; the message waits in the FIFO for the next listener"))
        }
        false => complain(code, why),
    };
    output::hint("start the listener on the host: create-backrest-pipe");
    code
}

/// Leaves in the FIFO what bears a delay, and of a message that a backup waits for the report that it failed: Backrest
/// may fire no hook after this one. Who types the message sees that. Returns whether the message itself waits.
fn leave_behind(line: &str, delivery: &Delivery) -> bool {
    if fifo::may_wait(line) {
        return fifo::leave(&delivery.bridge, line);
    }
    if delivery.wait && !io::stderr().is_terminal() {
        if let Some(report) = fifo::report_of(line) {
            fifo::leave(&delivery.bridge, &report);
        }
    }
    false
}

fn receive(stream: &mut UnixStream, line: &str, delivery: &Delivery, end: Instant) -> ExitCode {
    let (mut buffer, mut chunk) = (Vec::new(), vec![0; 16 << 10]);
    let mut accepted = None;
    let taken_by = Instant::now() + TAKEN;
    loop {
        // Lines that came together are written together: who writes each by itself is slower than the host.
        let (mut output, mut at) = (Vec::new(), 0);
        while let Some(length) = buffer[at..].iter().position(|&b| b == b'\n') {
            let frame = Frame::parse(&buffer[at..at + length]);
            at += length + 1;
            if !matches!(frame, Some(Frame::Output(_))) {
                output::write(&std::mem::take(&mut output));
            }
            match frame {
                Some(Frame::Accepted(id)) => {
                    accepted = Some(id);
                    interrupt::taken(id, line);
                    if !delivery.wait {
                        return ExitCode::Done;
                    }
                }
                Some(Frame::Output(line)) => {
                    output.extend(line);
                    output.push(b'\n');
                }
                Some(Frame::Note(text)) => note(&text),
                Some(Frame::End(ExitCode::Later)) if accepted.is_none() => {
                    if leave_behind(line, delivery) {
                        note("the message waits in the FIFO");
                    }
                    return ExitCode::Later;
                }
                Some(Frame::End(code)) => return code,
                None => return unreadable(),
            }
        }
        output::write(&std::mem::take(&mut output));
        buffer.drain(..at);
        if buffer.len() > LONGEST_FRAME {
            return unreadable();
        }
        let until = if accepted.is_none() { end.min(taken_by) } else { end };
        if Instant::now() >= until {
            return match accepted {
                Some(id) => complain(ExitCode::Later, &format!("timed out; the host is still running #{id}")),
                None => unanswered("the listener does not answer", line, delivery),
            };
        }
        let read = stream.set_read_timeout(Some(left(until))).and_then(|()| stream.read(&mut chunk));
        match read {
            Ok(0) => return went_away(accepted, line, delivery),
            Ok(length) => buffer.extend_from_slice(&chunk[..length]),
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return went_away(accepted, line, delivery),
        }
    }
}

fn unreadable() -> ExitCode {
    complain(ExitCode::Failed, "the listener's answer can't be read; is it of another version?")
}

/// The listener hangs. It may take the message yet, so nothing but the report of a failure is left for it.
fn unanswered(why: &str, line: &str, delivery: &Delivery) -> ExitCode {
    if !fifo::may_wait(line) {
        leave_behind(line, delivery);
    }
    complain(ExitCode::Later, why)
}

fn went_away(accepted: Option<u64>, line: &str, delivery: &Delivery) -> ExitCode {
    match accepted {
        Some(id) => complain(ExitCode::Failed, &format!("the listener went away while #{id} waited or ran")),
        None => not_taken(
            ExitCode::NoListener,
            "the listener went away before it had taken the message",
            line,
            delivery,
        ),
    }
}

/// Connects to the socket in `bridge`. connect(2) itself waits without end where a listener hangs and its queue is
/// full, so it runs on a thread that is left behind then.
fn connect(bridge: &Path, end: Instant) -> Result<UnixStream, (ExitCode, String)> {
    // From within the folder, so that the path is short enough for a socket's address whatever the folder's is.
    if let Err(error) = std::env::set_current_dir(bridge) {
        return Err((ExitCode::NoListener, format!("no bridge at {}: {error}", bridge.display())));
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .spawn(move || sender.send(UnixStream::connect(SOCKET)))
        .map_err(|error| (ExitCode::Later, format!("start a thread: {error}")))?;
    match receiver.recv_timeout(left(end).min(TAKEN)) {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            let place = bridge.join(SOCKET);
            Err((ExitCode::NoListener, format!("no listener is running at {}: {error}", place.display())))
        }
        Err(_) => Err((ExitCode::Later, "the listener does not answer".into())),
    }
}

/// A timeout of nothing would mean none at all.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The message without the mark that its failure cancels a backup: a client that does not wait never learns of it.
fn without_mark(line: &str) -> Option<String> {
    let message = Message::parse(line.as_bytes()).ok()?;
    let is_preparation = message.built_in() == Some(BuiltIn::PreBackups);
    let request = Preparation::parse(&message.text).ok().filter(|_| is_preparation)?;
    let request = Preparation { failure_cancels: false, ..request };
    Some(line_of(&message.name, &request.to_text()))
}
