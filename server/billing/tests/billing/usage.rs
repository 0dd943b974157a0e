//! Usage: each hour once, and all that was reported is the ledger's total rounded once.

use proptest::prelude::*;
use server_billing::ReportedUsage;

use crate::stand_in::Fault::{LostAnswer, Status};
use crate::world::{DAY, HOUR, World};

impl World {
    async fn report(&self) -> ReportedUsage {
        self.billing.report_usage(self.now).await.unwrap()
    }

    fn total_used(&self) -> i64 {
        self.stripe.books(|books| books.total_used())
    }

    /// What Stripe has, what is marked, and the ledger rounded once.
    fn assert_exact(&self) {
        for metered in self.memory.all_metered() {
            let exact = self.memory.exact(&metered);
            let rounded = server_metering::Picos::new(exact).round_up().unwrap();
            assert_eq!(metered.reported, rounded);
            assert_eq!(self.total_used(), rounded.get());
        }
    }
}

#[tokio::test]
async fn an_hour_is_reported_when_it_is_over_and_settled() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    world.memory.settle(&world.org, world.now, 3_000_000);
    world.wait(HOUR + 59);
    assert_eq!(world.report().await, ReportedUsage::default());
    world.wait(1);
    assert_eq!(world.report().await, ReportedUsage { num_hours: 1, total: 3, num_failed: 0 });
    assert_eq!(world.report().await, ReportedUsage::default());
    world.assert_exact();
}

#[tokio::test]
async fn a_crash_between_report_and_mark_reports_the_same_again() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    world.memory.settle(&world.org, world.now, 3_000_001);
    world.wait(2 * HOUR + 60);
    world.memory.crash_before_marks(1);
    assert_eq!(world.report().await.num_failed, 1);
    assert_eq!(world.total_used(), 4);
    // More of the same hour is settled before the successor looks.
    world.memory.settle(&world.org, world.now.minus(2 * HOUR), 5_000_000);
    world.memory.settle(&world.org, world.now.minus(HOUR), 1_000_000);
    world.restart();
    let done = world.report().await;
    assert_eq!((done.num_hours, done.num_failed), (2, 0));
    world.assert_exact();
    assert_eq!(world.stripe.books(|books| books.used.len()), 2);
}

#[tokio::test]
async fn a_crash_of_yesterday_is_looked_up_before_it_is_reported_again() {
    for is_taken in [true, false] {
        let mut world = World::new().await;
        world.subscribe("pro").await;
        world.memory.settle(&world.org, world.now, 3_000_000);
        world.wait(2 * HOUR);
        if is_taken {
            world.memory.crash_before_marks(1);
        } else {
            world.stripe.fail(&[Status(500); 4]);
        }
        assert_eq!(world.report().await.num_failed, 1);
        // Stripe knows neither the key nor the identifier any more.
        world.wait(3 * DAY);
        world.stripe.books(|books| books.forget_keys());
        world.restart();
        assert_eq!(world.report().await.num_hours, 1);
        assert_eq!(world.stripe.books(|books| books.used.len()), 1);
        world.assert_exact();
    }
}

#[tokio::test]
async fn a_lost_answer_is_not_a_second_report() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    world.memory.settle(&world.org, world.now, 3_000_000);
    world.wait(2 * HOUR);
    world.stripe.fail(&[LostAnswer, Status(429)]);
    assert_eq!(world.report().await.num_failed, 0);
    world.assert_exact();
    // All tries of a go are lost, and its successor's keys are others.
    world.memory.settle(&world.org, world.now, 3_000_000);
    world.wait(2 * HOUR);
    world.stripe.fail(&[LostAnswer, Status(500), Status(500), Status(500)]);
    assert_eq!(world.report().await.num_failed, 1);
    world.restart();
    assert_eq!(world.report().await, ReportedUsage { num_hours: 1, total: 3, num_failed: 0 });
    world.assert_exact();
}

