//! The life of a subscription, from a checkout to a key that is refused and let in again.

use serde_json::Value;
use server_accounts::{KeyError, LimitsData};
use server_billing::ReportedUsage;

use crate::On;
use crate::stand_in::Fault;
use crate::world::{DAY, HOUR, ORG, World, may};

crate::on_both! {
    from_a_checkout_to_free_again,
    a_server_that_is_killed_after_a_report_does_not_report_twice,
    who_does_not_pay_is_refused_and_who_has_paid_is_let_in,
    what_webhooks_missed_is_asked_for,
}

/// Requests a minute, and the plan that the route tells.
async fn plan(world: &World) -> (Option<u64>, String) {
    let told = world.billing().await["plan"]["id"].as_str().unwrap().to_owned();
    (world.limits().await.requests_per_minute, told)
}

async fn from_a_checkout_to_free_again(on: On) {
    let world = World::new(on).await;
    let own = LimitsData { requests_per_minute: Some(7), ..LimitsData::default() };
    world.store.set_organization_limits(&may(), &own).await.unwrap();
    assert_eq!(plan(&world).await, (Some(7), "free".to_owned()), "an operator has said that");
    let subscription = world.buy().await;
    assert_eq!(plan(&world).await, (Some(7), "free".to_owned()), "nothing was paid yet");

    // Webhooks come out of order, and each twice.
    let mut webhooks = world.stripe.books(|books| books.webhooks());
    webhooks.reverse();
    let twice: Vec<_> = webhooks.iter().flat_map(|webhook| [webhook, webhook]).collect();
    for (body, signature) in &twice {
        assert_eq!(world.webhook(body, signature).await.ok()["received"], true);
    }
    assert_eq!(plan(&world).await, (Some(600), "pro".to_owned()));
    assert_eq!(world.limits().await.input_tokens_per_minute, Some(2_000_000));
    assert!(world.limits().await.budgets.is_empty(), "Pro has none");
    let revision = world.store.revision().await.unwrap();
    for (body, signature) in twice.into_iter().rev() {
        world.webhook(body, signature).await.ok();
    }
    assert_eq!(world.store.revision().await.unwrap(), revision, "they tell nothing new");

    let told = world.billing().await;
    assert_eq!(told["subscription"]["id"], subscription);
    assert_eq!(told["subscription"]["status"], "active");
    let end = told["subscription"]["current_period_end"].as_u64();
    assert_eq!(end, Some(world.now.0 + 30 * DAY));
    let invoice = &told["invoices"][0];
    assert_eq!((invoice["status"].as_str(), invoice["total"].as_i64()), (Some("paid"), Some(2380)));
    assert_eq!((invoice["tax"].as_i64(), told["invoices"][1].is_null()), (Some(380), true));

    world.stripe.books(|books| _ = books.end(&subscription));
    world.deliver().await;
    assert_eq!(plan(&world).await, (Some(20), "free".to_owned()));
    assert_eq!(world.limits().await.budgets[0].amount, "5.00");
    let log = world.store.audit_log(&may(), &Default::default(), &all()).await.unwrap().rows;
    let by_billing: Vec<_> = log.iter().filter(|line| line.actor == "billing").collect();
    assert_eq!(by_billing.len(), 2);
    assert_eq!(world.store.verify_audit(&may()).await.unwrap(), log.len() as u64);
}

pub(crate) fn all() -> server_store::PageQuery {
    server_store::PageQuery { after: None, limit: 100, descending: false }
}

