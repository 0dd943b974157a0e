//! Free units and steps of prices, where several servers write one ledger: each unit has one price,
//! whoever brings it, in whatever order and however often.

mod servers;

use std::collections::HashMap;
use std::time::Duration;

use server_accounts::PriceListData;
use server_metering::{
    Entry, Ledger, Meter, ModelId, OrganizationId, Picos, Prices, Tier, UnixMillis, Usage,
};
use server_store::{LedgerLine, NewPrice, PriceBooks, SqlLedger, Store};

use super::{ALL_TIME, HOUR, NOON, Random, entry, operator, path, random_entry, time, used};
use crate::{On, Opened};

crate::on_both! {
    a_unit_has_one_price_whoever_brings_it,
    what_comes_again_moves_nothing,
    a_line_is_priced_by_the_list_of_its_time,
}

const DAY: i64 = 24 * HOUR;
const MONTHLY: &str = r#"{"period":"month","meters":{
    "input_tokens":
        {"free_units":20000,"steps":[{"from":0,"price":"4"},{"from":60000,"price":"1"}]},
    "output_tokens":
        {"price":"3","committed_units":30000,"committed_discount_basis_points":2500}}}"#;
const DAILY: &str = r#"{"period":"day","meters":{"output_tokens":
    {"free_units":5000,"steps":[{"from":0,"price":"9"},{"from":9000,"price":"2"}]}}}"#;
const EVER: &str = r#"{"period":"total","meters":{
    "provisioned_hours":{"free_units":25000,"price":"7"}}}"#;
const FLAT: &str = r#"{"meters":{"output_tokens":{"price":"5"}}}"#;

fn model(name: &str) -> ModelId {
    ModelId::new(name).unwrap()
}

fn standard() -> Tier {
    Tier::new("standard").unwrap()
}

/// A list that holds from a moment on.
async fn set(store: &Store, organization: Option<&str>, model: &str, from: i64, list: &str) {
    let list = PriceListData::parse(list).unwrap();
    let (tier, valid_from, valid_until) = ("standard", from, None);
    let new = NewPrice { organization, model, tier, valid_from, valid_until, list };
    store.set_price(&operator(organization.unwrap_or("a")), &new).await.unwrap();
}

async fn books(store: &Store) -> PriceBooks {
    store.price_books(0).await.unwrap().unwrap()
}

/// What a process charges: the most that it can cost.
fn charged(books: &PriceBooks, line: &Entry) -> Picos {
    let opened = &line.opened;
    let book = books.of(&opened.path.organization);
    let list = book.find(&opened.model, &opened.tier, opened.opened_at);
    list.map_or(Picos::ZERO, |list| list.prices.ceiling(line.usage))
}

/// What lines cost by the units of each list's periods, whatever their order.
fn exact(books: &PriceBooks, lines: &[Entry]) -> i128 {
    let mut used = HashMap::<(OrganizationId, ModelId, u64), (Prices, Usage)>::new();
    for line in lines {
        let opened = &line.opened;
        let organization = opened.path.organization.clone();
        let book = books.of(&organization);
        let Some(list) = book.find(&opened.model, &opened.tier, opened.opened_at) else { continue };
        let number = list.prices.period().number(line.settled_at);
        let prices = Prices::clone(&list.prices);
        let of_period = used.entry((organization, list.model.clone(), number));
        let (_, used) = of_period.or_insert((prices, Usage::NONE));
        *used = used.checked_add(line.usage).unwrap();
    }
    used.into_values().map(|(prices, used)| prices.cost(used, Usage::NONE).get()).sum()
}

async fn lines(store: &Store, organization: &str) -> Vec<LedgerLine> {
    let (mut all, mut after) = (Vec::<LedgerLine>::new(), None);
    loop {
        let page = crate::page(after.as_deref(), 100, false);
        let page =
            store.ledger_lines(&operator(organization), &time(ALL_TIME), &page).await.unwrap();
        all.extend(page.rows);
        match all.last().filter(|_| page.has_more) {
            Some(last) => after = Some(last.request.clone()),
            None => return all,
        }
    }
}

