//! The FIFO, for a message that must not be lost while no listener runs.
//!
//! The listener's keeper holds the FIFO open for ten minutes after the listener has stopped, and the next listener runs
//! what is in it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bridge::FIFO;
use bridge::action::BuiltIn;
use bridge::message::{Message, line_of, line_with_end};
use bridge::request::{Notification, Preparation, encode};
use rustix::fs::OFlags;

/// A write of at most this length is whole or does not happen (pipe(7), PIPE_BUF).
const ATOMIC: usize = 4096;

/// Whether a message may run later than it was sent: what it reports or undoes stays true.
pub(crate) fn may_wait(line: &str) -> bool {
    let action = Message::parse(line.as_bytes()).ok().and_then(|message| message.built_in());
    matches!(action, Some(BuiltIn::PostBackups | BuiltIn::NotifyUp | BuiltIn::NotifyDown))
}

/// The report that a message failed, if a backup waits for that message.
pub(crate) fn report_of(line: &str) -> Option<String> {
    let message = Message::parse(line.as_bytes()).ok()?;
    let plan = match message.built_in()? {
        BuiltIn::PreBackups => Preparation::parse(&message.text).ok()?.plan(),
        BuiltIn::StartTailscale => None,
        _ => return None,
    };
    let text = format!("{} failed: no listener took it", message.name);
    let plan = plan.as_deref().map(encode);
    let report = Notification { plan, preparation_failed: true, text, ..Notification::default() };
    Some(line_of(BuiltIn::NotifyDown.name(), &report.to_text()))
}

/// `line`, and of a notification when it was sent.
fn dated(line: &str) -> String {
    let Ok(message) = Message::parse(line.as_bytes()) else { return line.to_string() };
    if !message.built_in().is_some_and(BuiltIn::takes_sentence) {
        return line.to_string();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let request = Notification { sent: Some(now), ..Notification::parse(&message.text) };
    line_with_end(&message.name, &request.to_text())
}

/// Leaves `line` in the FIFO of the bridge folder, if a process holds that open. Returns whether it is there.
pub(crate) fn leave(bridge: &Path, line: &str) -> bool {
    let path = bridge.join(FIFO);
    let is_fifo = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    // Without a reader a FIFO can't be opened for writing without waiting (ENXIO).
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    let line = format!("{}\n", dated(line));
    is_fifo
        && line.len() <= ATOMIC
        && options.open(&path).is_ok_and(|mut fifo| fifo.write_all(line.as_bytes()).is_ok())
}
