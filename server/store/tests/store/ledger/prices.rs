//! Prices over time, for all and for one.

use server_accounts::{PriceListData, may};
use server_metering::{Meter, ModelId, OrganizationId, PriceBook, Tier, UnixMillis, Usage};
use server_store::{BillingError, NewPrice, PriceFilter, PriceList, Store, StoreError};

use super::operator;
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    a_new_list_ends_the_one_before,
    lists_that_would_hold_at_once_are_refused,
    an_organization_pays_by_its_own_list_while_it_has_one,
    a_removed_list_holds_no_more,
    lists_are_seen_by_whom_they_are_for,
}

/// Far in the future, so that all of them are held or to come.
const T: i64 = 3_000_000_000_000;

fn new<'a>(
    organization: Option<&'a str>,
    (valid_from, valid_until): (i64, Option<i64>),
    price: &str,
) -> NewPrice<'a> {
    let list = PriceListData::flat([(Meter::Images, price)]);
    NewPrice { organization, model: "m", tier: "standard", valid_from, valid_until, list }
}

async fn set(store: &Store, new: NewPrice<'_>) -> Result<PriceList, StoreError> {
    store.set_price(&operator("a"), &new).await
}

/// What an image costs at a moment, in micro-units for a million.
fn price(book: &PriceBook, at: i64) -> Option<i128> {
    let (model, tier) = (ModelId::new("m").unwrap(), Tier::new("standard").unwrap());
    let prices = &book.find(&model, &tier, UnixMillis(at.unsigned_abs()))?.prices;
    Some(prices.cost(Usage::NONE.with(Meter::Images, 1), Usage::NONE).get())
}

async fn a_new_list_ends_the_one_before(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    assert!(store.price_books(0).await.unwrap().is_none());
    set(store, new(None, (0, None), "1")).await.unwrap();
    let first = store.price_books(0).await.unwrap().unwrap();
    assert!(store.price_books(first.revision).await.unwrap().is_none());
    assert_eq!(store.revision().await.unwrap(), first.revision);
    set(store, new(None, (T + 10, None), "2")).await.unwrap();
    set(store, new(None, (T + 20, Some(T + 30)), "3")).await.unwrap();
    let books = store.price_books(first.revision).await.unwrap().unwrap();
    assert!(books.revision > first.revision);
    let told = [5, T + 9, T + 10, T + 19, T + 20, T + 29, T + 30].map(|at| price(&books.all, at));
    let [one, two, three] = [1_000_000, 2_000_000, 3_000_000].map(Some);
    assert_eq!(told, [one, one, two, two, three, three, None]);
    let audited = opened.count(
        "SELECT COUNT(*) FROM audit_log WHERE organization_id = 'a'
        AND action = 'price.created'",
    );
    assert_eq!(audited.await, 3);
}

async fn lists_that_would_hold_at_once_are_refused(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let later = set(store, new(None, (T + 10, Some(T + 20)), "1")).await.unwrap();
    for time in [(T, None), (T + 5, Some(T + 11)), (T + 10, Some(T + 15))] {
        let refused = set(store, new(None, time, "2")).await.unwrap_err();
        let is_overlap = matches!(&refused, StoreError::Billing(BillingError::Overlap { id, .. })
            if *id == later.id);
        assert!(is_overlap && refused.to_string().contains(&later.id), "{refused}");
    }
    for time in [(T, Some(T)), (T, Some(T - 1)), (-1, None), (i64::MAX, None)] {
        assert!(matches!(
            set(store, new(None, time, "2")).await,
            Err(StoreError::Billing(BillingError::Range { .. }))
        ));
    }
    let revision = store.revision().await.unwrap();
    assert!(set(store, new(None, (T, Some(T + 9)), "none")).await.is_err());
    assert!(set(store, NewPrice { model: "", ..new(None, (T, Some(T + 9)), "1") }).await.is_err());
    let typo = set(store, NewPrice { tier: "standart", ..new(None, (T, None), "1") }).await;
    assert!(typo.is_err_and(|error| error.to_string().contains("standard, priority, flex")));
    assert_eq!(store.revision().await.unwrap(), revision);
    set(store, new(None, (T + 5, Some(T + 10)), "2")).await.unwrap();
    set(store, NewPrice { tier: "flex", ..new(None, (T, None), "2") }).await.unwrap();
    let other = set(store, new(Some("b"), (T, None), "2")).await;
    assert!(is_missing(other));
}