/// Writers with the same lines in different orders and batches, each of which gives some of its
/// batches again, as after a kill: of two months with several days, by lists of all kinds.
async fn a_unit_has_one_price_whoever_brings_it(on: On) {
    let opened = Opened::new(on).await;
    let beside = opened.beside().await;
    // Of three models one is priced by its name, so that versions have one list, and one is free.
    set(&opened.store, None, "m", 0, MONTHLY).await;
    set(&opened.store, None, "m2", 0, FLAT).await;
    set(&opened.store, Some("a"), "m2", 0, DAILY).await;
    set(&opened.store, Some("b"), "m", 0, EVER).await;
    let books = books(&opened.store).await;
    let mut random = Random(11);
    let mut entries = Vec::new();
    for idx in 0..400 {
        let mut line = random_entry(&mut random, idx, (NOON, NOON + 20 * DAY));
        line.opened.model = model(["m@1", "m@2", "m2", "free"][random.below(4) as usize]);
        line.cost = charged(&books, &line);
        entries.push(line);
    }
    let mut tasks = Vec::new();
    for writer in 0..4_usize {
        let store = [&opened.store, &beside][writer % 2].clone();
        let (books, mut entries, mut random) =
            (books.clone(), entries.clone(), Random(writer as u64));
        for idx in (1..entries.len()).rev() {
            entries.swap(idx, random.below(idx as u64 + 1) as usize);
        }
        tasks.push(tokio::spawn(async move {
            let mut num_new = 0;
            for batch in entries.chunks(25 + writer * 10) {
                for _ in 0..=random.below(2) {
                    num_new += store.append_at_prices(batch, &books).await.unwrap();
                }
            }
            num_new
        }));
    }
    let mut num_new = 0;
    for task in tasks {
        num_new += task.await.unwrap();
    }
    assert_eq!(num_new, entries.len());
    let charged: HashMap<_, _> =
        entries.iter().map(|it| (it.opened.request.to_string(), it.cost)).collect();
    for organization in ["a", "b"] {
        let of: Vec<_> = entries
            .iter()
            .filter(|it| it.opened.path.organization.as_str() == organization)
            .cloned()
            .collect();
        let expected = exact(&books, &of);
        let most: i128 = of.iter().map(|it| it.cost.get()).sum();
        assert!(expected * 10 < most * 9, "{organization}: {expected} of {most}");
        assert_eq!(used(&beside, organization, ALL_TIME).await.cost.get(), expected);
        let lines = lines(&opened.store, organization).await;
        assert_eq!(lines.len(), of.len());
        assert_eq!(lines.iter().map(|line| line.cost.get()).sum::<i128>(), expected);
        assert!(lines.iter().all(|line| line.cost <= charged[&line.request]), "{organization}");
    }
    // Limits go on from the same.
    let account = server_metering::AccountId::Organization(OrganizationId::new("a").unwrap());
    let sums = beside.account_sums(&account, UnixMillis(NOON.unsigned_abs())).await.unwrap();
    let total = used(&beside, "a", ALL_TIME).await;
    assert_eq!((sums[2].cost, sums[2].usage), (total.cost, total.usage));
    beside.close().await;
}

fn output(request: &str, settled_at: i64, units: u64, books: &PriceBooks) -> Entry {
    let mut line = entry(request, settled_at);
    line.usage = Usage::NONE.with(Meter::OutputTokens, units);
    line.cost = charged(books, &line);
    line
}

