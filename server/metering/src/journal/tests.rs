//! The journal on disks that fail, and its syncs.

mod bad_disk;
mod room;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use super::names::Names;
use super::record::Record;
use super::*;
use crate::{
    KeyId, Level, Meters, ModelId, OrganizationId, ProjectId, Refusal, RequestId, SystemClock,
    Tier, Usage,
};
use bad_disk::{BadDisk, Faults, Shelf};

impl Journal {
    fn read(&self, at: Cursor, max_entries: usize) -> Result<(Vec<Entry>, Cursor), JournalError> {
        let mut entries = Vec::new();
        let upto = self.read_into(&mut entries, at, max_entries)?;
        Ok((entries, upto))
    }

    /// Until the disk has all that was written.
    fn wait_for_flusher(&self) {
        let mut writer = self.shared.writer();
        while writer.has_unsynced() {
            drop(writer);
            self.shared.work.notify_one();
            thread::sleep(Duration::from_millis(1));
            writer = self.shared.writer();
        }
    }
}

fn open(dir: &Path, options: JournalOptions) -> (Arc<BadDisk>, Arc<Journal>) {
    let disk = Arc::new(BadDisk::default());
    let journal = Journal::open_on(Arc::new(Shelf(Arc::clone(&disk))), dir, options);
    (disk, Arc::new(journal.unwrap()))
}

fn request(name: &str) -> crate::Ask {
    crate::Ask {
        request: RequestId::new(name).unwrap(),
        model: ModelId::new("m").unwrap(),
        tier: Tier::new("t").unwrap(),
        endpoint: crate::Endpoint::new("e").unwrap(),
        tag: None,
        input_tokens: 1,
        max_output_tokens: 5,
        other: Usage::NONE,
    }
}

fn path() -> crate::Path {
    crate::Path {
        organization: OrganizationId::new("o").unwrap(),
        project: ProjectId::new("p").unwrap(),
        key: KeyId::new("k").unwrap(),
    }
}

fn meters(journal: &Arc<Journal>) -> Meters {
    Meters::new(Arc::clone(journal), crate::PriceBook::default(), Arc::new(SystemClock))
}

fn output(tokens: u64) -> Usage {
    Usage::NONE.with(crate::Meter::OutputTokens, tokens)
}

/// Never of itself: the tests say when.
fn seldom() -> JournalOptions {
    JournalOptions { sync_every: Duration::from_secs(3600), ..JournalOptions::default() }
}

#[test]
fn a_segment_with_an_open_request_stays_and_those_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        JournalOptions { durability: Durability::BeforeAck, segment_bytes: 150, ..seldom() };
    let (_, journal) = open(dir.path(), options);
    let meters = meters(&journal);
    let admit = |name: &str| meters.admit(&path(), &request(name)).unwrap();
    let settle = |permit: crate::Permit| {
        assert!(permit.settle(output(1), Ending::Finished).is_written);
    };
    let acknowledge_all = || {
        let (entries, upto) = journal.read(journal.acknowledged(), 1_000).unwrap();
        journal.acknowledge(upto);
        entries.len()
    };
    settle(admit("before"));
    let mut open = admit("open");
    open.mark();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        settle(admit(name));
    }
    assert_eq!(acknowledge_all(), 8);
    let before = segment::list(dir.path()).unwrap();
    assert!(before.len() > 2, "{before:?}");
    let told = replay(dir.path()).unwrap();
    assert_eq!(told.lost.iter().map(|it| it.opened.request.as_str()).collect::<Vec<_>>(), ["open"]);
    settle(open);
    assert_eq!(acknowledge_all(), 1);
    assert_eq!(segment::list(dir.path()).unwrap().len(), 1);
    assert_eq!(journal.behind(), (0, false));
}

#[test]
fn what_was_settled_is_read_in_parts_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 300, ..seldom() };
    let (_, journal) = open(dir.path(), options);
    let meters = meters(&journal);
    let start = journal.acknowledged();
    let settle = |names: &[&str]| {
        for name in names {
            let permit = meters.admit(&path(), &request(name)).unwrap();
            permit.settle(output(name.len() as u64), Ending::Finished);
        }
    };
    let names = |entries: &[Entry]| {
        let names = entries.iter().map(|it| it.opened.request.as_str().to_owned());
        names.collect::<Vec<_>>()
    };
    settle(&["a", "bb", "ccc"]);
    let _running = meters.admit(&path(), &request("running")).unwrap();
    let (first, after_first) = journal.read(start, 2).unwrap();
    assert_eq!(names(&first), ["a", "bb"]);
    let (again, after_again) = journal.read(start, 2).unwrap();
    assert_eq!((&again, after_again), (&first, after_first));
    settle(&["dddd"]);
    let (rest, end) = journal.read(after_first, 9).unwrap();
    assert_eq!(names(&rest), ["ccc", "dddd"]);
    assert_eq!(journal.read(after_first, 9).unwrap(), (rest, end));
    assert_eq!(journal.read(end, 9).unwrap(), (Vec::new(), end));
    settle(&["e"]);
    let all = journal.read(start, 9).unwrap();
    assert_eq!(names(&all.0), ["a", "bb", "ccc", "dddd", "e"]);
    assert_eq!(journal.read(end, 9).unwrap().0, all.0[4..]);
    journal.acknowledge(all.1);
    assert_eq!(journal.behind(), (0, false));
}

