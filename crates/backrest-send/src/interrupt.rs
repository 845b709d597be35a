//! Ctrl-C: the host goes on with a message that it has taken, so the client prints what that means before it stops.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bridge::action::BuiltIn;
use bridge::message::Message;
use bridge::request::Preparation;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::output::{hint, note};

/// The number of the message that the host runs; 0 if there is none.
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// The message that was sent.
static LINE: Mutex<String> = Mutex::new(String::new());

/// Watches for Ctrl-C from now on. Without a handler it just stops the client.
pub(crate) fn watch(line: &str) {
    if let Ok(mut sent) = LINE.lock() {
        let is_first = sent.is_empty();
        *sent = line.to_string();
        if !is_first {
            return;
        }
    }
    let Ok(mut signals) = Signals::new([SIGINT]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            report();
            // Ends this process as the signal would have: a shell reports 130.
            let _ = signal_hook::low_level::emulate_default_handler(SIGINT);
        }
    });
}

/// The host has taken the message under this number.
pub(crate) fn taken(id: u64) {
    TAKEN.store(id, Ordering::Relaxed);
}

fn report() {
    let id = TAKEN.load(Ordering::Relaxed);
    if id == 0 {
        return;
    }
    let line = LINE.lock().map(|line| line.clone()).unwrap_or_default();
    let Ok(message) = Message::parse(line.as_bytes()) else { return };
    note(&format!("interrupted; the host is still running #{id}"));
    if message.name == BuiltIn::PreBackups.name() {
        let key = Preparation::parse(&message.text).unwrap_or_default().key;
        let undo = Preparation { key, ..Preparation::default() }.to_text();
        let undo = format!("backrest-send {} {undo}", BuiltIn::PostBackups.name());
        hint(&format!("undo it with: {}", undo.trim_end()));
    }
}
