//! Stripe through the real binary, against a stand-in of Stripe: from the link to a checkout to a
//! letter that says that all is well again. Months pass by the clock that is for tests, and each
//! time that it is set the server was killed.

#[allow(dead_code, reason = "it is shared with the tests of server/billing, which use all of it")]
#[path = "../../server/billing/tests/billing/stand_in/mod.rs"]
mod stand_in;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stand_in::{SECRET, sign};
use support::binary::{Server, agentbase, import, succeed, text};
use support::http::post;
use support::waiting::until;
use tempfile::TempDir;
use world::{BILLING, World, both};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Buys Pro; the subscription.
fn buy(world: &World) -> String {
    assert_eq!(world.billing()["plan"]["id"], "free");
    let path = format!("{BILLING}/checkout");
    let link = post(world.address(), &world.admin, &path, r#"{"plan": "pro"}"#).json();
    let url = link["url"].as_str().expect("a link");
    let session = url.strip_prefix("https://checkout.test/").expect("Stripe's page");
    let subscription = world.stripe.books(|books| books.pay_session(session));
    let customer = world.stripe.books(|books| books.customers.values().next().cloned());
    assert_eq!(customer.expect("a customer")["email"], "bills@example.com");

    // Webhooks come in the wrong order and twice; what is not Stripe's is refused.
    let mut webhooks = world.stripe.books(|books| books.webhooks());
    assert!(webhooks.len() >= 3, "{}", webhooks.len());
    webhooks.reverse();
    for (body, signature) in webhooks.iter().chain(&webhooks) {
        let wrong = sign("whsec_wrong", world.stripe.books(|books| books.now), body);
        let refused = world.webhook((body, &wrong));
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (400, &json!("invalid_webhook"))
        );
        let changed = text(body).replace("active", "paused ");
        if changed != text(body) {
            assert_eq!(world.webhook((changed.as_bytes(), signature)).status, 400);
        }
        assert_eq!(world.webhook((body, signature)).status, 200);
    }
    let billing = world.billing();
    assert_eq!(
        (&billing["plan"]["id"], &billing["subscription"]["status"]),
        (&json!("pro"), &json!("active"))
    );
    assert_eq!(
        (&billing["invoices"][0]["status"], &billing["email"]),
        (&json!("paid"), &json!("bills@example.com"))
    );
    let organizations = succeed(world.dir.path(), &["org", "list", "--json"]);
    let organizations: Value = serde_json::from_str(&organizations).expect("JSON");
    let acme = organizations.as_array().expect("a list").iter().find(|it| it["id"] == "acme");
    assert_eq!(acme.expect("it is there")["limits"]["requests_per_minute"], 600);
    subscription
}

/// Chats, and what Stripe is told of them, in millionths.
fn use_it(world: &mut World) -> i64 {
    for stream in [false, true, false] {
        assert_eq!(world.chat(stream).status, 200);
    }
    let used = world.used();
    assert!(used > 0);
    // Twice, so that what is reported already could be reported again.
    for ahead in [2 * HOUR, 3 * HOUR] {
        world.go_to(ahead);
        until("usage is reported", || {
            world.stripe.books(|books| (books.total_used() == used).then_some(()))
        });
    }
    used
}

#[test]
fn from_a_checkout_through_reminders_to_service_again() {
    let mut world = World::new();
    let subscription = buy(&world);
    let used = use_it(&mut world);

    world.go_to(30 * DAY);
    let invoice = world.stripe.books(|books| books.end_period(&subscription, false));
    world.deliver();
    assert!(world.billing()["past_due_since"].is_u64());
    assert_eq!(world.mail.letters().len(), 0);

    // Who does not pay is reminded; the mail server takes the first letter at the second try.
    world.go_to(32 * DAY);
    assert_eq!(world.letters(2), both("Payment for \"Acme\" at Agentbase is due"));
    assert_eq!(world.mail.num_refused(), 0);
    let letter = world.mail.letters().remove(0).text;
    // The fee and what was used, in cents, with taxes.
    let cents = (2000 + (used + 5_000) / 10_000) * 119 / 100;
    let amount = format!("A payment of {}.{:02} EUR for \"Acme\"", cents / 100, cents % 100);
    for part in [&*amount, &format!("https://invoice.test/{invoice}"), "are refused from"] {
        assert!(letter.contains(part), "{part}: {letter}");
    }
    assert_eq!(world.billing()["num_reminders"], 1);

    // Then requests are refused, but for those that pay.
    world.go_to(45 * DAY);
    let refused = until("requests are refused", || {
        let answer = world.chat(false);
        (answer.status != 200).then_some(answer)
    });
    let error = &refused.json()["error"];
    assert_eq!((refused.status, &error["code"]), (403, &json!("insufficient_permissions")));
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("past due") && message.contains(BILLING), "{message}");
    assert_eq!(world.letters(4), both("\"Acme\" at Agentbase is suspended"));
    assert_eq!(world.billing()["suspended"], true);
    let portal = post(world.address(), &world.admin, &format!("{BILLING}/portal"), "{}").json();
    assert!(portal["url"].as_str().is_some_and(|url| url.starts_with("https://billing.test/")));

    world.stripe.books(|books| books.pay(&invoice));
    world.deliver();
    until("requests are let in", || (world.chat(false).status == 200).then_some(()));
    assert_eq!(world.letters(6), both("\"Acme\" at Agentbase goes on"));
    let billing = world.billing();
    assert_eq!((&billing["suspended"], &billing["past_due_since"]), (&json!(false), &Value::Null));

    // After all of it, and once more a new server, nothing was reported or said twice.
    world.stripe.seen();
    world.go_to(46 * DAY);
    let is_list = |seen: &stand_in::Seen| seen.what == "GET /v1/invoices";
    until("it asks Stripe", || world.stripe.seen().iter().any(is_list).then_some(()));
    let reported: Vec<String> =
        world.stripe.books(|books| books.used.iter().map(|(id, _)| id.clone()).collect());
    let distinct: BTreeSet<&String> = reported.iter().collect();
    assert_eq!(distinct.len(), reported.len(), "{reported:?}");
    let total = world.stripe.books(|books| books.total_used());
    assert!(total <= world.used(), "{total} were reported");
    assert_eq!(world.mail.letters().len(), 6);
}

#[test]
fn a_key_of_stripe_s_own_variable_is_not_for_us() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let mut command = agentbase(dir.path());
    command.env("STRIPE_SECRET_KEY", "sk_test_of_another_program");
    let server = Server::start_by(command, &["--kv-cache", "8MiB"]);
    let unknown = post(&server.address, "", "/webhooks/stripe", "{}");
    assert_eq!(unknown.status, 404, "nobody is billed: {}", unknown.body);
    // Ours says what is missing.
    let mut command = agentbase(dir.path());
    command.env("AGENTBASE_STRIPE_KEY", SECRET);
    let output = command.args(["serve", "--listen", "127.0.0.1:0"]).output().expect("it starts");
    let error = text(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("--stripe-webhook-secret") && error.contains("--plans"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
}
