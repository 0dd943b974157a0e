//! What Stripe fails to answer is done once.

use std::time::Duration;

use server_billing::{BillingError, CustomerId, Secret, Stripe, StripeError, StripeOptions};

use crate::stand_in::Fault::{Hopeless, LateAnswer, LostAnswer, Status};
use crate::stand_in::SECRET;
use crate::world::World;

#[tokio::test]
async fn a_request_is_sent_again_with_its_key_until_it_is_answered() {
    let world = World::new().await;
    world.stripe.fail(&[Status(429), Status(500), LostAnswer]);
    world.billing.customer(&world.details(), world.now).await.unwrap();
    let seen = world.stripe.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|request| *request == seen[0]), "each has the same key");
    assert!(seen[0].key.is_some() && seen[0].what == "POST /v1/customers");
    assert_eq!(world.stripe.books(|books| books.customers.len()), 1);
}

#[tokio::test]
async fn what_is_not_answered_in_time_is_asked_again_and_done_once() {
    let world = World::new().await;
    world.stripe.fail(&[LateAnswer]);
    let options = StripeOptions {
        api: world.stripe.api.clone(),
        timeout: Duration::from_secs(1),
        // However slow this machine is.
        max_attempts: 60,
        ..StripeOptions::new(Secret::new(SECRET).unwrap())
    };
    let stripe = Stripe::new(&options).unwrap();
    let made = stripe.create_customer(&world.details(), 0).await.unwrap();
    assert!(world.stripe.seen().len() > 1);
    world.stripe.books(|books| {
        assert_eq!(books.customers.keys().collect::<Vec<_>>(), [made.id.as_str()]);
    });
}

#[tokio::test]
async fn a_conflict_passes_and_a_refusal_does_not() {
    let world = World::new().await;
    world.stripe.fail(&[Status(409)]);
    world.billing.customer(&world.details(), world.now).await.unwrap();
    assert_eq!(world.stripe.seen().len(), 2);
    for fault in [Status(402), Hopeless(500), Hopeless(409)] {
        world.stripe.fail(&[fault]);
        let refused = world.billing.customer(&world.details(), world.now).await.unwrap_err();
        assert!(matches!(refused, BillingError::Stripe(StripeError::Refused { .. })));
        assert_eq!(world.stripe.seen().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn tries_end_and_the_error_shows_no_secret() {
    let world = World::new().await;
    world.stripe.fail(&[Status(503); 4]);
    let error = world.billing.customer(&world.details(), world.now).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("4 tries") && text.contains("503"), "{text}");
    assert!(!text.contains(SECRET));
    assert_eq!(world.stripe.seen().len(), 4);
}

#[tokio::test]
async fn a_server_that_is_killed_after_it_made_a_customer_finds_it_again() {
    let mut world = World::new().await;
    // Stripe makes it, and nobody ever hears of it.
    world.stripe.fail(&[LostAnswer, Status(500), Status(500), Status(500)]);
    let lost = world.billing.customer(&world.details(), world.now).await;
    assert!(matches!(lost, Err(BillingError::Stripe(StripeError::Unavailable { .. }))));
    assert!(world.state().await.customer().is_none());
    world.restart();
    let found = world.billing.customer(&world.details(), world.now).await.unwrap();
    world.stripe.books(|books| {
        let ids: Vec<_> = books.customers.keys().collect();
        assert_eq!(ids, [found.as_str()]);
    });
}

#[tokio::test]
async fn two_requests_at_once_make_one_customer() {
    let world = World::new().await;
    let details = world.details();
    let (one, other) = tokio::join!(
        world.billing.customer(&details, world.now),
        world.billing.customer(&details, world.now),
    );
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(world.stripe.books(|books| books.customers.len()), 1);
}

#[tokio::test]
async fn a_cancel_whose_answer_was_lost_is_done() {
    let mut world = World::new().await;
    let subscription = world.subscribe("pro").await;
    // It is looked up by its id, then deleted, and the second try finds nothing to delete.
    world.stripe.fail(&[LostAnswer]);
    world.billing.cancel(&world.org, false, world.now).await.unwrap();
    assert_eq!(world.standing().await.0, "free");
    world.stripe.books(|books| {
        assert_eq!(books.subscriptions[&subscription]["status"], "canceled");
    });
}

#[tokio::test]
async fn a_wrong_secret_and_a_closed_port_are_told() {
    let world = World::new().await;
    let id = CustomerId::new("cus_1").unwrap();
    let with = |api: &str| {
        let secret = Secret::new("sk_test_other").unwrap();
        let options = StripeOptions { api: api.to_owned(), ..StripeOptions::new(secret) };
        Stripe::new(&StripeOptions { retry_delay: Duration::ZERO, ..options }).unwrap()
    };
    let refused = with(&world.stripe.api).customer(&id).await.err().unwrap();
    assert!(matches!(refused, StripeError::Refused { status: 401, .. }));
    let closed = with("http://127.0.0.1:9").customer(&id).await.err().unwrap();
    assert!(matches!(closed, StripeError::Unavailable { attempts: 4, .. }));
}
