//! What is billed by the clock counts against budgets, once, whoever bills it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use server_accounts::{Actor, Allowed, Demand, PriceListData};
use server_metering::{
    AccountId, Journal, JournalOptions, Meter, ModelId, OrganizationId, PriceBook, ProjectId,
    ProjectPath, Tier, UnixMillis, Usage,
};
use server_store::{Completion, Database, Limits, NewPrice, PriceBooks};
use tempfile::TempDir;

use super::*;

const HOUR: u64 = 3_600_000;
/// 2026-11-30 22:00 UTC.
const EVENING: u64 = 1_796_076_000_000;
/// Of a byte and hour; the first hundred are free in each month.
const PICOS: i128 = 2_000_000;

struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn utc(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

fn may<P: Demand>() -> Allowed<P> {
    Actor::operator().allow("a").unwrap()
}

/// A server's meters, as they are when it starts.
async fn meters(store: &Store, clock: &Arc<SetClock>) -> (Meters, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalOptions::default()).unwrap();
    let books: PriceBooks = store.price_books(0).await.unwrap().unwrap();
    let (journal, prices) = (Arc::new(journal), PriceBook::clone(&books.all));
    let meters = Meters::new(journal, prices, Arc::<SetClock>::clone(clock) as _);
    store.restore_meters(&meters, &books, clock.utc()).await.unwrap();
    (meters, folder)
}

/// Pico-units of this month and ever, and what a hundred more bytes and hours would cost.
fn spent(meters: &Meters) -> (i128, i128, i128) {
    let id = OrganizationId::new("a").unwrap();
    let (model, tier) = (ModelId::new("storage").unwrap(), Tier::new("standard").unwrap());
    let more = Usage::NONE.with(Meter::StorageByteHours, 100);
    let quote = meters.quote(&id, (&model, &tier), more).unwrap();
    let standing = meters.standing(&AccountId::Organization(id));
    (standing.month.cost.get(), standing.total.cost.get(), quote.exact.get())
}

#[tokio::test]
async fn what_is_kept_counts_against_budgets_as_soon_as_it_is_billed() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("store.db"));
    let store = Store::open(&database, Limits::default()).await.unwrap();
    let list = r#"{"meters":{"storage_byte_hours":{"price":"2","free_units":100}}}"#;
    let list = PriceListData::parse(list).unwrap();
    let (model, tier) = ("storage", "standard");
    let new = NewPrice { organization: None, model, tier, valid_from: 0, valid_until: None, list };
    store.set_price(&may(), &new).await.unwrap();
    let body = "x".repeat(60);
    let kept = Completion { id: "chatcmpl-1".to_owned(), body, ..Completion::default() };
    let (organization, project) = (OrganizationId::new("a"), ProjectId::new("p"));
    let whose = ProjectPath { organization: organization.unwrap(), project: project.unwrap() };
    store.add_completion(&whose, &kept, &[]).await.unwrap();
    let clock = Arc::new(SetClock(EVENING.into()));
    let (meters, _journal) = self::meters(&store, &clock).await;
    count(&store, &meters, &*clock).await.unwrap();
    assert_eq!(spent(&meters), (0, 0, 0));
    clock.0.fetch_add(HOUR + HOUR / 2, Ordering::SeqCst);
    count(&store, &meters, &*clock).await.unwrap();
    // 60 of the free ones are used.
    assert_eq!(spent(&meters), (0, 0, 60 * PICOS));
    // The last hour of the month is billed in the next one, and is not of it.
    clock.0.fetch_add(HOUR, Ordering::SeqCst);
    count(&store, &meters, &*clock).await.unwrap();
    count(&store, &meters, &*clock).await.unwrap();
    assert_eq!(spent(&meters), (0, 20 * PICOS, 0));
    clock.0.fetch_add(2 * HOUR, Ordering::SeqCst);
    count(&store, &meters, &*clock).await.unwrap();
    let told = (20 * PICOS, 40 * PICOS, 100 * PICOS);
    assert_eq!(spent(&meters), told);
    // Who starts now knows the same of it.
    let (again, _journal) = self::meters(&store, &clock).await;
    count(&store, &again, &*clock).await.unwrap();
    assert_eq!(spent(&again), told);
}
