//! A process that is killed while it works: what it acknowledged is in the ledger, once.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, thread};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use server_metering::{Ending, Journal, JournalOptions, Meter, Meters, SystemClock, Usage, replay};

use crate::world::{MemoryLedger, ask, flat_prices, path, tokens};

const NUM_ROUNDS: u64 = 20;
/// How many there are in place of that, for a long run.
const ROUNDS: &str = "AGENTBASE_SOAK_ROUNDS";
const NUM_THREADS: u64 = 3;
/// Where the child's journal is, and which round it is.
const FOLDER: &str = "METERING_KILL_FOLDER";
const ROUND: &str = "METERING_KILL_ROUND";

/// Works until it is killed; says each request's id and output after it was settled.
#[test]
#[ignore = "the other test starts it, to kill it"]
fn child() {
    let folder = env::var(FOLDER).expect("the other test says where the journal is");
    let round = env::var(ROUND).expect("the other test says which round it is");
    let options = JournalOptions { segment_bytes: 16 << 10, ..JournalOptions::default() };
    let journal = Arc::new(Journal::open(folder.as_ref(), options).unwrap());
    let meters = Meters::new(journal, flat_prices(2, 1, 5), Arc::new(SystemClock));
    thread::scope(|scope| {
        for thread in 0..NUM_THREADS {
            let (meters, round) = (meters.clone(), &round);
            scope.spawn(move || {
                for idx in 0u64.. {
                    let id = format!("{round}-{thread}-{idx}");
                    let path = path("o", "p", &format!("k{thread}"));
                    let mut permit = meters.admit(&path, &ask(&id, idx, 500)).unwrap();
                    let output = idx * 7 % 500;
                    permit.delivered(tokens(idx, output / 2));
                    permit.settle(tokens(idx, output), Ending::Finished);
                    // One write of a line: whole, or not there.
                    io::stdout()
                        .lock()
                        .write_all(format!("settled {id} {output}\n").as_bytes())
                        .unwrap();
                }
            });
        }
    });
}

/// Lets a child work for a while after its first word, kills it, and gives what it said.
fn run_and_kill(folder: &std::path::Path, round: u64, lives: Duration) -> HashMap<String, u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (begun, has_begun) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        let mut said = HashMap::new();
        for line in output.lines().map_while(Result::ok) {
            // The first one may stand behind what the tests' own harness said.
            let Some((_, line)) = line.split_once("settled ") else { continue };
            let (id, output) = line.split_once(' ').unwrap();
            assert!(said.insert(id.to_owned(), output.parse().unwrap()).is_none(), "{id}");
            let _ = begun.send(());
        }
        said
    });
    has_begun.recv().expect("the child settles something");
    thread::sleep(lives);
    // SIGKILL: nothing of it runs any more.
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn what_was_acknowledged_is_in_the_ledger_once_whenever_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = MemoryLedger::new(1, 0.2);
    let num_rounds = env::var(ROUNDS).map_or(NUM_ROUNDS, |num| num.parse().expect("a number"));
    let mut random = StdRng::seed_from_u64(9);
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    let mut num_lost = 0;
    for round in 0..num_rounds {
        let lives = Duration::from_micros(random.random_range(0..40_000));
        let said = run_and_kill(dir.path(), round, lives);
        let state = replay(dir.path()).unwrap();
        num_lost += state.lost.len();
        // At most those that each thread was at; their names are not among those acknowledged.
        assert!(state.lost.len() as u64 <= NUM_THREADS);
        assert!(state.lost.iter().all(|it| !said.contains_key(it.opened.request.as_str())));
        acknowledged.extend(said);
        // Every other time the next process comes before the ledger was asked.
        if round % 2 == 1 {
            let journal = Arc::new(Journal::open(dir.path(), JournalOptions::default()).unwrap());
            let follower = ledger.feed(&journal);
            assert!(follower.drain(Duration::from_secs(60)), "{:?}", follower.behind());
        }
    }
    let entries = ledger.entries.lock().unwrap();
    for (id, output) in &acknowledged {
        let request = ask(id, 0, 0).request;
        let entry = entries.get(&request).unwrap_or_else(|| panic!("{id} is lost"));
        let expected = Usage::NONE.with(Meter::OutputTokens, *output);
        let input = Usage::NONE.with(Meter::InputTokens, entry.usage.get(Meter::InputTokens));
        assert_eq!(entry.usage, expected.checked_add(input).unwrap());
        assert_eq!(entry.ending, Ending::Finished);
    }
    // Those that ended without being heard of, or did not end, are few.
    let unheard = entries.len() - acknowledged.len();
    assert!(unheard as u64 <= NUM_THREADS * num_rounds, "{unheard}");
    assert!(acknowledged.len() as u64 >= num_rounds && num_lost <= unheard);
}