async fn what_comes_again_moves_nothing(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    set(store, None, "m", 0, DAILY).await;
    let books = books(store).await;
    // Now, and of days whose sums for limits are no more.
    let now = super::counted::now();
    for (num, at) in [now, NOON].into_iter().enumerate() {
        let line = |name: &str, units| output(&format!("{name}{num}"), at, units, &books);
        let costs = async |names: &[&str]| {
            let mut costs = Vec::new();
            for name in names {
                let line = store.ledger_line(&operator("a"), &format!("{name}{num}")).await;
                costs.push(line.unwrap().cost.get());
            }
            costs
        };
        let first = [line("one", 4_000), line("two", 3_000), line("one", 4_000)];
        assert_eq!(store.append_at_prices(&first, &books).await.unwrap(), 2);
        let price = i128::from(9_000_000);
        assert_eq!(costs(&["one", "two"]).await, [0, 2_000 * price]);
        for _ in 0..2 {
            assert_eq!(store.append_at_prices(&first, &books).await.unwrap(), 0);
        }
        // Between such that are there, in the order that they come in.
        let more =
            [line("two", 3_000), line("four", 1_000), line("one", 4_000), line("three", 3_000)];
        assert_eq!(store.append_at_prices(&more, &books).await.unwrap(), 2);
        let step = i128::from(2_000_000);
        assert_eq!(costs(&["four", "three"]).await, [1_000 * price, 1_000 * price + 2_000 * step]);
        assert_eq!(costs(&["one", "two"]).await, [0, 2_000 * price]);
        // What was charged is not passed, if the list was another one then; its units count.
        let cheap = Entry { cost: Picos::new(5), ..line("cheap", 1_000) };
        assert_eq!(store.append_at_prices(&[cheap], &books).await.unwrap(), 1);
        assert_eq!(costs(&["cheap"]).await, [5]);
        let id = OrganizationId::new("a").unwrap();
        let sums = store.model_sums(&id, UnixMillis(at.unsigned_abs())).await.unwrap();
        assert_eq!(sums.len(), 1);
        assert_eq!(sums[0].sums[0].usage.get(Meter::OutputTokens), 12_000);
    }
}

/// What feeds the ledger reads the lists itself: also those that ended while a line was on its way.
async fn a_line_is_priced_by_the_list_of_its_time(on: On) {
    let opened = Opened::new(on).await;
    let (store, now) = (&opened.store, super::counted::now());
    let mut ledger = SqlLedger::of_several(store.clone(), tokio::runtime::Handle::current());
    let append = async |ledger: SqlLedger, line: Entry| {
        let append = move || {
            let (mut ledger, id) = (ledger, line.opened.request.to_string());
            ledger.append(&[line]).unwrap();
            (ledger, id)
        };
        let (ledger, id) = tokio::task::spawn_blocking(append).await.unwrap();
        let line = store.ledger_line(&operator("a"), &id).await.unwrap();
        (ledger, line.cost.get())
    };
    let line = |id: &str, opened_at: i64| {
        let mut line = output(id, now, 1_000, &PriceBooks::default());
        line.opened.opened_at = UnixMillis(opened_at.unsigned_abs());
        Entry { cost: Picos::new(99_000_000_000), ..line }
    };
    let mut cost;
    // Nobody knows a price: what was charged stands.
    (ledger, cost) = append(ledger, line("r0", now)).await;
    assert_eq!(cost, 99_000_000_000);
    let free = |units: u64, price: u64| {
        format!(r#"{{"meters":{{"output_tokens":{{"free_units":{units},"price":"{price}"}}}}}}"#)
    };
    set(store, None, "m", 0, &free(1_500, 4)).await;
    (ledger, cost) = append(ledger, line("r1", now - HOUR)).await;
    assert_eq!(cost, 500 * 4_000_000);
    // Ten minutes ago the list became another one. Units go on to count.
    set(store, None, "m", now - HOUR / 6, &free(3_500, 5)).await;
    (ledger, cost) = append(ledger, line("r2", now - HOUR)).await;
    assert_eq!(cost, 1_000 * 4_000_000);
    (_, cost) = append(ledger, line("r3", now)).await;
    assert_eq!(cost, 500 * 5_000_000);
    // Another server begins with what has ended, too: what a killed one left is much older.
    ledger = SqlLedger::of_several(store.clone(), tokio::runtime::Handle::current());
    (ledger, cost) = append(ledger, line("r4", now - 2 * DAY)).await;
    assert_eq!(cost, 1_000 * 4_000_000);
    (ledger, cost) = append(ledger, line("r5", now - 9 * DAY)).await;
    assert_eq!(cost, 1_000 * 4_000_000);
    // An organization's own list holds for it at once.
    set(store, Some("a"), "m@1", now - 1_000, &free(6_200, 6)).await;
    (ledger, cost) = append(ledger, line("r6", now)).await;
    assert_eq!(cost, 800 * 6_000_000);
    // Removed, nothing says what it cost but what was charged.
    for list in store
        .prices(&operator("a"), &Default::default(), &crate::page(None, 9, false))
        .await
        .unwrap()
        .rows
    {
        store.remove_price(&operator("a"), &list.id).await.unwrap();
    }
    (_, cost) = append(ledger, line("r7", now)).await;
    assert_eq!(cost, 99_000_000_000);
}
