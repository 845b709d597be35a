//! What is on disk after every kind of interruption.

use std::fs;

use super::{Advanced, Job, Lane, Queue};
use crate::door::Origin;
use bridge::message::Message;

/// Accepts these lines, when those messages have ended.
#[track_caller]
fn advance(queue: &mut Queue, lines: &[&str], ended: &[u64]) -> Advanced {
    for line in lines {
        assert!(queue.add(Job::new(Message::parse(line.as_bytes()).unwrap(), Origin::Socket)));
    }
    queue.advance(ended).unwrap()
}

#[test]
fn a_message_that_ended_is_gone_and_one_that_did_not_is_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, entries, _) = Queue::open(folder.path()).unwrap();
    assert!(entries.is_empty());
    let first = advance(&mut queue, &["a", "b", "c"], &[]);
    assert_eq!(first.accepted, [1, 2, 3]);
    assert_eq!([1, 2, 3].map(|id| queue.ahead(queue.job(id).unwrap())), [0, 1, 2]);
    assert_eq!(first.started.len(), 1);
    let second = advance(&mut queue, &[], &[1]);
    assert_eq!(second.started[0].id, 2);
    drop(queue);
    let (mut queue, entries, _) = Queue::open(folder.path()).unwrap();
    let states: Vec<_> = entries.iter().map(|e| (e.id, e.line.as_str(), e.started)).collect();
    assert_eq!(states, [(2, "b", true), (3, "c", false)]);
    assert_eq!(advance(&mut queue, &["d"], &[2, 3]).accepted[0], 4, "no number is used twice");
}

#[test]
fn notifications_have_a_lane_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, ..) = Queue::open(folder.path()).unwrap();
    let advanced = advance(&mut queue, &["pre-backups", "notify-up x", "other"], &[]);
    let started: Vec<_> = advanced.started.iter().map(|job| (job.id, job.lane())).collect();
    assert_eq!(started, [(1, Lane::Actions), (2, Lane::Notifications)]);
}

#[test]
fn a_long_journal_is_made_anew_and_forgets_nothing_that_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, ..) = Queue::open(folder.path()).unwrap();
    advance(&mut queue, &["stays"], &[]);
    for id in 2..3000 {
        advance(&mut queue, &["x"], &[]);
        advance(&mut queue, &[], &[id]);
    }
    assert!(fs::metadata(folder.path().join("journal")).unwrap().len() < 300 << 10);
    drop(queue);
    let (queue, entries, _) = Queue::open(folder.path()).unwrap();
    assert_eq!(entries.iter().map(|e| e.line.as_str()).collect::<Vec<_>>(), ["stays"]);
    assert_eq!(queue.next_id(), 3000);
}
