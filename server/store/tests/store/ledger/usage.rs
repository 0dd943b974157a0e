//! Usage over time, by groups, and the lines themselves.

use std::collections::BTreeMap;

use server_metering::{Entry, Picos};
use server_store::{
    BucketQuery, BucketWidth, GroupBy, Store, StoreError, UsageFilter, UsageGroup, UsageQuery,
    UsageTotal,
};

use super::{HOUR, NOON, Random, entry, operator, path, random_entry, time, total, used};
use crate::{On, Opened, page};

crate::on_both! {
    any_time_is_exact,
    buckets_are_those_of_the_lines,
    a_bucket_begins_and_ends_at_an_edge,
    usage_is_filtered,
    usage_is_of_users,
    lines_are_listed_by_when_they_ended,
    absurd_questions_are_refused,
}

const TIME: (i64, i64) = (NOON, NOON + 60 * HOUR);
const GROUP_BY: [GroupBy; 6] = [
    GroupBy::Project,
    GroupBy::Key,
    GroupBy::Model,
    GroupBy::Endpoint,
    GroupBy::Tag,
    GroupBy::Tier,
];

/// With 500 requests in sixty hours, of which some come twice.
async fn filled(store: &Store) -> Vec<Entry> {
    let mut random = Random(23);
    let entries: Vec<_> = (0..500).map(|idx| random_entry(&mut random, idx, TIME)).collect();
    let mut at = 0;
    while at < entries.len() {
        let end = (at + 1 + random.below(80) as usize).min(entries.len());
        let again = at.saturating_sub(random.below(20) as usize);
        assert_eq!(store.append_to_ledger(&entries[again..end]).await.unwrap(), end - at);
        at = end;
    }
    entries.into_iter().filter(|it| it.opened.path.organization.as_str() == "a").collect()
}

fn is_in(entry: &Entry, (since, until): (i64, i64)) -> bool {
    (since..until).contains(&entry.settled_at.0.cast_signed())
}

async fn any_time_is_exact(on: On) {
    let opened = Opened::new(on).await;
    let entries = filled(&opened.store).await;
    let mut random = Random(5);
    let mut ranges = vec![TIME, (NOON, NOON + HOUR), (NOON + 1, NOON + HOUR), (0, TIME.1 * 2)];
    for _ in 0..40 {
        let since = TIME.0 + random.below(50 * HOUR as u64).cast_signed();
        ranges.push((since, since + 1 + random.below(9 * HOUR as u64).cast_signed()));
    }
    for range in ranges {
        let expected = total(entries.iter().filter(|it| is_in(it, range)));
        assert_eq!(used(&opened.store, "a", range).await, expected, "{range:?}");
    }
}

fn groups(entries: &[Entry], range: (i64, i64)) -> Vec<UsageGroup> {
    let mut groups = BTreeMap::<_, Vec<&Entry>>::new();
    for entry in entries.iter().filter(|it| is_in(it, range)) {
        let opened = &entry.opened;
        let tag = opened.tag.as_ref().map(|it| it.as_str());
        let (project, key) = (opened.path.project.as_str(), opened.path.key.as_str());
        groups.entry((project, key, opened.model.as_str(), tag)).or_default().push(entry);
    }
    let group = |((project, key, model, tag), entries): ((&str, &str, &str, Option<&str>), _)| {
        let entries: Vec<&Entry> = entries;
        UsageGroup {
            project: Some(project.to_owned()),
            key: Some(key.to_owned()),
            model: Some(model.to_owned()),
            endpoint: Some("/v1/responses".to_owned()),
            tag: tag.map(str::to_owned),
            tier: Some("standard".to_owned()),
            user: None,
            total: total(entries),
        }
    };
    groups.into_iter().map(group).collect()
}

async fn buckets_are_those_of_the_lines(on: On) {
    let opened = Opened::new(on).await;
    let entries = filled(&opened.store).await;
    let minute = (NOON + 90_000, NOON + 3 * HOUR);
    let odd = (NOON + 1234, NOON + 50 * HOUR + 77);
    for (width, range) in
        [(BucketWidth::Hour, odd), (BucketWidth::Day, odd), (BucketWidth::Minute, minute)]
    {
        let mut query = BucketQuery {
            usage: time(range),
            width,
            group_by: GROUP_BY.to_vec(),
            limit: 17,
            after: None,
        };
        let (mut at, mut has_more) = (range.0, true);
        while has_more {
            let got = opened.store.usage_buckets(&operator("a"), &query).await.unwrap();
            for bucket in got.rows {
                assert_eq!(bucket.start, at);
                let expected = groups(&entries, (bucket.start, bucket.end));
                assert_eq!(bucket.groups, expected, "{width:?} {at}");
                at = bucket.end;
            }
            (has_more, query.after) = (got.has_more, Some(at));
        }
        assert_eq!(at, range.1);
    }
}

