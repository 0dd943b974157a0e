//! What many keys cost: finding one, letting its request in, memory, and a server's start.
//!
//! `cargo bench -p server-access --bench keys` compares 100 keys with 100,000 of 10,000
//! organizations. `-- --start N` first makes N keys in a database, one after the other, and then
//! reads them as a server that starts does.
#![allow(clippy::print_stdout, reason = "a table is what a benchmark is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use server_access::Access;
use server_accounts::{
    Actor, Allowed, BudgetData, Changes, DEFAULT, Demand, Directory, KeyChange, KeyKind, KeySecret,
    LimitsData, OrganizationChange, PrivacySettings, ProjectChange, Role, Scopes, SecretChange,
};
use server_metering::{
    AccountId, Ask, Ending, Endpoint, Entry, Follower, FollowerOptions, Journal, JournalOptions,
    KeyId, Ledger, LedgerError, Meter, Meters, ModelId, OrganizationId, Path, PriceBook, ProjectId,
    RequestId, SystemClock, Tier, Usage,
};
use server_store::{Database, Limits, NewKey, Store};

const SIZES: [usize; 2] = [100, 100_000];
const KEYS_OF_AN_ORGANIZATION: usize = 10;
const NUM_ASKED: usize = 100_000;
const ROUNDS: usize = 9;
const NOW: i64 = 1_800_000_000;

/// Takes everything: what is measured is what comes before it.
struct Sink;

impl Ledger for Sink {
    fn append(&mut self, _: &[Entry]) -> Result<(), LedgerError> {
        Ok(())
    }
}

fn main() {
    let mut args = std::env::args().skip_while(|arg| arg != "--start").skip(1);
    if let Some(num) = args.next().and_then(|num| num.parse().ok()) {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(start(num));
        return;
    }
    println!("| keys | look-up | admit and settle | bytes a key: known | with limits |");
    println!("|---:|---:|---:|---:|---:|");
    for num in SIZES {
        measure(num);
    }
}

/// Each round asks for keys all over the place.
fn measure(num: usize) {
    let secrets: Vec<_> = (0..num).map(|_| KeySecret::generate()).collect();
    let before = resident_bytes();
    let directory = Directory::default();
    directory.apply(changes(&secrets));
    let now = Instant::now();
    directory.confirm(now);
    let known = resident_bytes();
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(folder.path(), JournalOptions::default()).expect("a journal");
    let journal = Arc::new(journal);
    let options = FollowerOptions { max_batch: 2_048, ..FollowerOptions::default() };
    let follower = Follower::start(Arc::clone(&journal), Box::new(Sink), options);
    let follower = follower.expect("a thread");
    let meters = Meters::new(journal, PriceBook::default(), Arc::new(SystemClock));
    let limits = limits().limits().expect("limits");
    for idx in 0..num {
        meters.set_limits(&AccountId::Key(path(idx)), limits.clone());
    }
    let limited = resident_bytes();
    let order: Vec<usize> = (0..NUM_ASKED).map(|n| n.wrapping_mul(2_654_435_761) % num).collect();
    let mut looked_up = [Duration::MAX; ROUNDS];
    for time in &mut looked_up {
        let start = Instant::now();
        for idx in &order {
            let found = directory.check(secrets[*idx].expose(), (now, NOW));
            black_box(found.expect("a key"));
        }
        *time = start.elapsed();
    }
    let mut admitted = [Duration::MAX; ROUNDS];
    for (round, time) in admitted.iter_mut().enumerate() {
        let asks: Vec<_> = (0..NUM_ASKED).map(|n| ask(round, n)).collect();
        let paths: Vec<_> = order.iter().map(|idx| path(*idx)).collect();
        let start = Instant::now();
        for (path, ask) in paths.iter().zip(&asks) {
            let permit = meters.admit(path, ask).expect("limits are far");
            permit.settle(Usage::NONE.with(Meter::OutputTokens, 1), Ending::Finished);
        }
        *time = start.elapsed();
        assert!(follower.drain(Duration::from_secs(60)), "it is taken");
    }
    let each = |times: &mut [Duration; ROUNDS]| {
        times.sort_unstable();
        times[ROUNDS / 2].as_nanos() / NUM_ASKED as u128
    };
    println!(
        "| {num} | {} ns | {} ns | {} | {} |",
        each(&mut looked_up),
        each(&mut admitted),
        known.saturating_sub(before) / num as u64,
        limited.saturating_sub(known) / num as u64,
    );
}