#[tokio::test]
async fn two_servers_at_once_report_each_hour_once() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    for hour in 0..20 {
        world.memory.settle(&world.org, world.now.plus(hour * HOUR), 1_500_000);
    }
    world.wait(21 * HOUR);
    let mut other = World { memory: world.memory.clone(), ..World::new().await };
    other.stripe = world.stripe.clone();
    other.restart();
    let (one, two) = tokio::join!(world.report(), other.billing.report_usage(world.now));
    assert_eq!((one.num_failed, two.unwrap().num_failed), (0, 0));
    world.report().await;
    assert_eq!(world.stripe.books(|books| books.used.len()), 20);
    world.assert_exact();
}

#[tokio::test]
async fn what_two_subscriptions_share_is_reported_once_and_the_gap_between_two_is_not() {
    let mut world = World::new().await;
    let first = world.subscribe("pro").await;
    let customer = world.state().await.customer().unwrap().to_string();
    let at = |world: &World, picos| world.memory.settle(&world.org, world.now, picos);
    world.wait(60);
    // An operator's mistake: both are paid for.
    let second = world.stripe.books(|books| books.subscribe(&customer, &["price_pro"]));
    world.deliver().await;
    at(&world, 1_000_000);
    world.wait(60);
    world.stripe.books(|books| books.end(&second));
    world.wait(60);
    world.stripe.books(|books| books.end(&first));
    world.deliver().await;
    world.wait(60);
    at(&world, 10_000_000);
    world.wait(60);
    world.stripe.books(|books| books.subscribe(&customer, &["price_pro"]));
    world.deliver().await;
    at(&world, 100_000_000);
    world.wait(2 * HOUR);
    assert_eq!(world.report().await, ReportedUsage { num_hours: 1, total: 101, num_failed: 0 });
    world.assert_exact();
}

#[tokio::test]
async fn one_organization_s_failure_does_not_hold_up_others() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    let first = world.org.clone();
    world.org = server_metering::OrganizationId::new("org_2").unwrap();
    world.subscribe("pro").await;
    for org in [&first, &world.org] {
        world.memory.settle(org, world.now, 1_000_000);
    }
    world.wait(2 * HOUR);
    world.stripe.fail(&[Status(400)]);
    assert_eq!(world.report().await, ReportedUsage { num_hours: 1, total: 1, num_failed: 1 });
    assert_eq!(world.report().await, ReportedUsage { num_hours: 1, total: 1, num_failed: 0 });
}

#[tokio::test]
async fn more_than_can_be_billed_is_an_error_and_what_is_taken_back_is_made_up_for() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    world.memory.settle(&world.org, world.now, 9_000_000);
    world.wait(2 * HOUR);
    assert_eq!(world.report().await.total, 9);
    world.memory.settle(&world.org, world.now, -4_000_000);
    world.wait(2 * HOUR);
    assert_eq!(world.report().await.total, 0, "Stripe is told of nothing less than nothing");
    world.memory.settle(&world.org, world.now, 5_000_000);
    world.wait(2 * HOUR);
    assert_eq!(world.report().await.total, 1);
    world.assert_exact();
    world.memory.settle(&world.org, world.now, i128::MAX / 2);
    world.wait(2 * HOUR);
    assert_eq!(world.report().await.num_failed, 1);
}

/// Hours after the last, the part of an hour, and pico-units; and whether a go crashes.
type Step = (u64, u64, i128, bool);

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn what_is_reported_is_the_ledger_rounded_once(
        steps in prop::collection::vec((0..3u64, 0..HOUR, 1..5_000_000i128, any::<bool>()), 1..12),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(run(&steps));
    }
}

async fn run(steps: &[Step]) {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    for &(hours, within, picos, is_crash) in steps {
        world.wait(hours * HOUR);
        // Up to an hour late: its hour may have been reported.
        let at = world.now.minus(within).max(world.memory.all_metered()[0].spans[0].from);
        world.memory.settle(&world.org, at, picos);
        world.memory.crash_before_marks(usize::from(is_crash));
        world.report().await;
        world.restart();
    }
    // What was settled late is in the next hour's report.
    world.memory.crash_before_marks(0);
    world.memory.settle(&world.org, world.now, 1);
    world.wait(2 * HOUR);
    assert_eq!(world.report().await.num_failed, 0);
    world.assert_exact();
}
