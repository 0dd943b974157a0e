//! Limits that processes have in common: together they use what is there and never more, and what
//! one does not use another gets.

use server_metering::{
    AccountId, LeaseAsk, LeaseAsks, LeaseOf, Level, Meter, OrganizationId, Period, RateAsk,
    RateKind, UnixMillis,
};
use server_store::Store;

use crate::ledger::{NOON, entry, path};
use crate::{On, Opened};

crate::on_both! {
    no_more_is_lent_than_there_is,
    what_the_ledger_has_is_not_lent_again,
    a_rate_is_one_bucket_for_all,
    processes_that_are_no_more_run_nothing,
}

const NOW: UnixMillis = UnixMillis(NOON.unsigned_abs());

fn organization() -> OrganizationId {
    OrganizationId::new("a").unwrap()
}

fn of_key() -> AccountId {
    path("a", "p", "k").account(Level::Key)
}

fn ask(account: &AccountId, of: LeaseOf, limit: i128, reserved: i128, need: i128) -> LeaseAsk {
    let number = of.period().map_or(0, |period| period.number(NOW));
    LeaseAsk { account: account.clone(), of, number, limit, reserved, need }
}

/// How much more a process gets, what the ledger has, and what others have reserved.
async fn lend(store: &Store, process: i64, ask: LeaseAsk) -> (i128, i128, i128) {
    let asks = LeaseAsks { leases: vec![ask], ..LeaseAsks::default() };
    let grants = store.lend(process, &organization(), &asks, NOW).await.unwrap();
    let grant = grants.leases[0];
    (grant.more, grant.used, grant.elsewhere)
}

async fn give_back(store: &Store, process: i64, leases: Vec<LeaseAsk>, rates: Vec<RateAsk>) {
    let asks = LeaseAsks { leases, rates };
    store.give_back(process, &[(organization(), asks)]).await.unwrap();
}

async fn no_more_is_lent_than_there_is(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let money = LeaseOf::Money(Period::Month);
    // Four processes ask in turns until nothing is left.
    let mut reserved = [0_i128; 4];
    for turn in 0..4_000 {
        let process = turn % 4;
        let wanted = ask(&of_key(), money, 10_000, reserved[process], 10);
        let (more, used, elsewhere) = lend(store, process as i64 + 1, wanted).await;
        assert_eq!(used, 0);
        assert_eq!(elsewhere, reserved.iter().sum::<i128>() - reserved[process]);
        reserved[process] += more;
        if more == 0 {
            break;
        }
    }
    assert_eq!(reserved.iter().sum::<i128>(), 10_000);
    assert!(reserved.iter().all(|it| *it > 2_000), "{reserved:?}");
    // Another account, period or kind is another limit.
    let organization = path("a", "p", "k").account(Level::Organization);
    assert_eq!(lend(store, 1, ask(&organization, money, 5, 0, 5)).await, (5, 0, 0));
    let day = LeaseOf::Money(Period::Day);
    assert_eq!(lend(store, 1, ask(&of_key(), day, 7, 0, 9)).await, (7, 0, 0));
    // A number that is not of now is of a day that is over.
    let late = LeaseAsk { number: 3, ..ask(&of_key(), day, 7, 7, 9) };
    assert_eq!(lend(store, 1, late).await.0, 0);
    // What one gives back, another gets; and what was one's that is forgotten.
    let kept = ask(&of_key(), money, 0, reserved[0] - 500, 0);
    give_back(store, 1, vec![kept], Vec::new()).await;
    let wanted = |more| ask(&of_key(), money, 10_000, reserved[1], more);
    assert_eq!(lend(store, 2, wanted(600)).await.0, 500);
    assert!(store.forget_leases(3).await.unwrap() > 0);
    let (more, _, elsewhere) = lend(store, 2, wanted(reserved[2] + 500)).await;
    assert_eq!((more, elsewhere), (reserved[2] + 500, reserved[0] - 500 + reserved[3]));
    // A limit that was lowered lends nothing.
    let lowered = ask(&of_key(), money, 9_000, reserved[0] - 500, 1);
    assert_eq!(lend(store, 1, lowered).await.0, 0);
    // What is given back wholly is no row any more.
    give_back(store, 4, vec![ask(&of_key(), money, 0, 0, 0)], Vec::new()).await;
    assert_eq!(opened.count("SELECT COUNT(*) FROM leases WHERE process = 4").await, 0);
}

