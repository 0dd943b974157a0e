//! How many lines a second the ledger takes on SQLite, and how long its reports take.
//!
//! `cargo bench -p server-store --bench ledger -- 1000000`, with the number of lines: of a month,
//! of 10,000 organizations with 100,000 keys. Every third line is of one of them, which has 1,000
//! keys. With `--one-key` all are of one key and a day, as a load's are: what a line costs by
//! itself. `--batch N` is how many are given at once. The database is in the folder for temporary
//! files.
#![allow(clippy::print_stdout, reason = "a table is what a benchmark is for")]

use std::sync::Arc;
use std::time::Instant;

use server_accounts::Actor;
use server_metering::{
    Ending, Endpoint, Entry, Journal, JournalOptions, KeyId, Ledger, Meter, Meters, ModelId,
    Opened, OrganizationId, Path, Picos, PriceBook, ProjectId, RequestId, SystemClock, Tier,
    UnixMillis, Usage,
};
use server_store::{
    BucketQuery, BucketWidth, Database, GroupBy, Limits, PriceBooks, SqlLedger, Store, UsageFilter,
    UsageQuery,
};

const NUM_LINES: u64 = 1_000_000;
const BATCH: u64 = 256;
const NUM_ORGANIZATIONS: u64 = 10_000;
const KEYS_EACH: u64 = 10;
const KEYS_OF_LARGE: u64 = 1_000;
const NUM_MODELS: u64 = 4;
const ROUNDS: usize = 5;
/// 2026-11-01 and 2026-12-01, UTC.
const MONTH: (i64, i64) = (1_793_491_200_000, 1_796_083_200_000);

/// Batches that are made before they are given: what makes lines is not measured.
const AHEAD: u64 = 64;

/// What is said on the command line.
struct Options {
    num: u64,
    batch: u64,
    is_one_key: bool,
}

fn main() {
    let args: Vec<_> = std::env::args().collect();
    let after = |name| args.iter().skip_while(move |arg| *arg != name).nth(1);
    let batch = after("--batch").and_then(|arg| arg.parse().ok()).unwrap_or(BATCH);
    let is_number = args.iter().position(|arg| arg == "--batch").map_or(0, |idx| idx + 1);
    let numbers = args.iter().enumerate().filter(|(idx, _)| *idx != is_number);
    let num = numbers.filter_map(|(_, arg)| arg.parse().ok()).next().unwrap_or(NUM_LINES);
    let options = Options { num, batch, is_one_key: args.iter().any(|arg| arg == "--one-key") };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let opened = runtime.block_on(Store::open(&Database::File(path.clone()), Limits::default()));
    let store = opened.expect("a database");
    let mut ledger = SqlLedger::new(store.clone(), runtime.handle().clone());
    println!("| what | |\n|---|---:|");
    fill(&mut ledger, &options);
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    println!("| the file | {} MB |", bytes >> 20);
    runtime.block_on(reports(&store));
    runtime.block_on(restore(&store, folder.path()));
    // As a server does from time to time: days that are over go into their months.
    let start = Instant::now();
    let mut num_swept = 0;
    while let num @ 1.. = runtime.block_on(store.sweep_batch()).expect("it is swept") {
        num_swept += num;
    }
    println!("| {num_swept} sums of days that are over, into months | {:?} |", start.elapsed());
    runtime.block_on(restore(&store, folder.path()));
}

/// Gives all lines in four parts.
fn fill(ledger: &mut SqlLedger, options: &Options) {
    let Options { num, batch, .. } = *options;
    let ahead = AHEAD * batch;
    let quarter = num.div_ceil(4 * ahead) * ahead;
    for begin in (0..num).step_by(quarter as usize) {
        let end = (begin + quarter).min(num);
        let (mut seconds, mut cpu) = (0.0, 0.0);
        for first in (begin..end).step_by(ahead as usize) {
            let made: Vec<_> =
                (first..(first + ahead).min(end)).map(|n| entry(n, options)).collect();
            let (start, cpu_before) = (Instant::now(), cpu_seconds());
            for batch in made.chunks(batch as usize) {
                ledger.append(batch).expect("it is appended");
            }
            seconds += start.elapsed().as_secs_f64();
            cpu += cpu_seconds() - cpu_before;
        }
        let num = (end - begin) as f64;
        let (per_second, micros) = (num / seconds, cpu * 1e6 / num);
        println!(
            "| lines {begin} to {end}, in batches of {batch} | {per_second:.0}/s, \
            {micros:.1} µs of a CPU each |"
        );
    }
}