async fn an_organization_pays_by_its_own_list_while_it_has_one(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    set(store, new(None, (T, Some(T + 50)), "1")).await.unwrap();
    set(store, new(None, (T + 50, None), "2")).await.unwrap();
    set(store, NewPrice { model: "other", ..new(None, (T, None), "9") }).await.unwrap();
    set(store, new(Some("a"), (T + 20, Some(T + 30)), "5")).await.unwrap();
    set(store, new(Some("a"), (T + 40, Some(T + 60)), "6")).await.unwrap();
    let books = store.price_books(0).await.unwrap().unwrap();
    let (a, b) = (OrganizationId::new("a").unwrap(), OrganizationId::new("b").unwrap());
    let ats = [T, T + 19, T + 20, T + 29, T + 30, T + 40, T + 55, T + 60];
    let told = |organization| ats.map(|at| price(books.of(organization), at).unwrap() / 1_000_000);
    assert_eq!(told(&a), [1, 1, 5, 5, 1, 6, 6, 2]);
    assert_eq!(told(&b), [1, 1, 1, 1, 1, 1, 2, 2]);
    let (other, tier) = (ModelId::new("other").unwrap(), Tier::new("standard").unwrap());
    assert!(books.of(&a).find(&other, &tier, UnixMillis(T.unsigned_abs())).is_some());
}

async fn a_removed_list_holds_no_more(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let list = set(store, new(None, (T, None), "1")).await.unwrap();
    let own = set(store, new(Some("a"), (T, None), "2")).await.unwrap();
    let before = store.price_books(0).await.unwrap().unwrap();
    assert!(is_missing(store.remove_price(&operator("b"), &own.id).await));
    store.remove_price(&operator("a"), &own.id).await.unwrap();
    assert!(is_missing(store.remove_price(&operator("a"), &own.id).await));
    let after = store.price_books(before.revision).await.unwrap().unwrap();
    assert!(after.own.is_empty());
    assert_eq!(price(&after.all, T), Some(1_000_000));
    store.remove_price(&operator("b"), &list.id).await.unwrap();
    let last = store.price_books(after.revision).await.unwrap().unwrap();
    assert_eq!(price(&last.all, T), None);
    set(store, new(None, (T, None), "3")).await.unwrap();
}

async fn lists_are_seen_by_whom_they_are_for(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let one = set(store, new(None, (T, Some(T + 10)), "1")).await.unwrap();
    let two = set(store, new(None, (T + 10, None), "2")).await.unwrap();
    let own = set(store, new(Some("a"), (T + 5, None), "3")).await.unwrap();
    let list = async |organization: &str, filter: &PriceFilter, after: Option<&str>, down| {
        let (allowed, query) = (operator::<may::ReadPrices>(organization), page(after, 2, down));
        let page = store.prices(&allowed, filter, &query).await.unwrap();
        (page.rows, page.has_more)
    };
    let all = PriceFilter::default();
    assert_eq!(list("b", &all, None, false).await, (vec![one.clone(), two.clone()], false));
    assert_eq!(list("a", &all, None, false).await, (vec![one.clone(), own.clone()], true));
    assert_eq!(list("a", &all, Some(&own.id), false).await, (vec![two.clone()], false));
    assert_eq!(list("a", &all, None, true).await, (vec![two.clone(), own.clone()], true));
    let at = PriceFilter { at: Some(T + 10), model: Some("m".to_owned()), ..all.clone() };
    assert_eq!(list("a", &at, None, false).await, (vec![own.clone(), two], false));
    let other = PriceFilter { tier: Some("flex".to_owned()), ..all.clone() };
    assert_eq!(list("a", &other, None, false).await, (vec![], false));
    let of_another = store.prices(&operator("b"), &all, &page(Some(&own.id), 2, false)).await;
    assert!(matches!(of_another, Err(StoreError::NotListed)));
}
