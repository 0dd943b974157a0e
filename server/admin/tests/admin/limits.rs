//! The organization itself, and limits and budgets of it, its projects and keys.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn the_organization_is_shown_and_changed() {
    let world = World::new().await;
    let path = "/api/v1/organization";
    let shown = world.get(path).await.ok();
    assert_eq!((&shown["object"], &shown["id"]), (&json!("organization"), &json!("org-alpha")));
    assert_eq!((&shown["name"], &shown["settings"]), (&json!("alpha inc"), &json!({})));
    let key = &world.a.admin_secret;
    let patch = json!({"requires_two_factors": true, "settings": {"store_prompts": false}});
    let changed = world.ask(key, "PATCH", path, patch).await.ok();
    assert_eq!(changed["requires_two_factors"], true);
    assert_eq!(changed["settings"], json!({"store_prompts": false}));
    assert_eq!(changed["name"], "alpha inc");
    let changed = world.ask(key, "PATCH", path, json!({"name": "Alpha"})).await.ok();
    assert_eq!(
        (&changed["name"], &changed["requires_two_factors"]),
        (&json!("Alpha"), &json!(true))
    );
    let refused = world.ask(key, "PATCH", path, json!({"limits": {}})).await;
    assert_eq!(refused.error().0, 400);
    assert_eq!(
        world.ask(&world.b.admin_secret, "GET", path, Value::Null).await.ok()["name"],
        "beta inc"
    );
}

#[tokio::test]
async fn limits_stand_on_each_level_and_are_checked() {
    let world = World::new().await;
    let project = format!("/api/v1/organization/projects/{}", world.a.project);
    let paths = [
        (format!("{project}/limits"), world.a.project.clone()),
        (format!("{project}/keys/{}/limits", world.a.key), world.a.key.clone()),
    ];
    let key = &world.a.admin_secret;
    // The organization's are the operator's to set: nobody raises the budget that pays for all.
    let path = "/api/v1/organization/limits";
    assert_eq!(world.get(path).await.ok(), json!({"object": "limits", "id": world.a.id}));
    assert_eq!(world.ask(key, "PUT", path, json!({})).await.error().0, 405);
    let limits = json!({"requests_per_minute": 60, "concurrent_requests": 4,
        "quotas": [{"meter": "output_tokens", "period": "day", "units": 5}],
        "budgets": [{"period": "month", "amount": "12.50"}]});
    for (path, id) in paths {
        assert_eq!(world.get(&path).await.ok(), json!({"object": "limits", "id": id}));
        let mut expected = limits.clone();
        expected["object"] = json!("limits");
        expected["id"] = json!(id);
        assert_eq!(world.ask(key, "PUT", &path, limits.clone()).await.ok(), expected, "{path}");
        assert_eq!(world.get(&path).await.ok(), expected, "{path}");
        for bad in [
            json!({"budgets": [{"period": "week", "amount": "1"}]}),
            json!({"budgets": [{"period": "day", "amount": "-1"}]}),
            json!({"rpm": 5}),
        ] {
            let refused = world.ask(key, "PUT", &path, bad.clone()).await;
            assert_eq!(refused.error().0, 400, "{path} {bad}");
        }
        assert_eq!(world.get(&path).await.ok(), expected, "{path}");
        world.ask(key, "PUT", &path, json!({})).await.ok();
        assert_eq!(world.get(&path).await.ok(), json!({"object": "limits", "id": id}));
    }
}
