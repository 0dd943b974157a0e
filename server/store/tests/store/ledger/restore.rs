//! A server that starts goes on from what the one before used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use server_accounts::PriceListData;
use server_metering::{
    Ask, Clock, Ending, Endpoint, Entry, Follower, FollowerOptions, Journal, JournalOptions, Level,
    Meter, Meters, ModelId, OrganizationId, Path, Period, PriceBook, RequestId, Standing, Tier,
    UnixMillis, Usage,
};
use server_store::{NewPrice, PriceBooks, SqlLedger, Store};

use super::{NOON, Random, entry, operator, path};
use crate::{On, Opened};

crate::on_both! {
    a_start_goes_on_where_the_last_one_ended,
    sums_of_the_past_are_swept,
    each_meter_goes_on,
}

const DAY: i64 = 86_400_000;
/// The first 5,000 tokens of output are free, of each day.
const DAILY: &str =
    r#"{"period":"day","meters":{"output_tokens":{"price":"2","free_units":5000}}}"#;

struct ManualClock {
    began: Instant,
    utc: AtomicU64,
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.began
    }

    fn utc(&self) -> UnixMillis {
        UnixMillis(self.utc.load(Ordering::Relaxed))
    }
}

/// A server: a journal that the ledger follows, and accounts that go on from the ledger.
struct Server {
    meters: Meters,
    follower: Follower,
    clock: Arc<ManualClock>,
}

impl Server {
    async fn start(store: &Store, folder: &std::path::Path, now: i64) -> Self {
        let utc = AtomicU64::new(now.unsigned_abs());
        let clock = Arc::new(ManualClock { began: Instant::now(), utc });
        let journal = Arc::new(Journal::open(folder, JournalOptions::default()).unwrap());
        let ledger = SqlLedger::new(store.clone(), tokio::runtime::Handle::current());
        let options = FollowerOptions { max_batch: 16, ..FollowerOptions::default() };
        let follower = Follower::start(Arc::clone(&journal), Box::new(ledger), options).unwrap();
        let follower = drain(follower).await;
        let books = store.price_books(0).await.unwrap().unwrap_or_default();
        let meters = Meters::new(journal, PriceBook::clone(&books.all), Arc::clone(&clock) as _);
        for (organization, book) in &books.own {
            meters.set_own_prices(organization, Some(Arc::clone(book)));
        }
        store.restore_meters(&meters, &books, clock.utc()).await.unwrap();
        Self { meters, follower, clock }
    }

    async fn stop(self) {
        drain(self.follower).await;
    }

    fn standings(&self, paths: &[Path]) -> Vec<Standing> {
        let accounts = paths.iter().flat_map(|path| Level::ALL.map(|level| path.account(level)));
        accounts.map(|account| self.meters.standing(&account)).collect()
    }
}

/// Beside the runtime, which the ledger's thread needs.
async fn drain(follower: Follower) -> Follower {
    let drain = move || {
        assert!(follower.drain(Duration::from_secs(30)));
        follower
    };
    tokio::task::spawn_blocking(drain).await.unwrap()
}

async fn a_start_goes_on_where_the_last_one_ended(on: On) {
    let opened = Opened::new(on).await;
    let folder = tempfile::tempdir().unwrap();
    for (organization, model, list) in [
        (None, "m@0", PriceListData::flat([(Meter::OutputTokens, "3")])),
        (None, "m@1", PriceListData::parse(DAILY).unwrap()),
        (Some("b"), "m@0", PriceListData::parse(DAILY).unwrap()),
    ] {
        let (tier, valid_from, valid_until) = ("standard", 0, None);
        let new = NewPrice { organization, model, tier, valid_from, valid_until, list };
        opened.store.set_price(&operator("b"), &new).await.unwrap();
    }
    let mut random = Random(3);
    let paths: Vec<_> = ["a", "b"]
        .into_iter()
        .flat_map(|org| [path(org, "p", "k"), path(org, "p", "l"), path(org, "q", "m")])
        .collect();
    let server = Server::start(&opened.store, folder.path(), NOON).await;
    for idx in 0..200 {
        // From a day into the next one.
        server.clock.utc.fetch_add(DAY as u64 / 150, Ordering::Relaxed);
        let path = &paths[random.below(paths.len() as u64) as usize];
        let ask = ask(&format!("r{idx}"), random.below(2));
        let permit = server.meters.admit(path, &ask).unwrap();
        let output = random.below(100);
        permit.settle(Usage::NONE.with(Meter::OutputTokens, output), Ending::Finished);
    }
    let now = server.clock.utc().0.cast_signed();
    let (before, quotes) = (server.standings(&paths), quotes(&server.meters));
    assert!(before[0].day.usage.get(Meter::OutputTokens) > 0);
    assert_ne!(before[0].day, before[0].month);
    server.stop().await;
    let server = Server::start(&opened.store, folder.path(), now).await;
    assert_eq!(server.standings(&paths), before);
    assert_eq!(self::quotes(&server.meters), quotes);
    server.stop().await;
    // The next day counts anew, the month goes on.
    let server = Server::start(&opened.store, folder.path(), now + DAY).await;
    let after = server.standings(&paths);
    assert_eq!(after[0].day.usage, Usage::NONE);
    assert_eq!((after[0].month, after[0].total), (before[0].month, before[0].total));
    server.stop().await;
}

