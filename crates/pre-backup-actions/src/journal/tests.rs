//! What survives: damage, a torn line, a full journal, names of any kind.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use common::moment::boot_id;

use super::*;

fn entry(service: &str) -> Entry {
    Entry {
        service: service.into(),
        folder: Path::new("/data").join(service),
        dumps: BTreeSet::from(["sub".into()]),
        run: "r1".into(),
        boot: "b1".into(),
        session: Some(7),
        started: 100,
        due: 200,
        has_after: true,
        ..Entry::default()
    }
}

fn services(journal: &Journal) -> Vec<String> {
    journal.entries().iter().map(|entry| entry.service.to_string_lossy().into_owned()).collect()
}

/// Opens the journal and expects nothing odd about it.
#[track_caller]
fn open(folder: &Path) -> Journal {
    let (journal, problems) = Journal::open(&folder.join("journal")).unwrap();
    assert_eq!(problems, []);
    journal
}

#[test]
fn what_was_started_and_not_cleared_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    for service in ["a", "b b", "c"] {
        journal.begin(entry(service)).unwrap();
    }
    journal.begin(Entry { service: OsString::from_vec(b"\xff\n".to_vec()), ..entry("x") }).unwrap();
    journal.clear(OsStr::new("b b")).unwrap();
    let again = open(folder.path());
    assert_eq!(again.entries(), journal.entries());
    assert_eq!(services(&again), ["a", "c", "\u{fffd}\n"]);
    assert_eq!(look(&folder.path().join("journal")).unwrap().0, journal.entries());
}

#[test]
fn a_failure_keeps_its_place_and_is_due_again_later_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal.begin(entry("a")).unwrap();
    journal.begin(Entry { started: 101, ..entry("b") }).unwrap();
    journal.failed(OsStr::new("a"), "exit code 1", 1000).unwrap();
    let again = open(folder.path());
    assert_eq!(services(&again), ["a", "b"]);
    let failed = &again.entries()[0];
    assert_eq!((failed.failures, failed.why.as_deref(), failed.due), (1, Some("exit code 1"), 1900));
    assert!(!failed.is_due(1899, boot_id()) && failed.is_due(1900, boot_id()) && failed.is_due(0, "other"));
    journal.failed(OsStr::new("a"), "exit code 1", 2000).unwrap();
    assert_eq!(journal.entries()[0].due, 3800);
}

#[test]
fn a_line_that_was_never_finished_is_dropped_and_the_next_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).begin(entry("a")).unwrap();
    let path = folder.path().join("journal");
    let text = fs::read_to_string(&path).unwrap() + "{\"begin\":{\"serv";
    fs::write(&path, text).unwrap();
    let mut journal = open(folder.path());
    assert!(!journal.is_incomplete());
    journal.begin(entry("b")).unwrap();
    assert_eq!(services(&open(folder.path())), ["a", "b"]);
}

