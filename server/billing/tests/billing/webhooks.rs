//! Webhooks: whose they are, twice, late, and of the same second.

use server_billing::{BillingError, Received, WebhookError};

use crate::stand_in::sign;
use crate::world::{DAY, World};

#[tokio::test]
async fn what_stripe_did_not_sign_changes_nothing() {
    let mut world = World::new().await;
    let subscription = world.subscribe("pro").await;
    world.stripe.books(|books| books.end(&subscription));
    let before = world.state().await;
    let (body, signature) = world.stripe.books(|books| books.webhooks().remove(0));
    let forged = sign("whsec_other", world.now.0, &body);
    let late = sign("whsec_stand_in", world.now.0 - 301, &body);
    let mut other = body.clone();
    other.push(b' ');
    for (body, signature) in [(&body, &forged), (&body, &late), (&other, &signature)] {
        let refused = world.receive(body, signature).await.unwrap_err();
        assert!(matches!(
            refused,
            BillingError::Webhook(WebhookError::Signature | WebhookError::Late)
        ));
    }
    assert_eq!(world.state().await, before);
    assert!(matches!(world.receive(&body, &signature).await.unwrap(), Received::Changed(_)));
    assert_eq!(world.standing().await.0, "free");
}

#[tokio::test]
async fn replays_of_a_whole_life_are_harmless() {
    let mut world = World::new().await;
    let mut all = Vec::new();
    let subscription = world.subscribe("pro").await;
    world.wait(DAY);
    let invoice = world.stripe.books(|books| books.end_period(&subscription, false));
    all.extend(world.stripe.books(|books| books.webhooks()));
    world.wait(60);
    world.stripe.books(|books| books.pay(&invoice));
    all.extend(world.stripe.books(|books| books.webhooks()));
    for (body, signature) in &all {
        world.receive(body, signature).await.unwrap();
    }
    let (state, notices) = (world.state().await, world.memory.notices());
    assert_eq!(world.standing().await, ("pro".to_owned(), false));
    for (body, signature) in all.iter().rev().chain(&all) {
        world.receive(body, signature).await.unwrap();
    }
    assert_eq!(world.state().await, state);
    assert_eq!((notices, world.memory.notices()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn events_of_one_second_are_settled_by_asking_stripe() {
    let mut world = World::new().await;
    let subscription = world.subscribe("pro").await;
    world.wait(DAY);
    world.stripe.books(|books| {
        books.set_status(&subscription, "past_due");
        books.set_status(&subscription, "unpaid");
    });
    let mut two = world.stripe.books(|books| books.webhooks());
    two.reverse();
    world.stripe.seen();
    for (body, signature) in two {
        world.receive(&body, &signature).await.unwrap();
    }
    let asked: Vec<_> = world.stripe.seen().into_iter().map(|seen| seen.what).collect();
    assert_eq!(asked, [format!("GET /v1/subscriptions/{subscription}")]);
    let state = world.state().await;
    let (_, status) = state.standing(world.billing.plans()).subscription.unwrap();
    assert_eq!(status, server_billing::SubscriptionStatus::Unpaid);
    assert_eq!(world.standing().await.0, "free", "who does not pay has the free plan");
}

#[tokio::test]
async fn a_checkout_s_webhook_alone_is_enough() {
    let world = World::new().await;
    let urls =
        server_billing::ReturnUrls { success: "https://a.test/ok", cancel: "https://a.test/no" };
    let session = world.billing.checkout(&world.details(), "pro", &urls, world.now).await.unwrap();
    world.stripe.books(|books| books.pay_session(session.id.as_str()));
    let (body, signature) = world.stripe.books(|books| books.webhooks().pop().unwrap());
    assert!(String::from_utf8_lossy(&body).contains("checkout.session.completed"));
    world.receive(&body, &signature).await.unwrap();
    assert_eq!(world.standing().await.0, "pro");
    assert_eq!(world.memory.all_metered()[0].spans.len(), 1);
}

#[tokio::test]
async fn what_others_do_with_the_account_is_none_of_ours() {
    let mut world = World::new().await;
    world.subscribe("pro").await;
    let before = world.state().await;
    let signed = |text: &str| world.stripe.books(|books| books.signed(text.into()));
    let other = r#"{"id":"evt_x","created":1,"type":"customer.deleted",
        "data":{"object":{"id":"cus_other"}}}"#;
    let unknown = r#"{"id":"evt_y","created":1,"type":"payout.paid","data":{"object":{}}}"#;
    for text in [other, unknown] {
        let (body, signature) = signed(text);
        assert_eq!(world.receive(&body, &signature).await.unwrap(), Received::Ignored);
    }
    let (body, signature) = signed("{\"id\":\"evt_z\"}");
    let broken = world.receive(&body, &signature).await.unwrap_err();
    assert!(matches!(broken, BillingError::Webhook(WebhookError::Event(_))));
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn a_refresh_finds_what_no_webhook_told() {
    let mut world = World::new().await;
    let subscription = world.subscribe("pro").await;
    world.wait(DAY);
    let invoice = world.stripe.books(|books| books.end_period(&subscription, false));
    let lost = world.stripe.books(|books| books.webhooks());
    world.billing.refresh(&world.org, world.now).await.unwrap();
    let found = world.state().await;
    assert_eq!(found.standing(world.billing.plans()).past_due_since, Some(world.now));
    // They come after all.
    for (body, signature) in lost {
        world.receive(&body, &signature).await.unwrap();
    }
    let state = world.state().await;
    assert_eq!(state.standing(world.billing.plans()), found.standing(world.billing.plans()));
    world.stripe.books(|books| books.void(&invoice));
    world.deliver().await;
    assert_eq!(world.state().await.standing(world.billing.plans()).past_due_since, None);
}

#[tokio::test]
async fn a_state_that_another_process_saved_first_is_made_anew() {
    let mut world = World::new().await;
    let subscription = world.subscribe("pro").await;
    world.wait(1);
    world.stripe.books(|books| books.end(&subscription));
    world.memory.lose_races(3);
    let received = world.deliver().await;
    assert!(matches!(received[..], [Received::Changed(_)]));
    assert_eq!(world.standing().await.0, "free");
}
