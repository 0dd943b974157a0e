//! Who may ask, and what is refused.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::On;
use crate::stand_in::{Fault, WEBHOOK_SECRET, sign};
use crate::world::World;

crate::on_both! {
    permissions_are_kept_to,
    what_cannot_be_bought_is_refused,
    a_webhook_that_is_not_stripe_s_changes_nothing,
    the_routes_are_described,
}

const PAGE: &str = include_str!("../../../../docs/OPERATORS.md");
const BILLING: &str = "/api/v1/organization/billing";
const CHECKOUT: &str = "/api/v1/organization/billing/checkout";
const PORTAL: &str = "/api/v1/organization/billing/portal";

async fn permissions_are_kept_to(on: On) {
    let world = World::new(on).await;
    for (method, path) in [("GET", BILLING), ("POST", CHECKOUT), ("POST", PORTAL)] {
        let of_project = world.ask(0, method, path, Value::Null).await;
        assert_eq!(of_project.error(), (403, Some("insufficient_permissions"), None), "{path}");
        let nobody = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        assert_eq!(world.send(nobody).await.error().0, 401, "{path}");
    }
    let clerk = world.ask(2, "GET", BILLING, Value::Null).await.ok();
    assert_eq!(
        (&clerk["object"], &clerk["plan"]["id"]),
        (&"organization.billing".into(), &"free".into())
    );
    assert_eq!((&clerk["invoices"], &clerk["subscription"]), (&json!([]), &Value::Null));
    let plans = clerk["plans"].as_array().unwrap();
    let sold = plans.iter().map(|plan| (plan["id"].as_str().unwrap(), plan["is_sold"] == true));
    assert_eq!(sold.collect::<Vec<_>>(), [("free", false), ("pro", true)]);
    for path in [CHECKOUT, PORTAL] {
        let refused = world.ask(2, "POST", path, json!({ "plan": "pro" })).await;
        assert_eq!(refused.error(), (403, Some("insufficient_permissions"), None), "{path}");
    }
    assert_eq!(world.stripe.seen(), [], "Stripe was not asked for any of it");
}

async fn what_cannot_be_bought_is_refused(on: On) {
    let world = World::new(on).await;
    for plan in ["gold", "free"] {
        let refused = world.ask(1, "POST", CHECKOUT, json!({ "plan": plan })).await;
        assert_eq!(refused.error(), (400, None, Some("plan")), "{plan}");
    }
    let more = world.ask(1, "POST", CHECKOUT, json!({ "plan": "pro", "price": 1 })).await;
    assert_eq!(more.error().0, 400);
    let none = world.ask(1, "POST", PORTAL, Value::Null).await;
    assert_eq!(none.error(), (409, Some("no_customer"), None));
    world.stripe.fail(&[Fault::Hopeless(500)]);
    let away = world.ask(1, "POST", CHECKOUT, json!({ "plan": "pro" })).await;
    assert_eq!(away.error(), (503, Some("stripe_unavailable"), None));
    assert!(!away.json.to_string().contains("hopeless"), "Stripe's words are for the log");
    world.buy().await;
    world.deliver().await;
    let twice = world.ask(1, "POST", CHECKOUT, json!({ "plan": "pro" })).await;
    assert_eq!(twice.error(), (409, Some("already_subscribed"), None));
    world.stripe.books(|books| {
        let customer = books.customers.values().next().unwrap();
        assert_eq!(customer["name"], "Example");
        let (session, _) = books.sessions.values().next().unwrap();
        assert_eq!(session["success_url"], "https://a.test/billing?checkout=paid");
    });
}

async fn a_webhook_that_is_not_stripe_s_changes_nothing(on: On) {
    let world = World::new(on).await;
    world.buy().await;
    let (before, webhooks) = (world.billing().await, world.stripe.books(|books| books.webhooks()));
    for (body, signature) in &webhooks {
        let other = sign("whsec_other", world.now.0, body);
        let late = sign(WEBHOOK_SECRET, world.now.0 - 3600, body);
        for signature in ["", "t=1,v1=00", &other, &late] {
            let refused = world.webhook(body, signature).await;
            assert_eq!(refused.error(), (400, Some("invalid_webhook"), None), "{signature}");
        }
        let unsigned = Request::post("/webhooks/stripe").body(Body::from(body.clone())).unwrap();
        assert_eq!(world.send(unsigned).await.error().0, 400);
        let large = vec![b' '; server_billing::MAX_WEBHOOK_BYTES + 1];
        assert_eq!(world.webhook(&large, signature).await.error().0, 413);
    }
    assert_eq!(world.billing().await, before);
    // A customer of another use of the same account is none of ours.
    let other = json!({ "id": "evt_x", "created": world.now.0, "type": "customer.deleted",
        "data": { "object": { "id": "cus_other" } } });
    let body = other.to_string().into_bytes();
    let (body, signature) = world.stripe.books(|books| books.signed(body));
    world.webhook(&body, &signature).await.ok();
    assert_eq!(world.billing().await, before);
}

async fn the_routes_are_described(on: On) {
    let world = World::new(on).await;
    let document = world.ask(0, "GET", "/openapi.json", Value::Null).await.ok();
    for (path, method) in
        [(BILLING, "get"), (CHECKOUT, "post"), (PORTAL, "post"), ("/webhooks/stripe", "post")]
    {
        let described = &document["paths"][path][method];
        assert_eq!(described["tags"], json!(["Billing"]), "{path}");
        let row = format!("| `{} {path}` |", method.to_uppercase());
        assert!(PAGE.contains(&row), "the docs lack {row}");
    }
    let told = world.billing().await;
    let schema = &document["components"]["schemas"]["BillingObject"]["properties"];
    let described: Vec<&String> = schema.as_object().unwrap().keys().collect();
    for field in told.as_object().unwrap().keys() {
        assert!(described.contains(&field), "{field}");
    }
}
