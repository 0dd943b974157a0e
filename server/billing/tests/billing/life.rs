//! The life of a subscription: bought, used, billed, not paid, suspended, paid, restored, ended.

use server_billing::{BillingError, Hour, InvoiceId, InvoiceStatus, Notice, ReturnUrls};

use crate::world::{DAY, HOUR, World};

fn is_reminder(notices: &[Notice], wanted: u32) -> bool {
    matches!(notices, [Notice::Reminder { number, .. }] if *number == wanted)
}

#[tokio::test]
async fn from_checkout_to_restored() {
    let mut world = World::new().await;
    assert_eq!(world.standing().await, ("free".to_owned(), false));
    let subscription = world.subscribe("pro").await;
    assert_eq!(world.standing().await, ("pro".to_owned(), false));

    // 1.234567 units of money and a bit.
    world.memory.settle(&world.org, world.now.plus(10), 1_234_566_000_001);
    world.wait(2 * HOUR);
    let done = world.billing.report_usage(world.now).await.unwrap();
    assert_eq!((done.num_hours, done.total, done.num_failed), (1, 1_234_567, 0));

    world.wait(30 * DAY);
    let failed = world.now;
    let invoice = world.stripe.books(|books| books.end_period(&subscription, false));
    world.deliver().await;
    let state = world.state().await;
    let standing = state.standing(world.billing.plans());
    assert_eq!((standing.past_due_since, standing.is_suspended), (Some(failed), false));
    assert_eq!(standing.plan.id, "pro");
    let bill = world.billing.invoices(&world.org, None, 1).await.unwrap().data.remove(0);
    assert_eq!(bill.id.as_str(), invoice);
    assert_eq!((bill.subtotal, bill.taxes(), bill.total), (2123, 403, 2526));
    assert_eq!(bill.status, Some(InvoiceStatus::Open));

    let mut reminded = Vec::new();
    for day in 1..14 {
        world.wait(DAY);
        world.billing.tick(world.now).await.unwrap();
        let notices = world.memory.notices();
        let number = reminded.len() as u32 + 1;
        if is_reminder(&notices, number) {
            reminded.push(day);
        } else {
            assert_eq!(notices, []);
        }
    }
    assert_eq!(reminded, [1, 3, 7]);
    assert_eq!(world.standing().await, ("pro".to_owned(), false));
    world.wait(DAY);
    assert_eq!(world.billing.tick(world.now).await.unwrap(), 1);
    let invoice = InvoiceId::new(&invoice).unwrap();
    let suspended = Notice::Suspended { invoice: invoice.clone(), since: failed };
    assert_eq!(world.memory.notices(), [suspended]);
    assert!(world.standing().await.1);
    assert_eq!(world.billing.tick(world.now).await.unwrap(), 0, "there is nothing more to do");

    world.stripe.books(|books| books.pay(invoice.as_str()));
    world.deliver().await;
    assert_eq!(world.memory.notices(), [Notice::Restored]);
    assert_eq!(world.standing().await, ("pro".to_owned(), false));
    assert_eq!(world.state().await.next_tick(&Default::default()), None);
}

#[tokio::test]
async fn an_ended_subscription_leaves_the_free_plan_and_its_usage_ends() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    world.wait(HOUR + 600);
    world.memory.settle(&world.org, world.now.minus(1), 5_000_000);
    world.billing.cancel(&world.org, false, world.now).await.unwrap();
    // Before any webhook.
    assert_eq!(world.standing().await, ("free".to_owned(), false));
    world.memory.settle(&world.org, world.now, 7_000_000);
    let cancelled = world.now;
    world.wait(HOUR);
    world.deliver().await;
    let done = world.billing.report_usage(world.now).await.unwrap();
    assert_eq!((done.num_hours, done.total), (1, 5), "what was used after the end is free");
    world.stripe.books(|books| {
        let (_, used) = &books.used[0];
        assert_eq!(used.at, cancelled.0 - 1);
        assert_eq!(Hour::of(cancelled), Hour(used.at / HOUR));
    });
    let refused = world.billing.cancel(&world.org, false, world.now).await;
    assert!(matches!(refused, Err(BillingError::NotSubscribed)));
    // It can be bought again, by the same customer.
    world.subscribe("pro").await;
    assert_eq!(world.standing().await.0, "pro");
    assert_eq!(world.stripe.books(|books| books.customers.len()), 1);
}