async fn a_server_that_is_killed_after_a_report_does_not_report_twice(on: On) {
    let mut world = World::new(on).await;
    world.buy().await;
    world.deliver().await;
    world.settle(world.now, 1_234_566_000_001).await;
    world.settle(world.now.plus(HOUR), 1_999_999).await;
    world.wait(3 * HOUR);
    let reported = |world: &World| world.stripe.books(|books| books.used.len());
    // Stripe has it, and its answer never comes.
    world.stripe.fail(&[Fault::LateAnswer]);
    {
        let go = world.subscriptions.billing().report_usage(world.now);
        let is_there = async {
            while reported(&world) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            done = go => panic!("{done:?}"),
            () = is_there => {}
        }
    }
    world.restart();
    let done = world.subscriptions.billing().report_usage(world.now).await.unwrap();
    assert_eq!((done.num_hours, done.total, done.num_failed), (2, 1_234_568, 0));
    assert_eq!(reported(&world), 2);
    assert_eq!(world.stripe.books(|books| books.total_used()), 1_234_568, "rounded once");
    let done = world.subscriptions.billing().report_usage(world.now).await.unwrap();
    assert_eq!(done, ReportedUsage::default());
    // What is settled late, in an hour that was reported, is in the next one's report.
    world.settle(world.now.minus(3 * HOUR - 20), 3_000_000).await;
    world.settle(world.now, 1_000_000).await;
    world.wait(2 * HOUR);
    let done = world.subscriptions.billing().report_usage(world.now).await.unwrap();
    assert_eq!((done.num_hours, done.total), (1, 4));
}

async fn who_does_not_pay_is_refused_and_who_has_paid_is_let_in(on: On) {
    let mut world = World::new(on).await;
    let subscription = world.buy().await;
    world.deliver().await;
    world.wait(30 * DAY);
    let invoice = world.stripe.books(|books| books.end_period(&subscription, false));
    world.deliver().await;
    world.wait(2 * DAY);
    world.subscriptions.billing().tick(world.now).await.unwrap();
    assert_eq!(world.use_key().await, Ok(()));
    assert_eq!(world.billing().await["num_reminders"], 1);
    world.wait(13 * DAY);
    world.restart();
    assert_eq!(world.subscriptions.billing().tick(world.now).await.unwrap(), 1);
    assert_eq!(world.subscriptions.billing().tick(world.now).await.unwrap(), 0);

    let refused = world.use_key().await;
    assert!(matches!(&refused, Err(KeyError::Suspended(why)) if why.contains("past due")));
    let models = world.ask(0, "GET", "/v1/models", Value::Null).await;
    assert_eq!(models.error().0, 403);
    let admin = world.ask(1, "GET", "/v1/organization/projects", Value::Null).await;
    assert_eq!(admin.error().0, 403, "an admin key is for paying, and for nothing else");
    let told = world.billing().await;
    assert_eq!((&told["suspended"], &told["plan"]["id"]), (&true.into(), &"pro".into()));
    assert_eq!(told["notices"][0]["notice"]["kind"], "suspended");
    assert_eq!(told["notices"][1]["notice"]["kind"], "reminder");
    let portal = world.ask(1, "POST", "/api/v1/organization/billing/portal", Value::Null).await;
    assert!(portal.ok()["url"].as_str().unwrap().starts_with("https://billing.test/cus_"));

    world.stripe.books(|books| books.pay(&invoice));
    world.deliver().await;
    assert_eq!(world.use_key().await, Ok(()));
    assert_eq!(world.billing().await["notices"][0]["notice"]["kind"], "restored");
    let unsent = world.store.unsent_notices(10).await.unwrap();
    assert_eq!(unsent.iter().filter(|notice| notice.organization == ORG).count(), 3);
    assert_eq!(world.subscriptions.write_letters().await.unwrap(), 0, "nobody is there to be told");
    assert_eq!(world.store.unsent_notices(10).await.unwrap(), []);
}

async fn what_webhooks_missed_is_asked_for(on: On) {
    let world = World::new(on).await;
    world.buy().await;
    assert_eq!(world.limits().await, LimitsData::default());
    assert_eq!(world.subscriptions.refresh_all(world.now).await.unwrap(), 1);
    assert_eq!(world.limits().await.requests_per_minute, Some(600));
    // A Stripe that does not answer holds up nothing.
    world.stripe.fail(&[Fault::Hopeless(500)]);
    assert_eq!(world.subscriptions.refresh_all(world.now).await.unwrap(), 0);
}
