//! What was billed: each request once, in sums that are those of the lines.

mod counted;
mod numbered;
mod prices;
mod prune;
mod restore;
mod usage;

use server_accounts::{Actor, Allowed, Demand, Role, may};
use server_metering::{
    Ending, Endpoint, Entry, KeyId, Meter, ModelId, Opened, OrganizationId, Path, Picos, ProjectId,
    RequestId, Tag, Tier, UnixMillis, Usage,
};
use server_store::{Store, UsageFilter, UsageQuery, UsageTotal};

use crate::{On, Opened as OpenedStore, is_missing};

crate::on_both! {
    a_request_counts_once,
    what_does_not_fit_is_cut_and_keeps_nobody_waiting,
    a_sum_may_be_larger_than_a_cost,
    stores_append_at_once,
    another_organization_sees_nothing,
}

pub(crate) const HOUR: i64 = 3_600_000;
/// 2026-11-15 12:00 UTC.
pub(crate) const NOON: i64 = 1_794_744_000_000;
const ALL_TIME: (i64, i64) = (0, 4_000_000_000_000);

/// Random numbers, the same for the same seed: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

pub(crate) fn path(organization: &str, project: &str, key: &str) -> Path {
    Path {
        organization: OrganizationId::new(organization).unwrap(),
        project: ProjectId::new(project).unwrap(),
        key: KeyId::new(key).unwrap(),
    }
}

pub(crate) fn entry(request: &str, settled_at: i64) -> Entry {
    Entry {
        opened: Opened {
            request: RequestId::new(request).unwrap(),
            path: path("a", "p", "k"),
            model: ModelId::new("m@1").unwrap(),
            tier: Tier::new("standard").unwrap(),
            endpoint: Endpoint::new("/v1/responses").unwrap(),
            tag: None,
            opened_at: UnixMillis((settled_at - 5).unsigned_abs()),
            held: Picos::new(99),
        },
        settled_at: UnixMillis(settled_at.unsigned_abs()),
        usage: Usage::NONE.with(Meter::OutputTokens, 3),
        cost: Picos::new(7),
        ending: Ending::Finished,
    }
}

/// Of two organizations with three projects each, four keys, three models, and two tags or none.
pub(crate) fn random_entry(random: &mut Random, request: u64, (from, to): (i64, i64)) -> Entry {
    let at = from + random.below((to - from).unsigned_abs()).cast_signed();
    let mut entry = entry(&format!("req{request}"), at);
    let opened = &mut entry.opened;
    let project = random.below(3);
    opened.path = path(
        ["a", "b"][random.below(2) as usize],
        &format!("p{project}"),
        &format!("k{project}{}", random.below(4)),
    );
    opened.model = ModelId::new(&format!("m{}", random.below(3))).unwrap();
    opened.tag =
        [None, Some("x"), Some("y")][random.below(3) as usize].map(|tag| Tag::new(tag).unwrap());
    for meter in [Meter::InputTokens, Meter::OutputTokens, Meter::ProvisionedHours] {
        entry.usage = entry.usage.with(meter, random.below(1_000));
    }
    entry.cost = Picos::new(random.below(1 << 40).into());
    entry
}

/// What entries come to.
pub(crate) fn total<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> UsageTotal {
    entries.into_iter().fold(UsageTotal::default(), |sum, entry| UsageTotal {
        num_requests: sum.num_requests + 1,
        usage: sum.usage.checked_add(entry.usage).unwrap(),
        cost: Picos::new(sum.cost.get() + entry.cost.get()),
    })
}

pub(crate) fn operator<P: Demand>(organization: &str) -> Allowed<P> {
    Actor::operator().allow(organization).unwrap()
}

pub(crate) fn time((since, until): (i64, i64)) -> UsageQuery {
    UsageQuery { since, until, filter: UsageFilter::default() }
}

pub(crate) async fn used(store: &Store, organization: &str, range: (i64, i64)) -> UsageTotal {
    store.usage(&operator(organization), &time(range)).await.unwrap()
}

/// Of the sums of hours, and of the lines.
async fn used_in_all(store: &Store) -> [UsageTotal; 2] {
    let short = used(store, "a", (NOON, NOON + HOUR - 1)).await;
    [used(store, "a", ALL_TIME).await, short]
}

async fn a_request_counts_once(on: On) {
    let opened = OpenedStore::new(on).await;
    let store = &opened.store;
    let entries: Vec<_> = (0..100).map(|idx| entry(&format!("r{idx}"), NOON + idx)).collect();
    let twice = [&entries[..3], &entries[..3]].concat();
    assert_eq!(store.append_to_ledger(&twice).await.unwrap(), 3);
    assert_eq!(used_in_all(store).await, [total(&entries[..3]); 2]);
    assert_eq!(store.append_to_ledger(&entries[..3]).await.unwrap(), 0);
    assert_eq!(used_in_all(store).await, [total(&entries[..3]); 2]);
    // Half of it is there.
    assert_eq!(store.append_to_ledger(&entries).await.unwrap(), 97);
    assert_eq!(used_in_all(store).await, [total(&entries); 2]);
    assert_eq!(store.append_to_ledger(&[]).await.unwrap(), 0);
    // What PostgreSQL's texts do not have is written as another character, once.
    let mut odd = [entry("odd\0", NOON), entry("odder", NOON)];
    for (entry, tag) in odd.iter_mut().zip(["x\0", "x\u{fffd}"]) {
        entry.opened.tag = Some(Tag::new(tag).unwrap());
    }
    assert_eq!(store.append_to_ledger(&odd).await.unwrap(), 2);
    assert_eq!(store.append_to_ledger(&odd).await.unwrap(), 0);
    assert_eq!(used_in_all(store).await, [total(entries.iter().chain(&odd)); 2]);
}