/// What this process used of CPUs; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may have spaces: the 12th and 13th, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The middle one of some rounds.
async fn reports(store: &Store) {
    let allowed = Actor::operator().allow("org-0").expect("an operator may");
    let usage = UsageQuery { since: MONTH.0, until: MONTH.1, filter: UsageFilter::default() };
    let (mut times, mut told) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        told = store.usage(&allowed, &usage).await.expect("a total").num_requests;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("| a month of {told} lines of one organization | {:?} |", times[ROUNDS / 2]);
    for (name, width, group_by, limit) in [
        ("by day", BucketWidth::Day, vec![], 31),
        ("by day and project", BucketWidth::Day, vec![GroupBy::Project], 31),
        ("by day and model", BucketWidth::Day, vec![GroupBy::Model], 31),
        ("by day and key", BucketWidth::Day, vec![GroupBy::Key], 31),
        ("by hour", BucketWidth::Hour, vec![], 720),
        ("an hour by minute", BucketWidth::Minute, vec![], 60),
    ] {
        let usage = usage.clone();
        let query = BucketQuery { usage, width, group_by, limit, after: None };
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            store.usage_buckets(&allowed, &query).await.expect("a page");
            times.push(start.elapsed());
        }
        times.sort_unstable();
        println!("| the same, {name} | {:?} |", times[ROUNDS / 2]);
    }
}

async fn restore(store: &Store, folder: &std::path::Path) {
    let journal = Journal::open(&folder.join("journal"), JournalOptions::default());
    let journal = Arc::new(journal.expect("a journal"));
    let meters = Meters::new(journal, PriceBook::default(), Arc::new(SystemClock));
    let start = Instant::now();
    let now = UnixMillis((MONTH.1 - 1).unsigned_abs());
    let restored = store.restore_meters(&meters, &PriceBooks::default(), now).await;
    println!("| a start, {} sums | {:?} |", restored.expect("sums"), start.elapsed());
}

/// The n-th line of a month.
fn entry(n: u64, options: &Options) -> Entry {
    let Options { num, is_one_key, .. } = *options;
    // splitmix64
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let random = mixed ^ (mixed >> 31);
    let (organization, key) = match random % 3 {
        _ if is_one_key => (0, 0),
        0 => (0, (random >> 8) % KEYS_OF_LARGE),
        _ => (1 + (random >> 8) % (NUM_ORGANIZATIONS - 1), (random >> 32) % KEYS_EACH),
    };
    let span = if is_one_key { 86_400_000 } else { (MONTH.1 - MONTH.0).unsigned_abs() };
    let passed = (u128::from(n) * u128::from(span) / u128::from(num.max(1))) as u64;
    let at = UnixMillis(MONTH.0.unsigned_abs() + passed);
    let tokens = 1 + (random >> 40) % 2_000;
    Entry {
        opened: Opened {
            // As the server makes them.
            request: RequestId::new(&format!("req_{:012x}{mixed:016x}0000", at.0)).expect("a name"),
            path: Path {
                organization: OrganizationId::new(&format!("org-{organization}")).expect("a name"),
                project: ProjectId::new(&format!("proj_{organization}_{}", key % 5))
                    .expect("a name"),
                key: KeyId::new(&format!("key_{organization}_{key}")).expect("a name"),
            },
            model: ModelId::new(&format!(
                "model-{}@1",
                if is_one_key { 0 } else { (random >> 20) % NUM_MODELS }
            ))
            .expect("a name"),
            tier: Tier::new("standard").expect("a name"),
            endpoint: Endpoint::new("/v1/chat/completions").expect("a name"),
            tag: None,
            opened_at: at,
            held: Picos::ZERO,
        },
        settled_at: at,
        usage: Usage::NONE.with(Meter::InputTokens, tokens).with(Meter::OutputTokens, tokens / 4),
        cost: Picos::new(i128::from(tokens) * 150_000),
        ending: Ending::Finished,
    }
}