#[tokio::test]
async fn plans_are_changed_and_ended_with_their_period() {
    let mut world = World::new().await;
    let id = world.subscribe("pro").await;
    world.billing.change_plan(&world.org, "enterprise", world.now).await.unwrap();
    assert_eq!(world.standing().await.0, "enterprise");
    let prices = |world: &World| {
        world.stripe.books(|books| {
            let items = books.subscriptions[&id]["items"]["data"].as_array().unwrap().clone();
            items.iter().map(|item| item["price"]["id"].as_str().unwrap().to_owned()).collect()
        })
    };
    let now: Vec<String> = prices(&world);
    assert_eq!(now, ["price_enterprise"]);
    world.billing.change_plan(&world.org, "pro", world.now).await.unwrap();
    let mut now: Vec<String> = prices(&world);
    now.sort();
    assert_eq!(now, ["price_pro", "price_usage"]);
    world.stripe.seen();
    world.billing.change_plan(&world.org, "pro", world.now).await.unwrap();
    assert_eq!(world.stripe.seen().len(), 1, "what is so already is looked up, not changed");

    world.billing.cancel(&world.org, true, world.now).await.unwrap();
    let state = world.state().await;
    let standing = state.standing(world.billing.plans());
    assert!(standing.ends_with_period && standing.plan.id == "pro");
    assert!(standing.period.unwrap().1 > world.now);
    // The webhooks of all that tell nothing new.
    world.deliver().await;
    assert_eq!(world.state().await.standing(world.billing.plans()), standing);
}

#[tokio::test]
async fn links_are_for_those_who_can_use_them() {
    let mut world = World::new().await;
    let urls = ReturnUrls { success: "https://a.test/ok", cancel: "https://a.test/no" };
    let (details, now) = (world.details(), world.now);
    let portal = world.billing.portal(&world.org, "https://a.test").await;
    assert!(matches!(portal, Err(BillingError::NoCustomer)));
    let free = world.billing.checkout(&details, "free", &urls, now).await;
    assert!(matches!(free, Err(BillingError::NotSold(_))));
    let none = world.billing.checkout(&details, "gold", &urls, now).await;
    assert!(matches!(none, Err(BillingError::NoPlan(_))));
    world.subscribe("pro").await;
    let twice = world.billing.checkout(&details, "enterprise", &urls, now).await;
    assert!(matches!(twice, Err(BillingError::Subscribed)));
    let portal = world.billing.portal(&world.org, "https://a.test").await.unwrap();
    assert!(portal.url.starts_with("https://billing.test/cus_"));
    world.stripe.books(|books| {
        let (session, _) = books.sessions.values().next().unwrap();
        assert_eq!(session["automatic_tax[enabled]"], "true");
        assert_eq!(session["line_items[0][quantity]"], "1");
        assert_eq!(session["line_items[1][price]"], "price_usage");
        assert!(!session.contains_key("line_items[1][quantity]"), "a meter says how much");
        assert_eq!(session["subscription_data[metadata][agentbase_organization]"], "org_1");
    });
}

#[tokio::test]
async fn taxes_are_told_and_known() {
    use server_billing::{Address, TaxId};
    let mut world = World::new().await;
    let mut details = world.details();
    details.email = Some("pay@a.test".to_owned());
    details.address = Some(Address { country: Some("DE".to_owned()), ..Address::default() });
    details.tax_ids = vec![TaxId { kind: "eu_vat".to_owned(), value: "DE123".to_owned() }];
    let customer = world.billing.customer(&details, world.now).await.unwrap();
    world.stripe.books(|books| {
        let known = &books.customers[customer.as_str()];
        assert_eq!(
            (&known["address"]["country"], &known["tax_id"]),
            (&"DE".into(), &"DE123".into())
        );
        assert_eq!(known["metadata"]["organization"], "org_1");
    });
    details.address = Some(Address { country: Some("FR".to_owned()), ..Address::default() });
    world.wait(1);
    assert_eq!(world.billing.customer(&details, world.now).await.unwrap(), customer);
    world.deliver().await;
    let state = world.state().await;
    assert_eq!(state.taxed().unwrap().country.as_deref(), Some("FR"));
    assert!(!serde_json::to_string(&state).unwrap().contains("pay@a.test"));
    world.billing.refresh(&world.org, world.now).await.unwrap();
    assert_eq!(world.state().await, state);
}

#[tokio::test]
async fn a_deleted_customer_is_made_anew() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    let first = world.state().await.customer().cloned().unwrap();
    world.stripe.books(|books| books.delete_customer(first.as_str()));
    world.deliver().await;
    assert_eq!(world.standing().await.0, "free");
    world.subscribe("pro").await;
    let second = world.state().await.customer().cloned().unwrap();
    assert_ne!(first, second);
    assert_eq!(world.standing().await.0, "pro");
}