async fn what_does_not_fit_is_cut_and_keeps_nobody_waiting(on: On) {
    let opened = OpenedStore::new(on).await;
    let mut entries = [entry("fine", NOON), entry("dear", NOON)];
    entries[1].cost = Picos::new(i128::from(i64::MAX) + 1);
    entries[1].usage = Usage::NONE.with(Meter::Images, u64::MAX);
    assert_eq!(opened.store.append_to_ledger(&entries).await.unwrap(), 2);
    let dear = opened.store.ledger_line(&operator("a"), "dear").await.unwrap();
    assert_eq!(dear.cost, Picos::new(i64::MAX.into()));
    assert_eq!(dear.usage.get(Meter::Images), i64::MAX.unsigned_abs());
    assert!(opened.store.ledger_line(&operator("a"), "fine").await.is_ok());
}

async fn a_sum_may_be_larger_than_a_cost(on: On) {
    let opened = OpenedStore::new(on).await;
    let store = &opened.store;
    for batch in 0..3 {
        let mut entries = ["x", "y"].map(|name| entry(&format!("{name}{batch}"), NOON));
        for entry in &mut entries {
            entry.cost = Picos::new(i64::MAX.into());
            entry.usage = Usage::NONE.with(Meter::Images, i64::MAX.unsigned_abs());
        }
        assert_eq!(store.append_to_ledger(&entries).await.unwrap(), 2);
    }
    let all = used(store, "a", ALL_TIME).await;
    assert_eq!(all.cost.get(), 6 * i128::from(i64::MAX));
    // Units stay at the largest number, and do not stop the ledger.
    assert_eq!(all.usage.get(Meter::Images), i64::MAX.unsigned_abs());
    assert_eq!(all.num_requests, 6);
}

/// Each appends what the others do, too, in another order and in batches of its own.
async fn stores_append_at_once(on: On) {
    let opened = OpenedStore::new(on).await;
    let beside = opened.beside().await;
    let mut random = Random(7);
    let entries: Vec<_> =
        (0..600).map(|idx| random_entry(&mut random, idx, (NOON, NOON + HOUR))).collect();
    let mut tasks = Vec::new();
    for writer in 0..4 {
        let store = [&opened.store, &beside][writer % 2].clone();
        let mut entries = entries.clone();
        entries.rotate_left(writer * 100);
        if writer > 1 {
            entries.reverse();
        }
        tasks.push(tokio::spawn(async move {
            let mut num_new = 0;
            for batch in entries.chunks(30 + writer * 10) {
                num_new += store.append_to_ledger(batch).await.unwrap();
            }
            num_new
        }));
    }
    let mut num_new = 0;
    for task in tasks {
        num_new += task.await.unwrap();
    }
    assert_eq!(num_new, entries.len());
    for organization in ["a", "b"] {
        let of = entries.iter().filter(|it| it.opened.path.organization.as_str() == organization);
        let expected = total(of);
        for range in [ALL_TIME, (NOON, NOON + HOUR - 1), (NOON - 1, NOON + HOUR)] {
            let range_total = used(&beside, organization, range).await;
            let lost = expected.num_requests - range_total.num_requests;
            // One may be settled in the last millisecond.
            assert!(lost <= u64::from(range.1 == NOON + HOUR - 1) * 2, "{range:?}");
        }
        assert_eq!(used(&beside, organization, ALL_TIME).await, expected);
    }
    beside.close().await;
}

async fn another_organization_sees_nothing(on: On) {
    let opened = OpenedStore::new(on).await;
    let store = &opened.store;
    let mut entries = [entry("r1", NOON), entry("r2", NOON + 1)];
    entries[1].opened.path = path("a", "q", "l");
    store.append_to_ledger(&entries).await.unwrap();
    assert_eq!(used(store, "b", ALL_TIME).await, UsageTotal::default());
    assert_eq!(used(store, "b", (NOON, NOON + 9)).await, UsageTotal::default());
    assert!(is_missing(store.ledger_line(&operator("b"), "r1").await));
    let page = crate::page(None, 9, false);
    let lines = store.ledger_lines(&operator("b"), &time(ALL_TIME), &page).await.unwrap();
    assert!(lines.rows.is_empty());
    // Who may read in one project sees that.
    let viewer = Role::find_usual("viewer").unwrap().permissions;
    let none = Role { permissions: Default::default(), ..Role::find_usual("viewer").unwrap() };
    let user = Actor::user("u", "a", none, [("q".to_owned(), viewer)].into());
    let allowed = user.allow::<may::ReadUsage>("a").unwrap();
    let seen = store.usage(&allowed, &time(ALL_TIME)).await.unwrap();
    assert_eq!(seen, total(&entries[1..]));
    assert!(is_missing(store.ledger_line(&allowed, "r1").await));
    assert_eq!(store.ledger_line(&allowed, "r2").await.unwrap().key, "l");
}