#[test]
fn a_segment_stays_until_the_disk_has_how_its_requests_ended() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 60, ..seldom() };
    let (disk, journal) = open(dir.path(), options);
    let mut permit = meters(&journal).admit(&path(), &request("a")).unwrap();
    permit.mark();
    disk.set(Faults { holds: true, ..Faults::default() });
    permit.settle(output(1), Ending::Finished);
    let (entries, upto) = journal.read(journal.acknowledged(), 9).unwrap();
    journal.acknowledge(upto);
    assert_eq!((entries.len(), segment::list(dir.path()).unwrap()[0]), (1, 0));
    disk.set(Faults::default());
    journal.wait_for_flusher();
    journal.acknowledge(upto);
    assert_eq!(segment::list(dir.path()).unwrap()[0], 1);
}

#[test]
fn before_each_acknowledgement_the_disk_has_it_and_one_sync_is_for_many() {
    const NUM_THREADS: u64 = 32;
    const NUM_REQUESTS: u64 = 8;
    let dir = tempfile::tempdir().unwrap();
    let options =
        JournalOptions { durability: Durability::BeforeAck, segment_bytes: 4_000, ..seldom() };
    let (disk, journal) = open(dir.path(), options);
    let (meters, barrier) = (meters(&journal), Barrier::new(NUM_THREADS as usize));
    thread::scope(|scope| {
        for thread in 0..NUM_THREADS {
            let (meters, barrier, disk) = (&meters, &barrier, &disk);
            scope.spawn(move || {
                barrier.wait();
                for idx in 0..NUM_REQUESTS {
                    let ask = request(&format!("{thread}-{idx}"));
                    let permit = meters.admit(&path(), &ask).unwrap();
                    assert!(permit.settle(output(1), Ending::Finished).is_written);
                    let synced = disk.synced.lock().unwrap().clone();
                    let mut is_there = false;
                    for (path, len) in synced {
                        let (range, mut room) = (segment::HEADER_BYTES..len, Vec::new());
                        let found = segment::read(&path, range, &mut room, |bytes| {
                            let record = Record::decode(bytes, &mut Names::default())?;
                            is_there |= matches!(record,
                                Record::Settled(it) if it.opened.request == ask.request);
                            Some(std::ops::ControlFlow::Continue(()))
                        });
                        found.unwrap();
                    }
                    assert!(is_there);
                }
            });
        }
    });
    let num_syncs = disk.num_syncs.load(Ordering::Relaxed);
    assert!(num_syncs < NUM_THREADS * NUM_REQUESTS * 2, "{num_syncs} syncs");
}

#[test]
fn a_disk_that_did_not_keep_what_it_was_given_is_not_trusted_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { durability: Durability::BeforeAck, ..seldom() };
    let (disk, journal) = open(dir.path(), options);
    let meters = meters(&journal);
    let admit = |name: &str| meters.admit(&path(), &request(name));
    let (running, first) = (admit("running").unwrap(), admit("first").unwrap());
    disk.set(Faults { syncs: true, ..Faults::default() });
    assert!(!first.settle(output(2), Ending::Finished).is_written);
    let refused = admit("refused").unwrap_err();
    assert!(matches!(refused, Refusal::Journal(JournalError::NotKept { .. })), "{refused}");
    assert_eq!(meters.standing(&path().account(Level::Key)).in_flight, 1);
    disk.set(Faults::default());
    assert!(admit("refused too").is_err());
    // It is written, and whether the disk keeps it nobody knows.
    assert!(!running.settle(output(1), Ending::Finished).is_written);
    let settled = replay(dir.path()).unwrap().settled;
    let usage = settled.iter().map(|entry| entry.usage);
    assert_eq!(usage.collect::<Vec<_>>(), [output(2), output(1)]);
}

#[test]
fn files_of_others_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    drop(Journal::open(dir.path(), seldom()).unwrap());
    let foreign = segment::path(dir.path(), 7);
    std::fs::write(&foreign, b"abmeter9 of a later version").unwrap();
    let refused = Journal::open(dir.path(), seldom()).unwrap_err();
    assert!(matches!(&refused, JournalError::Foreign { path } if *path == foreign), "{refused}");
}
