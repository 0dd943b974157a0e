//! Which subscription decides on the plan, and that there are no two by accident.

use server_billing::{BillingError, CheckoutId, ReturnUrls};

use crate::world::World;

#[tokio::test]
async fn a_price_that_no_plan_has_gives_the_free_plan() {
    let mut world = World::new().await;
    let subscription = world.subscribe("pro").await;
    world.wait(1);
    world.stripe.books(|books| {
        let items = &mut books.subscriptions.get_mut(&subscription).unwrap()["items"]["data"];
        *items = serde_json::json!([{ "id": "si_1", "price": { "id": "price_gone" } }]);
        books.set_status(&subscription, "active");
    });
    world.deliver().await;
    assert_eq!(world.standing().await, ("free".to_owned(), false));
}

#[tokio::test]
async fn of_two_subscriptions_the_one_that_gives_something_decides() {
    let mut world = World::new().await;
    let first = world.subscribe("pro").await;
    let customer = world.state().await.customer().unwrap().to_string();
    world.wait(1);
    // By hand, in Stripe's dashboard: the newer one decides, until it does not pay.
    let second = world.stripe.books(|books| books.subscribe(&customer, &["price_enterprise"]));
    world.deliver().await;
    assert_eq!(world.standing().await.0, "enterprise");
    world.wait(1);
    world.stripe.books(|books| books.set_status(&second, "unpaid"));
    world.deliver().await;
    assert_eq!(world.standing().await.0, "pro");
    world.wait(1);
    world.stripe.books(|books| books.end(&first));
    world.deliver().await;
    assert_eq!(world.standing().await.0, "free");
}

#[tokio::test]
async fn one_page_at_a_time_is_open_and_one_that_was_paid_opens_no_other() {
    let world = World::new().await;
    let urls = ReturnUrls { success: "https://a.test/ok", cancel: "https://a.test/no" };
    let details = world.details();
    let open = || world.billing.checkout(&details, "pro", &urls, world.now);
    let (first, second) = (open().await.unwrap(), open().await.unwrap());
    let status = |id: &CheckoutId| {
        world.stripe.books(|books| books.sessions[id.as_str()].1["status"].clone())
    };
    assert_eq!((status(&first.id), status(&second.id)), ("expired".into(), "open".into()));
    // Two requests at once: whoever gets a link gets the one that is open.
    let (one, other) = tokio::join!(open(), open());
    let links: Vec<_> = [one, other].into_iter().filter_map(Result::ok).collect();
    let open_links: Vec<_> = links.iter().filter(|link| status(&link.id) == "open").collect();
    assert_eq!((open_links.len(), status(&second.id)), (1, "expired".into()));
    let last = &open_links[0].id;
    // It is paid, and its webhook is late.
    world.stripe.books(|books| books.pay_session(last.as_str()));
    let refused = open().await;
    assert!(matches!(refused, Err(BillingError::Subscribed)));
    world.deliver().await;
    assert!(matches!(open().await, Err(BillingError::Subscribed)));
    assert_eq!(world.standing().await.0, "pro");
    assert_eq!(world.state().await.checkout(), None);
}
