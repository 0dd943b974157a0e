//! A journal on a disk that is full, and what it leaves behind.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bad_disk::Faults;
use super::*;

/// A disk is full while two requests run; then it has room again.
fn full_for_a_while(faults: Faults) {
    let dir = tempfile::tempdir().unwrap();
    let (disk, journal) = open(dir.path(), seldom());
    let meters = meters(&journal);
    let admit = |name: &str| meters.admit(&path(), &request(name));
    let (first, second) = (admit("first").unwrap(), admit("second").unwrap());
    disk.set(faults);
    assert!(!first.settle(output(3), Ending::Finished).is_written);
    let refused = admit("refused").unwrap_err();
    assert!(matches!(refused, Refusal::Journal(JournalError::Io { .. })), "{refused}");
    assert!(refused.to_string().contains("has room"), "{refused}");
    drop(second);
    assert!(admit("refused too").is_err());
    assert!(journal.behind().1);
    let standing = meters.standing(&path().account(Level::Key));
    assert_eq!((standing.in_flight, standing.total.usage), (0, output(3)));
    disk.set(Faults::default());
    assert!(admit("third").unwrap().settle(output(4), Ending::Finished).is_written);
    assert!(!journal.behind().1);
    let told = replay(dir.path()).unwrap();
    let told = told.settled.iter().map(|it| (it.opened.request.as_str(), it.usage));
    let expected = [("first", output(3)), ("second", Usage::NONE), ("third", output(4))];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_full_disk_refuses_requests_and_loses_no_end_of_one() {
    full_for_a_while(Faults { writes: true, ..Faults::default() });
}

#[test]
fn who_is_let_in_has_room_for_its_end_though_the_disk_is_full() {
    const NUM_RUNNING: usize = 5;
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 12_000, ..seldom() };
    let (disk, journal) = open(dir.path(), options);
    let meters = meters(&journal);
    disk.set(Faults { creates: true, ..Faults::default() });
    let (mut running, mut num_settled, mut names) = (VecDeque::new(), 0, 0..);
    let settle = |permit: crate::Permit| {
        assert!(permit.settle(output(1), Ending::Finished).is_written);
        1
    };
    let refused = loop {
        match meters.admit(&path(), &request(&format!("{:?}", names.next()))) {
            Ok(mut permit) => {
                // Marks take none of the room for ends.
                (0..9).for_each(|_| permit.mark());
                running.push_back(permit);
            }
            Err(refused) => break refused,
        }
        if running.len() > NUM_RUNNING {
            num_settled += settle(running.pop_front().unwrap());
        }
    };
    assert!(refused.to_string().contains("has room"), "{refused}");
    assert!(running.len() >= NUM_RUNNING);
    num_settled += running.into_iter().map(settle).sum::<usize>();
    assert_eq!(replay(dir.path()).unwrap().settled.len(), num_settled);
    disk.set(Faults::default());
    assert!(meters.admit(&path(), &request("later")).is_ok());
}

#[test]
fn what_a_failed_write_left_is_left_behind() {
    full_for_a_while(Faults { writes: true, truncates: true, ..Faults::default() });
    full_for_a_while(Faults { writes: true, truncates: true, creates: true, ..Faults::default() });
}

#[test]
fn ends_that_wait_are_written_when_the_journal_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, journal) = open(dir.path(), seldom());
    let permit = meters(&journal).admit(&path(), &request("a")).unwrap();
    disk.set(Faults { writes: true, ..Faults::default() });
    permit.settle(output(2), Ending::Finished);
    disk.set(Faults::default());
    drop(journal);
    assert_eq!(replay(dir.path()).unwrap().settled[0].usage, output(2));
}

#[test]
fn a_journal_that_the_ledger_has_all_of_leaves_no_file_behind() {
    let dir = tempfile::tempdir().unwrap();
    for is_acknowledged in [false, true] {
        let journal = Arc::new(Journal::open(dir.path(), seldom()).unwrap());
        let meters = meters(&journal);
        let permit = meters.admit(&path(), &request("a")).unwrap();
        permit.settle(output(1), Ending::Finished);
        if is_acknowledged {
            let (_, upto) = journal.read(journal.acknowledged(), 9).unwrap();
            journal.acknowledge(upto);
        }
        drop((meters, journal));
        let num = segment::list(dir.path()).unwrap().len();
        assert_eq!(num, usize::from(!is_acknowledged));
    }
}