#[test]
fn damage_is_reported_kept_aside_and_what_can_be_read_counts() {
    for damage in ["\0\0\0\0\n", "{\"begin\":{\"service\":\"..\"}}\n", "garbage\n"] {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = open(folder.path());
        journal.begin(entry("a")).unwrap();
        let path = folder.path().join("journal");
        let text = fs::read_to_string(&path).unwrap() + damage;
        fs::write(&path, &text).unwrap();
        // Interrupted before it is known what is missing, it is as damaged as before, and kept once.
        Journal::open(&folder.path().join("journal")).unwrap();
        let (mut journal, problems) = Journal::open(&folder.path().join("journal")).unwrap();
        assert!(journal.is_incomplete());
        assert_eq!(services(&journal), ["a"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        journal.assume(vec![entry("a"), entry("b")]).unwrap();
        assert!(
            problems[0].to_string().ends_with("journal:3: the journal is damaged: this line can't be read")
        );
        assert_eq!(fs::read_to_string(&problems[1].path).unwrap(), text);
        assert_eq!(services(&open(folder.path())), ["a", "b"], "reported once");
    }
}

#[test]
fn a_journal_without_its_first_line_is_damaged() {
    for text in ["", "\0\0\0", "{\"journ"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal"), text).unwrap();
        let (mut journal, problems) = Journal::open(&folder.path().join("journal")).unwrap();
        assert!(journal.is_incomplete() && problems.len() == 2, "{text:?}: {problems:?}");
        journal.assume(vec![]).unwrap();
        assert!(!journal.is_incomplete() && !folder.path().join("journal").exists());
    }
}

/// After a power cut half of the last line may be missing: that step had not started.
#[test]
fn cut_anywhere_nothing_that_began_before_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let path = folder.path().join("journal");
    journal.begin(entry("a")).unwrap();
    let synced = fs::metadata(&path).unwrap().len();
    journal.begin(entry("b")).unwrap();
    let text = fs::read(&path).unwrap();
    for length in usize::try_from(synced).unwrap()..text.len() {
        for tail in [&b""[..], &[0; 20]] {
            fs::write(&path, [&text[..length], tail].concat()).unwrap();
            let mut journal = open(folder.path());
            assert_eq!(services(&journal), ["a"], "cut to {length}");
            journal.begin(entry("c")).unwrap();
            assert_eq!(services(&open(folder.path())), ["a", "c"], "cut to {length}");
        }
    }
}

#[test]
fn a_service_is_held_until_the_last_backup_lets_go_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_string()).collect::<BTreeSet<_>>();
    journal.begin(Entry { keys: keys(&["nas/nightly"]), ..entry("a") }).unwrap();
    journal.begin(Entry { keys: keys(&["nas/nightly", "cloud/weekly"]), ..entry("b") }).unwrap();
    journal.release(|key| key == "nas/nightly").unwrap();
    let held =
        |journal: &Journal| journal.entries().iter().map(|entry| entry.keys.clone()).collect::<Vec<_>>();
    let expected = vec![keys(&[]), keys(&["cloud/weekly"])];
    assert_eq!((held(&journal), services(&journal)), (expected.clone(), vec!["a".into(), "b".into()]));
    assert_eq!(held(&open(folder.path())), expected);
    journal.failed(OsStr::new("b"), "exit code 1", 1000).unwrap();
    assert_eq!(held(&open(folder.path())), [keys(&[]), keys(&[])], "a failed after step holds for no backup");
}

#[test]
fn order_is_that_of_beginning_whatever_the_clock_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal.begin(Entry { started: 9000, ..entry("a") }).unwrap();
    journal.begin(Entry { started: 100, ..entry("b") }).unwrap();
    assert_eq!(services(&open(folder.path())), ["a", "b"]);
}

#[test]
fn a_clock_that_was_set_back_by_hours_makes_it_due() {
    let started = Entry { started: 100_000, due: 143_200, boot: "b".into(), ..entry("a") };
    assert!(!started.is_due(100_000, "b") && !started.is_due(99_000, "b"), "seconds are nothing");
    assert!(started.is_due(50_000, "b") && started.is_due(143_200, "b") && started.is_due(100_000, ""));
    let mut failed = started;
    failed.fail("exit code 1", 50_000);
    assert!(!failed.is_due(50_001, boot_id()) && failed.is_due(50_900, boot_id()));
}

#[test]
fn a_journal_of_a_newer_version_is_reported_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fs::write(&path, "{\"journal\":7}\n{\"opened\":\"a\"}\n").unwrap();
    let (journal, problems) = Journal::open(&folder.path().join("journal")).unwrap();
    assert!(journal.is_incomplete());
    assert!(problems.iter().any(|problem| problem.what.contains("newer version (format 7)")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.what.contains("kept here")));
}

/// Older versions wrote all steps of a run before the first one started.
#[test]
fn what_an_older_version_planned_counts_as_started() {
    let folder = tempfile::tempdir().unwrap();
    let begin = |service: &str, more: &str| {
        format!(
            // tidy: the name of the field that all versions so far write
            "{{\"begin\":{{\"service\":\"{service}\",\"folder\":\"/data/{service}\",\"run\":\"r\",\"boot\":\"b\",\"begun\":100,\"due\":200,\"after\":true{more}}}}}\n"
        )
    };
    let planned = ",\"planned\":true";
    let text = [
        "{\"journal\":1}\n",
        &begin("a", planned),
        &begin("b", planned),
        &begin("a", ""),
        &begin("b", ",\"failures\":2,\"why\":\"exit code 1\""),
    ];
    // tidy: that name, and the next version's
    for name in ["begun", "started"] {
        // tidy: likewise
        fs::write(folder.path().join("journal"), text.concat().replace("begun", name)).unwrap();
        let journal = open(folder.path());
        assert_eq!(services(&journal), ["b", "a"]);
        let first = &journal.entries()[0];
        assert_eq!((first.failures, first.started, first.due), (2, 100, 200));
    }
}
