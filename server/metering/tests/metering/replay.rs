//! A journal that was cut anywhere: it tells what was true at some moment before.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use server_metering::{
    Ending, Entry, Follower, FollowerOptions, Journal, JournalError, JournalOptions, Ledger,
    LedgerError, Meter, Meters, Permit, Recovered, Replay, RequestId, SystemClock, Usage, replay,
};

use crate::world::{MemoryLedger, World, ask, eventually, flat_prices, path, segments, tokens};

/// What the journal tells after each step, by the bytes of its last segment.
struct Told {
    world: World,
    last: PathBuf,
    states: BTreeMap<u64, Replay>,
    delivered: HashMap<RequestId, Usage>,
}

/// A segment without the room that nothing was written to yet.
fn written(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let mut end = 8;
    while let Some(len) = bytes[end..].first_chunk().map(|len| u32::from_le_bytes(*len))
        && len > 0
    {
        end += 8 + len as usize;
    }
    bytes.truncate(end);
    bytes
}

/// The last segment that is not one to come.
fn last_written(dir: &Path) -> PathBuf {
    let mut all = segments(dir);
    while all.len() > 1 && written(&all[all.len() - 1]).len() <= 8 {
        all.pop();
    }
    all.pop().unwrap()
}

/// Forty requests that overlap: every third is settled, some marked, some dropped, some left open.
fn told(segment_bytes: u64) -> Told {
    let options = JournalOptions { segment_bytes, ..JournalOptions::default() };
    let world = World::with(options, flat_prices(2, 1, 5));
    let mut states = BTreeMap::from([(0, Replay::default())]);
    let mut delivered = HashMap::new();
    let mut last = last_written(world.dir.path());
    let mut note = || {
        let now = last_written(world.dir.path());
        if now != last {
            // Of earlier segments nothing is cut.
            let before = states.pop_last().expect("there was one before").1;
            states = BTreeMap::from([(0, before)]);
            last = now;
        }
        let mut state = replay(world.dir.path()).unwrap();
        assert_eq!(std::mem::take(&mut state.cut_bytes), 0);
        states.insert(written(&last).len() as u64, state);
    };
    let mut open: Vec<(u64, Permit)> = Vec::new();
    for idx in 0..40 {
        let path = path("o", "p", &format!("k{}", idx % 3));
        open.push((idx, world.meters.admit(&path, &ask(idx, idx, 100)).unwrap()));
        note();
        let told = tokens(idx, 3 * idx + 1);
        match idx % 4 {
            1 => {
                world.clock.pass(Duration::from_secs(1));
                for (_, permit) in &mut open {
                    permit.delivered(told);
                    note();
                }
            }
            2 => {
                let (number, permit) = open.remove(0);
                let usage = told.with(Meter::CachedInputTokens, 7);
                let receipt = permit.settle(usage, Ending::Cancelled);
                delivered.insert(ask(number, 0, 0).request, receipt.usage);
                note();
            }
            3 if idx > 20 => {
                let (number, permit) = open.remove(0);
                drop(permit);
                note();
                delivered.insert(ask(number, 0, 0).request, Usage::NONE);
            }
            _ => {}
        }
    }
    // As a kill does it: nobody settles these.
    open.into_iter().for_each(|(_, permit)| std::mem::forget(permit));
    Told { world, last, states, delivered }
}

/// The journal's files elsewhere, with other bytes in the last.
fn with_last(told: &Told, bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in segments(told.world.dir.path()) {
        fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
    }
    fs::write(dir.path().join(told.last.file_name().unwrap()), bytes).unwrap();
    dir
}

fn cuts_are_prefixes(segment_bytes: u64) {
    let told = told(segment_bytes);
    let bytes = written(&told.last);
    let dir = with_last(&told, &[]);
    for len in 0..=bytes.len() {
        fs::write(dir.path().join(told.last.file_name().unwrap()), &bytes[..len]).unwrap();
        let mut state = replay(dir.path()).unwrap();
        let cut = std::mem::take(&mut state.cut_bytes);
        let (whole, expected) = told.states.range(..=len as u64).next_back().unwrap();
        assert_eq!(&state, expected, "cut at {len}");
        assert!(cut <= len as u64 - whole);
    }
}

#[test]
fn a_journal_cut_at_any_byte_tells_what_was_true_before() {
    cuts_are_prefixes(64 << 10);
}

#[test]
fn so_does_one_of_many_segments() {
    cuts_are_prefixes(1_500);
}