async fn a_bucket_begins_and_ends_at_an_edge(on: On) {
    let opened = Opened::new(on).await;
    let ats = [NOON - 1, NOON, NOON + HOUR - 1, NOON + HOUR, NOON + HOUR + 30_000];
    let entries: Vec<_> =
        ats.iter().enumerate().map(|(idx, at)| entry(&format!("r{idx}"), *at)).collect();
    opened.store.append_to_ledger(&entries).await.unwrap();
    let query = |since, until, width| BucketQuery {
        usage: time((since, until)),
        width,
        group_by: Vec::new(),
        limit: 100,
        after: None,
    };
    let told = async |query| {
        let page = opened.store.usage_buckets(&operator("a"), &query).await.unwrap();
        assert!(!page.has_more);
        let num = |groups: &[UsageGroup]| groups.iter().map(|it| it.total.num_requests).sum();
        let told = page.rows.iter().map(|it| (it.start - NOON, it.end - NOON, num(&it.groups)));
        told.collect::<Vec<(i64, i64, u64)>>()
    };
    let hours = told(query(NOON - HOUR, NOON + 2 * HOUR, BucketWidth::Hour)).await;
    assert_eq!(hours, [(-HOUR, 0, 1), (0, HOUR, 2), (HOUR, 2 * HOUR, 2)]);
    // A time that begins and ends within an hour.
    let hours = told(query(NOON + 1, NOON + HOUR + 1, BucketWidth::Hour)).await;
    assert_eq!(hours, [(1, HOUR, 1), (HOUR, HOUR + 1, 1)]);
    let days = told(query(NOON - 1, NOON + 13 * HOUR, BucketWidth::Day)).await;
    assert_eq!(days, [(-1, 12 * HOUR, 5), (12 * HOUR, 13 * HOUR, 0)]);
    let minutes = told(query(NOON + HOUR - 60_000, NOON + HOUR + 60_000, BucketWidth::Minute));
    assert_eq!(minutes.await, [(HOUR - 60_000, HOUR, 1), (HOUR, HOUR + 60_000, 2)]);
}

async fn usage_is_filtered(on: On) {
    let opened = Opened::new(on).await;
    let entries = filled(&opened.store).await;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let filter = UsageFilter {
        projects: texts(&["p0", "p2", "none"]),
        keys: texts(&["k00", "k21", "k23", "k10"]),
        models: texts(&["m1", "m2"]),
        endpoints: texts(&["/v1/responses"]),
        tags: texts(&["x", ""]),
        tiers: texts(&["standard"]),
        users: Vec::new(),
    };
    let is_wanted = |entry: &&Entry| {
        let (path, tag) = (&entry.opened.path, entry.opened.tag.as_ref());
        ["k00", "k21", "k23"].contains(&path.key.as_str())
            && entry.opened.model.as_str() != "m0"
            && tag.is_none_or(|tag| tag.as_str() == "x")
    };
    let query = |filter| UsageQuery { since: TIME.0 + 7, until: TIME.1, filter };
    let got = opened.store.usage(&operator("a"), &query(filter.clone())).await.unwrap();
    let expected = total(entries.iter().filter(is_wanted));
    assert_eq!(got, expected);
    assert!(got.num_requests > 5);
    let none = UsageFilter { tiers: texts(&["' OR 1 = 1 --"]), ..filter };
    let got = opened.store.usage(&operator("a"), &query(none)).await.unwrap();
    assert_eq!(got, UsageTotal::default());
}

