//! How many lines a second the ledger takes on SQLite, and how long its reports take.
//!
//! `cargo bench -p server-store --bench ledger -- 1000000`, with the number of lines: of a month,
//! of 10,000 organizations with 100,000 keys. Every third line is of one of them, which has 1,000
//! keys. The database is in the folder for temporary files.
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

fn main() {
    let num = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(NUM_LINES);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let opened = runtime.block_on(Store::open(&Database::File(path.clone()), Limits::default()));
    let store = opened.expect("a database");
    let mut ledger = SqlLedger::new(store.clone(), runtime.handle().clone());
    println!("| what | |\n|---|---:|");
    let quarter = num.div_ceil(4 * BATCH) * BATCH;
    for begin in (0..num).step_by(usize::try_from(quarter).expect("it fits")) {
        let end = (begin + quarter).min(num);
        // What makes lines is not measured.
        let mut seconds = 0.0;
        for first in (begin..end).step_by(BATCH as usize) {
            let batch: Vec<_> = (first..(first + BATCH).min(end)).map(|n| entry(n, num)).collect();
            let start = Instant::now();
            ledger.append(&batch).expect("it is appended");
            seconds += start.elapsed().as_secs_f64();
        }
        let per_second = (end - begin) as f64 / seconds;
        println!("| lines {begin} to {end}, in batches of {BATCH} | {per_second:.0}/s |");
    }
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    println!("| the file | {} MB |", bytes >> 20);
    runtime.block_on(reports(&store));
    runtime.block_on(restore(&store, folder.path()));
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
fn entry(n: u64, num: u64) -> Entry {
    // splitmix64
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let random = mixed ^ (mixed >> 31);
    let (organization, key) = match random % 3 {
        0 => (0, (random >> 8) % KEYS_OF_LARGE),
        _ => (1 + (random >> 8) % (NUM_ORGANIZATIONS - 1), (random >> 32) % KEYS_EACH),
    };
    let span = u128::from((MONTH.1 - MONTH.0).unsigned_abs());
    let passed = (u128::from(n) * span / u128::from(num.max(1))) as u64;
    let at = UnixMillis(MONTH.0.unsigned_abs() + passed);
    let tokens = 1 + (random >> 40) % 2_000;
    Entry {
        opened: Opened {
            request: RequestId::new(&format!("req_{mixed:016x}{n:016x}")).expect("a name"),
            path: Path {
                organization: OrganizationId::new(&format!("org-{organization}")).expect("a name"),
                project: ProjectId::new(&format!("proj_{organization}_{}", key % 5))
                    .expect("a name"),
                key: KeyId::new(&format!("key_{organization}_{key}")).expect("a name"),
            },
            model: ModelId::new(&format!("model-{}@1", (random >> 20) % NUM_MODELS))
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
