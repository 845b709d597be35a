//! What is on disk after every kind of interruption.

use std::fs;

use super::journal::{Journal, Mark, Record};
use super::{Lane, New, Queue};
use crate::door::Origin;
use bridge::message::Message;
use common::record_log::Damage;

fn new(line: &str) -> New {
    let message = Message::parse(line.as_bytes()).unwrap();
    New { message, action: None, door: Origin::Socket, client: None, spool: None, at: None }
}

#[test]
fn a_message_that_ended_is_gone_and_one_that_did_not_is_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, recovered) = Queue::open(folder.path()).unwrap();
    assert!(recovered.entries.is_empty());
    let first = queue.advance(&mut vec![new("a"), new("b"), new("c")], &[]).unwrap();
    assert_eq!(first.accepted, [(1, 0), (2, 1), (3, 2)]);
    assert_eq!(first.started.len(), 1);
    let second = queue.advance(&mut Vec::new(), &[1]).unwrap();
    assert_eq!(second.started[0].id, 2);
    drop(queue);
    let (mut queue, recovered) = Queue::open(folder.path()).unwrap();
    let states: Vec<_> = recovered.entries.iter().map(|e| (e.id, e.line.as_str(), e.started)).collect();
    assert_eq!(states, [(2, "b", true), (3, "c", false)]);
    assert_eq!(
        queue.advance(&mut vec![new("d")], &[2, 3]).unwrap().accepted[0].0,
        4,
        "no number is used twice"
    );
}

#[test]
fn notifications_have_a_lane_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, _) = Queue::open(folder.path()).unwrap();
    let advanced =
        queue.advance(&mut vec![new("pre-backups"), new("notify-up x"), new("other")], &[]).unwrap();
    let started: Vec<_> = advanced.started.iter().map(|job| (job.id, job.lane())).collect();
    assert_eq!(started, [(1, Lane::Actions), (2, Lane::Notifications)]);
}

#[test]
fn a_line_that_a_crash_cut_short_did_not_happen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.append(&[Record::Started { id: 9 }]).unwrap();
    drop(journal);
    let mut text = fs::read(&path).unwrap();
    text.extend_from_slice(br#"{"accepted":{"id":7,"at""#);
    fs::write(&path, &text).unwrap();
    let (mut journal, damage) = Journal::open(&path).unwrap();
    assert_eq!(damage, Damage { is_torn: true, ..Damage::default() });
    assert_eq!((journal.open_entries().count(), journal.next_id()), (0, 1));
    journal.append(&[Record::Next { id: 5, spool: Mark::default() }]).unwrap();
    let (journal, damage) = Journal::open(&path).unwrap();
    assert_eq!(damage, Damage::default());
    assert_eq!(journal.next_id(), 5);
}

#[test]
fn a_long_journal_is_made_anew_and_forgets_nothing_that_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, _) = Queue::open(folder.path()).unwrap();
    queue.advance(&mut vec![new("stays")], &[]).unwrap();
    for id in 2..3000 {
        queue.advance(&mut vec![new("x")], &[]).unwrap();
        queue.advance(&mut Vec::new(), &[id]).unwrap();
    }
    assert!(fs::metadata(folder.path().join("journal")).unwrap().len() < 300 << 10);
    drop(queue);
    let (queue, recovered) = Queue::open(folder.path()).unwrap();
    assert_eq!(recovered.entries.iter().map(|e| e.line.as_str()).collect::<Vec<_>>(), ["stays"]);
    assert_eq!(queue.next_id(), 3000);
}