#[test]
fn what_is_told_is_what_was_delivered() {
    let told = told(1_000);
    assert!(segments(told.world.dir.path()).len() > 3);
    let state = replay(told.world.dir.path()).unwrap();
    // The last two ran for less than a second, and nothing is known of them.
    assert_eq!(state.settled.len() + state.lost.len(), 38);
    for entry in &state.settled {
        let known = told.delivered[&entry.opened.request];
        if entry.ending == Ending::Cancelled {
            assert_eq!(entry.usage, known);
        }
        let units = |meter| i128::from(entry.usage.get(meter));
        let cost = units(Meter::InputTokens) * 2
            + units(Meter::CachedInputTokens)
            + units(Meter::OutputTokens) * 5;
        assert_eq!(entry.cost.get(), cost);
    }
    // The last marks were made when the 38th had come.
    assert!(state.lost.iter().any(|entry| entry.usage == tokens(37, 112)));
    assert!(state.lost.iter().all(|entry| entry.ending == Ending::Lost));
}

#[test]
fn a_flipped_byte_cuts_and_never_lies() {
    let told = told(64 << 10);
    let bytes = written(&told.last);
    let dir = with_last(&told, &bytes);
    let states: Vec<&Replay> = told.states.values().collect();
    for idx in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[idx] ^= 0x10;
        fs::write(dir.path().join(told.last.file_name().unwrap()), flipped).unwrap();
        match replay(dir.path()) {
            Ok(mut state) => {
                assert!(std::mem::take(&mut state.cut_bytes) > 0);
                assert!(state == Replay::default() || states.contains(&&state), "byte {idx}");
            }
            Err(error) => assert!(matches!(error, JournalError::Foreign { .. }) && idx < 8),
        }
    }
}

/// A ledger that is too slow for many at once.
struct FewAtOnce(MemoryLedger);

impl Ledger for FewAtOnce {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        if entries.len() > 3 { Err("it takes too long".into()) } else { self.0.append(entries) }
    }
}

#[test]
fn a_ledger_that_takes_few_at_once_gets_them_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::open(dir.path(), JournalOptions::default()).unwrap());
    let meters = Meters::new(Arc::clone(&journal), flat_prices(1, 1, 1), Arc::new(SystemClock));
    for idx in 0..100 {
        let permit = meters.admit(&path("o", "p", "k"), &ask(idx, 1, 1)).unwrap();
        permit.settle(tokens(1, 1), Ending::Finished);
    }
    let (ledger, quick) = (MemoryLedger::new(1, 0.0), Duration::from_millis(1));
    let options =
        FollowerOptions { every: quick, max_batch: 64, min_backoff: quick, max_backoff: quick };
    let few = Box::new(FewAtOnce(ledger.clone()));
    let follower = Follower::start(Arc::clone(&journal), few, options).unwrap();
    assert!(follower.drain(Duration::from_secs(60)), "{:?}", follower.behind());
    assert_eq!(ledger.entries.lock().unwrap().len(), 100);
}

#[test]
fn the_next_process_settles_what_was_lost_and_the_ledger_hears_all_once() {
    let told = told(1_500);
    let bytes = written(&told.last);
    for len in [bytes.len(), bytes.len() - 1, bytes.len() / 2, 8, 3, 0] {
        let dir = with_last(&told, &bytes[..len]);
        let expected = replay(dir.path()).unwrap();
        let mut ledger = MemoryLedger::new(len as u64, 0.0);
        // The first start comes to give nothing.
        let journal = Journal::open(dir.path(), JournalOptions::default()).unwrap();
        let (num_lost, cut_bytes) = (expected.lost.len(), expected.cut_bytes);
        assert_eq!(journal.recovered(), Recovered { num_lost, cut_bytes });
        drop(journal);
        for failures in [0.5, 0.0] {
            ledger = MemoryLedger { entries: ledger.entries, ..MemoryLedger::new(3, failures) };
            let journal = Arc::new(Journal::open(dir.path(), JournalOptions::default()).unwrap());
            let locked = Journal::open(dir.path(), JournalOptions::default());
            assert!(matches!(locked, Err(JournalError::Locked { .. })));
            let follower = ledger.feed(&journal);
            assert!(follower.drain(Duration::from_secs(30)), "{:?}", follower.behind());
            eventually("earlier segments go", || segments(dir.path()).len() == 1);
        }
        let entries = ledger.entries.lock().unwrap();
        let all: Vec<_> = expected.settled.iter().chain(&expected.lost).collect();
        assert_eq!(entries.len(), all.len());
        assert!(all.iter().all(|entry| entries[&entry.opened.request] == **entry));
        assert!(replay(dir.path()).unwrap().settled.is_empty());
    }
}