fn ask(request: &str, model: u64) -> Ask {
    Ask {
        request: RequestId::new(request).unwrap(),
        model: ModelId::new(&format!("m@{model}")).unwrap(),
        tier: Tier::new("standard").unwrap(),
        endpoint: Endpoint::new("/v1/responses").unwrap(),
        tag: None,
        input_tokens: 1,
        max_output_tokens: 100,
        other: Usage::NONE,
    }
}

/// What as much output as is free would cost: it says how much is free yet.
fn quotes(meters: &Meters) -> Vec<i128> {
    let (tier, usage) =
        (Tier::new("standard").unwrap(), Usage::NONE.with(Meter::OutputTokens, 5_000));
    let quote = |(organization, model)| {
        let organization = OrganizationId::new(organization).unwrap();
        let model = ModelId::new(model).unwrap();
        meters.quote(&organization, (&model, &tier), usage).unwrap().exact.get()
    };
    let all = [("a", "m@0"), ("a", "m@1"), ("b", "m@0"), ("b", "m@1")];
    let quotes: Vec<_> = all.into_iter().map(quote).collect();
    assert!(quotes[1] > 0 && quotes[1] < 5_000 * 2_000_000, "{quotes:?}");
    quotes
}

async fn each_meter_goes_on(on: On) {
    let opened = Opened::new(on).await;
    let mut used = entry("all", NOON);
    for (meter, units) in Meter::ALL.into_iter().zip(101..) {
        used.usage = used.usage.with(meter, units);
    }
    opened.store.append_to_ledger(std::slice::from_ref(&used)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&opened.store, folder.path(), NOON).await;
    let standing = server.meters.standing(&path("a", "p", "k").account(Level::Project));
    let sums = [standing.day, standing.month, standing.total];
    assert_eq!(sums.map(|sum| (sum.usage, sum.cost)), [(used.usage, used.cost); 3]);
    server.stop().await;
}

async fn sums_of_the_past_are_swept(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = now.as_millis() as i64;
    let entries = [
        entry("now", now),
        entry("before yesterday", now - 2 * DAY),
        entry("days ago", now - 5 * DAY),
        entry("months ago", now - 200 * DAY),
    ];
    store.append_to_ledger(&entries).await.unwrap();
    // Of four accounts and models two days, and of those days the month that is long over.
    assert_eq!(store.sweep_batch().await.unwrap(), 12);
    assert_eq!(store.sweep_batch().await.unwrap(), 0);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(store, folder.path(), now).await;
    let standing = server.meters.standing(&path("a", "p", "k").account(Level::Key));
    let output = |sum: server_metering::Sum| sum.usage.get(Meter::OutputTokens);
    let month = |entry: &&Entry| {
        let at = UnixMillis(now.unsigned_abs());
        Period::Month.number(entry.settled_at) == Period::Month.number(at)
    };
    let of_month = 3 * entries.iter().filter(month).count() as u64;
    assert_eq!(output(standing.day), 3);
    assert_eq!((output(standing.month), output(standing.total)), (of_month, 12));
    let books = PriceBooks::default();
    let restored = store.restore_meters(&server.meters, &books, UnixMillis(0)).await.unwrap();
    // Two days, and all time: January 1970 has none.
    assert_eq!(restored, 12);
    server.stop().await;
    // What comes late is counted before it is swept and after.
    store.append_to_ledger(&[entry("late", now - 5 * DAY)]).await.unwrap();
    for num_swept in [4, 0] {
        let server = Server::start(store, folder.path(), now).await;
        let standing = server.meters.standing(&path("a", "p", "k").account(Level::Key));
        assert_eq!((output(standing.day), output(standing.total)), (3, 15));
        server.stop().await;
        assert_eq!(store.sweep_batch().await.unwrap(), num_swept);
    }
}