async fn what_the_ledger_has_is_not_lent_again(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let entries: Vec<_> = (0..10).map(|n| entry(&format!("r{n}"), NOON + n)).collect();
    store.append_to_ledger(&entries).await.unwrap();
    // Each costs 7, and has 3 tokens of output.
    let levels = Level::ALL.map(|level| path("a", "p", "k").account(level));
    for account in &levels {
        for period in Period::ALL {
            let money = ask(account, LeaseOf::Money(period), 100, 0, 100);
            assert_eq!(lend(store, 1, money).await, (30, 70, 0));
            let units = LeaseOf::Units(Meter::OutputTokens, period);
            assert_eq!(lend(store, 1, ask(account, units, 31, 0, 100)).await, (1, 30, 0));
            let others = LeaseOf::Units(Meter::Images, period);
            assert_eq!(lend(store, 1, ask(account, others, 31, 0, 31)).await, (31, 0, 0));
        }
    }
    let sums = store.account_sums(&levels[2], NOW).await.unwrap();
    assert!(sums.iter().all(|sum| sum.cost.get() == 70), "{sums:?}");
    let other = path("a", "p", "other").account(Level::Key);
    assert_eq!(lend(store, 1, ask(&other, LeaseOf::Money(Period::Day), 9, 0, 9)).await, (9, 0, 0));
    // The next day has nothing of it, and the month has. What a process reserved the day before may
    // be settled in this one, until it says how much of it is.
    let tomorrow = UnixMillis(NOW.0 + 86_400_000);
    let of = LeaseOf::Money(Period::Day);
    let number = Period::Day.number(tomorrow);
    let wanted = |reserved| LeaseAsk { number, ..ask(&levels[0], of, 100, reserved, 100) };
    let lent = async |process, reserved| {
        let asks = LeaseAsks { leases: vec![wanted(reserved)], ..LeaseAsks::default() };
        let grants = store.lend(process, &organization(), &asks, tomorrow).await.unwrap();
        (grants.leases[0].more, grants.leases[0].used, grants.leases[0].elsewhere)
    };
    assert_eq!(lent(2, 0).await, (70, 0, 30));
    let told = LeaseAsk { need: 0, reserved: 9, ..wanted(0) };
    give_back(store, 1, vec![told, ask(&levels[0], of, 0, 0, 0)], Vec::new()).await;
    assert_eq!(lent(2, 70).await, (21, 0, 9));
    let sums = store.account_sums(&levels[2], tomorrow).await.unwrap();
    assert_eq!(sums.map(|sum| sum.cost.get()), [0, 70, 70]);
}

async fn a_rate_is_one_bucket_for_all(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let rate = |back, need| {
        let kind = RateKind::OutputTokens;
        RateAsk { account: of_key(), kind, limit: 600, back, need }
    };
    let take = async |process, back, need, after: u64| {
        let asks = LeaseAsks { rates: vec![rate(back, need)], ..LeaseAsks::default() };
        let now = UnixMillis(NOW.0 + after);
        store.lend(process, &organization(), &asks, now).await.unwrap().rates[0]
    };
    let mut taken = 0;
    for turn in 0..200 {
        taken += take(turn % 3, 0, 5, 0).await.more;
    }
    assert!((596..=600).contains(&taken), "{taken}");
    let short = take(1, 0, 5, 0).await;
    assert_eq!((short.more, short.left), (0, 600 - taken.cast_signed()));
    // Ten a second.
    let later = take(2, 0, 5, 1_000).await;
    assert!((5..=10).contains(&later.more), "{later:?}");
    give_back(store, 1, Vec::new(), vec![rate(100, 0)]).await;
    assert!(take(2, 0, 90, 1_000).await.more >= 90);
    // What was delivered beyond what was taken is waited for.
    give_back(store, 1, Vec::new(), vec![rate(-700, 0)]).await;
    assert_eq!(take(2, 0, 1, 60_000).await.more, 0);
    assert!(take(2, 0, 1, 121_000).await.more >= 1);
}

async fn processes_that_are_no_more_run_nothing(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let other = opened.beside().await;
    let at_once = |reserved, need| ask(&of_key(), LeaseOf::Concurrency, 3, reserved, need);
    assert_eq!(lend(store, other.process(), at_once(0, 2)).await, (2, 0, 0));
    let money = ask(&of_key(), LeaseOf::Money(Period::Total), 100, 0, 60);
    let (lent, ..) = lend(store, other.process(), money).await;
    // It lives.
    assert_eq!(store.reclaim_leases().await.unwrap(), 0);
    if on == On::Sqlite {
        return;
    }
    assert_eq!(lend(store, store.process(), at_once(0, 3)).await, (1, 0, 2));
    let dead = other.process();
    other.close().await;
    assert_eq!(store.reclaim_leases().await.unwrap(), 1);
    assert_eq!(lend(store, store.process(), at_once(1, 2)).await, (2, 0, 0));
    // What it may have used stays reserved until its journal is read, or for a week.
    let money = |need| ask(&of_key(), LeaseOf::Money(Period::Total), 100, 0, need);
    assert_eq!(lend(store, store.process(), money(100)).await, (100 - lent, 0, lent));
    opened.run("UPDATE leases SET touched_at = 5 WHERE what = 'money'").await;
    assert_eq!(store.reclaim_leases().await.unwrap(), 1);
    assert_eq!(store.forget_leases(dead).await.unwrap(), 0);
    let (_, _, elsewhere) = lend(store, store.process(), money(1)).await;
    assert_eq!(elsewhere, 0);
}