fn names(idx: usize) -> [String; 3] {
    let of = idx / KEYS_OF_AN_ORGANIZATION;
    [format!("org_{of:020}"), format!("proj_{of:020}"), format!("key_{idx:020}")]
}

fn path(idx: usize) -> Path {
    let [organization, project, key] = names(idx);
    Path {
        organization: OrganizationId::new(&organization).expect("a name"),
        project: ProjectId::new(&project).expect("a name"),
        key: KeyId::new(&key).expect("a name"),
    }
}

fn ask(round: usize, n: usize) -> Ask {
    Ask {
        request: RequestId::new(&format!("req_{round:012x}{n:020x}")).expect("a name"),
        model: ModelId::new("mock@0123456789ab").expect("a name"),
        tier: Tier::new("standard").expect("a name"),
        endpoint: Endpoint::new("/v1/chat/completions").expect("a name"),
        tag: None,
        input_tokens: 10,
        max_output_tokens: 10,
        other: Usage::NONE,
    }
}

fn limits() -> LimitsData {
    LimitsData {
        requests_per_minute: Some(1_000_000_000),
        input_tokens_per_minute: Some(1_000_000_000_000),
        ..LimitsData::default()
    }
}

/// As a start reads them.
fn changes(secrets: &[KeySecret]) -> Changes {
    let mut changes = Changes { revision: 1, ..Changes::default() };
    for (idx, secret) in secrets.iter().enumerate() {
        let [organization, project, id] = names(idx);
        if idx % KEYS_OF_AN_ORGANIZATION == 0 {
            changes.organizations.push(OrganizationChange {
                id: organization.clone(),
                is_archived: false,
                suspended: None,
                limits: LimitsData::default(),
            });
            changes.projects.push(ProjectChange {
                organization: organization.clone(),
                id: project.clone(),
                is_archived: false,
                limits: LimitsData::default(),
                privacy: PrivacySettings::default(),
            });
        }
        changes.keys.push(KeyChange {
            organization,
            project,
            id,
            kind: KeyKind::Project,
            role: Role::find_usual("developer").expect("a usual one"),
            scopes: Scopes::default(),
            limits: limits(),
            is_revoked: false,
            expires_at: None,
            secrets: vec![SecretChange {
                hash: secret.hash(),
                aws_secret: Some(secret.aws_secret()),
                expires_at: None,
            }],
        });
    }
    changes
}

/// Of this process; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn may<P: Demand>() -> Allowed<P> {
    Actor::operator().allow(DEFAULT).expect("the operator may all")
}

async fn start(num: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::File(folder.path().join("store.db"));
    let store = Store::open(&database, Limits::default()).await.expect("a database");
    store.create_organization(&may(), "bench").await.expect("it is made");
    store.create_project(&may(), Some(DEFAULT), "bench").await.expect("it is made");
    let budgets = vec![BudgetData { period: "month".to_owned(), amount: "1000000".to_owned() }];
    let limits = LimitsData { budgets, ..limits() };
    for number in 0..num {
        let new = NewKey {
            project: DEFAULT.to_owned(),
            name: format!("key {number}"),
            owner: "operator".to_owned(),
            scopes: Scopes::default(),
            limits: limits.clone(),
            expires_at: None,
        };
        store.create_key(&may(), &new).await.expect("it is made");
    }
    let journal = Journal::open(&folder.path().join("usage"), JournalOptions::default());
    let journal = Arc::new(journal.expect("a journal"));
    let meters = Meters::new(journal, PriceBook::default(), Arc::new(SystemClock));
    let (before, began) = (resident_bytes(), Instant::now());
    let access = Access::start(store, Some(meters)).await.expect("it reads");
    let (time, num) = (began.elapsed(), access.directory().num_keys());
    let bytes = resident_bytes().saturating_sub(before) / num.max(1) as u64;
    println!("a start with {num} keys of one organization: {time:?}, {bytes} bytes a key");
}
