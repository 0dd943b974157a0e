//! What changes while it is read.

use std::collections::HashSet;
use std::sync::Mutex;

use server_accounts::{Actor, PriceListData};
use server_metering::{
    Journal, JournalOptions, Meter, Micros, ModelId, PriceBook, SystemClock, Tier, Usage,
};
use server_store::{Database, Limits, NewPrice, PriceList};

use super::*;

/// A store where a price is set in the moment after prices were read and before accounts are.
struct Racing {
    store: Store,
    /// The price of a million tokens, once.
    next: Mutex<Option<&'static str>>,
}

impl Source for Racing {
    async fn revision(&self) -> Result<i64, StoreError> {
        self.store.revision().await
    }

    async fn price_books(&self, since: i64) -> Result<Option<PriceBooks>, StoreError> {
        let read = self.store.price_books(since).await;
        let next = self.next.lock().unwrap().take();
        if let Some(price) = next {
            set(&self.store, price).await;
        }
        read
    }

    async fn changes(&self, since: i64) -> Result<Changes, StoreError> {
        self.store.changes(since).await
    }
}

async fn set(store: &Store, price: &str) -> PriceList {
    let allowed = Actor::operator().allow("a").unwrap();
    let list = PriceListData::flat([(Meter::InputTokens, price)]);
    let new = NewPrice {
        organization: None,
        model: "m",
        tier: Tier::STANDARD,
        valid_from: 0,
        valid_until: None,
        list,
    };
    store.set_price(&allowed, &new).await.unwrap()
}

#[tokio::test]
async fn a_price_that_changes_while_it_is_read_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("store.db"));
    let store = Store::open(&database, Limits::default()).await.unwrap();
    store.create_organization(&Actor::operator().allow("a").unwrap(), "A").await.unwrap();
    let journal = Journal::open(&folder.path().join("0"), JournalOptions::default()).unwrap();
    let clock = Arc::new(SystemClock);
    let meters = Meters::new(Arc::new(journal), PriceBook::default(), clock);
    let mut watch = Watch {
        store: Racing { store, next: Mutex::new(Some("3")) },
        meters: Some(meters.clone()),
        directory: Directory::default(),
        revision: None,
        own_prices: HashSet::new(),
    };
    let told = || {
        let (id, model) = (OrganizationId::new("a").unwrap(), ModelId::new("m").unwrap());
        let tier = Tier::new(Tier::STANDARD).unwrap();
        let usage = Usage::NONE.with(Meter::InputTokens, 1_000_000);
        meters.quote(&id, (&model, &tier), usage).ok().map(|quote| quote.total)
    };
    watch.follow().await.unwrap();
    assert_eq!(told(), None, "it was set after prices were read");
    watch.follow().await.unwrap();
    assert_eq!(told(), Some(Micros::new(3_000_000)));
    // Nothing was new since.
    let known = watch.revision;
    watch.follow().await.unwrap();
    assert_eq!(watch.revision, known);
}
