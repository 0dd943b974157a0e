//! Letters about invoices: what they say, to whom, and that each is put into the outbox once.

use serde_json::{Value, json};
use server_store::{NewUser, Target};

use crate::On;
use crate::stand_in::Fault;
use crate::world::{DAY, HOUR, World, may};

crate::on_both! {
    owners_and_the_address_for_invoices_are_told_once,
    a_letter_waits_for_stripe_but_not_for_long,
    who_has_paid_is_not_dunned,
    the_address_for_invoices_is_kept_by_who_may,
}

const BILLING: &str = "/api/v1/organization/billing";

/// Somebody in the organization.
async fn join(world: &World, name: &str, role: &str) -> String {
    let new = NewUser {
        email: format!("{name}@a.test"),
        name: name.to_owned(),
        password: None,
        email_verified: true,
    };
    let user = world.store.create_user(&new).await.unwrap();
    world.store.add_member(&may(), &user.id, role).await.unwrap();
    user.id
}

/// Messages to mailboxes that are new, by address: the type of each, and what it is made of.
async fn letters(world: &World) -> Vec<(String, String, Value)> {
    // All that are waiting are due by then.
    let at = i64::try_from(world.now.0 + 400 * DAY).unwrap();
    let mut all = Vec::new();
    for delivery in world.store.take_deliveries(at, 99).await.unwrap() {
        world.store.delivered(&delivery).await.unwrap();
        let Target::Mail { address } = delivery.target else { panic!("{delivery:?}") };
        all.push((address, delivery.event, serde_json::from_str(&delivery.body).unwrap()));
    }
    all.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    all
}

/// Somebody bought Pro, and did not pay for the second month, two days ago; the invoice.
async fn past_due(world: &mut World) -> String {
    let subscription = world.buy().await;
    world.deliver().await;
    world.wait(30 * DAY);
    let invoice = world.stripe.books(|books| books.end_period(&subscription, false));
    world.deliver().await;
    world.wait(2 * DAY);
    world.subscriptions.billing().tick(world.now).await.unwrap();
    invoice
}

async fn owners_and_the_address_for_invoices_are_told_once(on: On) {
    let mut world = World::new(on).await;
    join(&world, "ada", "owner").await;
    join(&world, "bob", "admin").await;
    let carl = join(&world, "carl", "owner").await;
    world.store.disable_user(&may(), &carl, true).await.unwrap();
    world.store.set_billing_email(&may(), Some("bills@a.test")).await.unwrap();
    let since = i64::try_from(world.now.0 + 30 * DAY).unwrap();
    let invoice = past_due(&mut world).await;
    // Two servers, at the same time.
    let other = world.subscriptions.clone();
    let (one, two) = tokio::join!(world.subscriptions.write_letters(), other.write_letters());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(world.subscriptions.write_letters().await.unwrap(), 0);
    let told = letters(&world).await;
    let to: Vec<_> = told.iter().map(|(to, event, _)| (to.as_str(), event.as_str())).collect();
    assert_eq!(to, [("ada@a.test", "billing.reminder"), ("bills@a.test", "billing.reminder")]);
    let expected = json!({ "type": "billing.reminder", "organization": "Example",
        "amount": "23.80 EUR", "since": since, "suspended_at": since + 14 * 86_400,
        "url": format!("https://invoice.test/{invoice}") });
    assert_eq!((&told[0].2, &told[1].2), (&expected, &expected));

    world.wait(13 * DAY);
    world.restart();
    world.subscriptions.billing().tick(world.now).await.unwrap();
    assert_eq!(world.subscriptions.write_letters().await.unwrap(), 1);
    let told = letters(&world).await;
    assert_eq!((told.len(), told[0].1.as_str()), (2, "billing.suspended"));
    assert_eq!(told[0].2["amount"], "23.80 EUR");
    world.stripe.books(|books| books.pay(&invoice));
    world.deliver().await;
    assert_eq!(world.subscriptions.write_letters().await.unwrap(), 1);
    let told = letters(&world).await;
    assert_eq!((told.len(), told[0].1.as_str()), (2, "billing.restored"));
    assert_eq!(told[0].2["url"], "https://a.test/billing");
}

async fn a_letter_waits_for_stripe_but_not_for_long(on: On) {
    let mut world = World::new(on).await;
    join(&world, "ada", "owner").await;
    past_due(&mut world).await;
    // What is kept is of the machine's time.
    world.set_time_of_machine();
    world.stripe.fail(&[Fault::Hopeless(500)]);
    assert_eq!(world.subscriptions.write_letters().await.unwrap(), 0);
    assert_eq!(world.store.unsent_notices(9).await.unwrap().len(), 1);
    world.wait(2 * HOUR);
    world.stripe.fail(&[Fault::Hopeless(500)]);
    assert_eq!(world.subscriptions.write_letters().await.unwrap(), 1);
    let told = letters(&world).await;
    assert_eq!((told.len(), &told[0].2["amount"]), (1, &Value::Null));
    assert_eq!(told[0].2["url"], "https://a.test/billing");
}

async fn who_has_paid_is_not_dunned(on: On) {
    let mut world = World::new(on).await;
    join(&world, "ada", "owner").await;
    let invoice = past_due(&mut world).await;
    // Stripe's webhook is still on its way.
    world.stripe.books(|books| books.pay(&invoice));
    assert_eq!(world.subscriptions.write_letters().await.unwrap(), 0);
    assert_eq!(world.store.unsent_notices(9).await.unwrap(), []);
    assert_eq!(letters(&world).await, []);
}

async fn the_address_for_invoices_is_kept_by_who_may(on: On) {
    let world = World::new(on).await;
    assert_eq!(world.billing().await["email"], Value::Null);
    let email = json!({ "email": "bills@a.test" });
    let refused = world.ask(2, "POST", BILLING, email.clone()).await;
    assert_eq!(refused.error().0, 403, "a clerk may only look");
    assert_eq!(world.ask(1, "POST", BILLING, email).await.ok()["email"], "bills@a.test");
    assert_eq!(world.billing().await["email"], "bills@a.test");
    for wrong in [json!({}), json!({ "email": "bills" }), json!({ "email": "a@b\r\nBcc: c@d" })] {
        assert_eq!(world.ask(1, "POST", BILLING, wrong.clone()).await.error().0, 400, "{wrong}");
    }
    world.buy().await;
    let told = world.stripe.books(|books| books.customers.values().next().cloned().unwrap());
    assert_eq!(told["email"], "bills@a.test", "Stripe's invoices go there, too");
    let none = json!({ "email": null });
    assert_eq!(world.ask(1, "POST", BILLING, none).await.ok()["email"], Value::Null);
    let log = world.store.audit_log(&may(), &Default::default(), &crate::life::all()).await;
    let log = log.unwrap().rows;
    assert!(log.iter().all(|line| !line.detail.contains("bills@")), "the log does not forget");
    assert_eq!(log.iter().filter(|line| line.detail.contains("billing_email")).count(), 2);
}