const KEYS: &str = "INSERT INTO organizations (id, name, created_at, revision)
    VALUES ('a', '', 1, 1), ('b', '', 1, 1);
    INSERT INTO keys (organization_id, project_id, id, name, kind, owner, role, created_at,
    revision) VALUES ('a', 'p', 'k1', '', 'project', 'user:u1', '', 1, 1),
    ('a', 'p', 'k2', '', 'project', 'user:u1', '', 1, 1),
    ('b', 'p', 'k3', '', 'project', 'user:u1', '', 1, 1),
    ('a', 'p', 'k4', '', 'project', 'service_account:s', '', 1, 1)";

async fn usage_is_of_users(on: On) {
    let opened = Opened::new(on).await;
    opened.run(KEYS).await;
    let keys = ["k1", "k2", "k3", "k4", "unknown"];
    let entries: Vec<_> = keys
        .iter()
        .map(|key| {
            let mut entry = entry(key, NOON);
            entry.opened.path = path("a", "p", key);
            entry
        })
        .collect();
    opened.store.append_to_ledger(&entries).await.unwrap();
    let mut usage = time((NOON, NOON + HOUR));
    let query = BucketQuery {
        usage: usage.clone(),
        width: BucketWidth::Hour,
        group_by: vec![GroupBy::User],
        limit: 1,
        after: None,
    };
    let mut page = opened.store.usage_buckets(&operator("a"), &query).await.unwrap();
    let groups = page.rows.remove(0).groups;
    let told = groups.iter().map(|it| (it.user.as_deref(), it.total.num_requests));
    assert_eq!(told.collect::<Vec<_>>(), [(None, 3), (Some("u1"), 2)]);
    usage.filter.users = vec!["u1".to_owned()];
    let got = opened.store.usage(&operator("a"), &usage).await.unwrap();
    assert_eq!(got, total(&entries[..2]));
}

async fn lines_are_listed_by_when_they_ended(on: On) {
    let opened = Opened::new(on).await;
    let mut entries = filled(&opened.store).await;
    entries.sort_by_key(|it| (it.settled_at, it.opened.request.as_str().to_owned()));
    let expected: Vec<_> = entries.iter().map(|it| it.opened.request.as_str()).collect();
    for descending in [false, true] {
        let (mut got, mut after, mut has_more) = (Vec::new(), None::<String>, true);
        while has_more {
            let query = page(after.as_deref(), 37, descending);
            let lines =
                opened.store.ledger_lines(&operator("a"), &time(TIME), &query).await.unwrap();
            has_more = lines.has_more;
            got.extend(lines.rows.into_iter().map(|line| line.request));
            after = got.last().cloned();
        }
        if descending {
            got.reverse();
        }
        assert_eq!(got, expected);
    }
    let line = opened.store.ledger_line(&operator("a"), expected[0]).await.unwrap();
    assert_eq!((line.usage, line.cost), (entries[0].usage, entries[0].cost));
    assert_eq!((line.settled_at - line.opened_at, &*line.ending), (5, "finished"));
    assert_eq!(line.tag.as_deref(), entries[0].opened.tag.as_ref().map(|it| it.as_str()));
    let query = page(Some("none"), 37, false);
    let lines = opened.store.ledger_lines(&operator("a"), &time(TIME), &query).await;
    assert!(matches!(lines, Err(StoreError::NotListed)));
}

async fn absurd_questions_are_refused(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    for range in [(5, 5), (6, 5), (-1, 5), (0, i64::MAX), (i64::MIN, i64::MAX)] {
        let refused = store.usage(&operator("a"), &time(range)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Billing(_)), "{range:?}");
        let lines = store.ledger_lines(&operator("a"), &time(range), &page(None, 1, false)).await;
        assert!(lines.is_err(), "{range:?}");
    }
    let mut query = BucketQuery {
        usage: time((0, NOON)),
        width: BucketWidth::Minute,
        group_by: Vec::new(),
        limit: 2_001,
        after: None,
    };
    let refused = store.usage_buckets(&operator("a"), &query).await.unwrap_err();
    assert!(refused.to_string().contains("2000 at most"), "{refused}");
    query.limit = 2_000;
    let got = store.usage_buckets(&operator("a"), &query).await.unwrap();
    assert_eq!((got.rows.len(), got.has_more), (2_000, true));
    query.usage.filter.keys = vec!["k".to_owned(); 201];
    assert!(store.usage_buckets(&operator("a"), &query).await.is_err());
    let none = store.usage(&operator("a"), &time((0, NOON))).await.unwrap();
    assert_eq!(none.cost, Picos::ZERO);
}
