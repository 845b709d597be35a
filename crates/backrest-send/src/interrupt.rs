//! Ctrl-C: the host goes on with a message that it has taken, so the client prints what that means before it stops.

use std::sync::Mutex;

use bridge::action::BuiltIn;
use bridge::message::Message;
use bridge::request::Preparation;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::output::{hint, note};

/// The message that the host runs, and its number; nothing before the first is taken.
static TAKEN: Mutex<Option<(u64, String)>> = Mutex::new(None);

/// The host has taken this message under this number. From now on Ctrl-C is watched for; without a handler it just stops
/// the client.
pub(crate) fn taken(id: u64, line: &str) {
    let Ok(mut taken) = TAKEN.lock() else { return };
    if taken.replace((id, line.to_string())).is_some() {
        return;
    }
    // Without a thread that watches it, Ctrl-C goes on stopping the client.
    let _ = std::thread::Builder::new().spawn(move || {
        let Ok(mut signals) = Signals::new([SIGINT]) else { return };
        if signals.forever().next().is_some() {
            report();
            // Ends this process as the signal would have: a shell reports 130.
            let _ = signal_hook::low_level::emulate_default_handler(SIGINT);
        }
    });
}

fn report() {
    let Ok(Some((id, line))) = TAKEN.lock().map(|taken| taken.clone()) else { return };
    note(&format!("interrupted; the host is still running #{id}"));
    let Ok(message) = Message::parse(line.as_bytes()) else { return };
    if message.built_in() == Some(BuiltIn::PreBackups) {
        let key = Preparation::parse(&message.text).unwrap_or_default().key;
        let undo = Preparation { key, ..Preparation::default() }.to_text();
        let undo = format!("backrest-send {} {undo}", BuiltIn::PostBackups.name());
        hint(&format!("undo it with: {}", undo.trim_end()));
    }
}
