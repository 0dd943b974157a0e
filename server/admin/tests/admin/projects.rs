//! Projects and their rate limits.

use serde_json::{Value, json};

use crate::world::{World, operator, unix};

const PROJECTS: &str = "/v1/organization/projects";

#[tokio::test]
async fn a_project_is_made_renamed_and_archived() {
    let world = World::new().await;
    let made = world.post(PROJECTS, json!({"name": "Search", "geography": "EU"})).await.ok();
    let id = made["id"].as_str().unwrap();
    let created_at = made["created_at"].as_i64().unwrap();
    assert!(id.starts_with("proj_") && (unix() - created_at).abs() < 60, "{made}");
    let mut expected = json!({"object": "organization.project", "id": id, "name": "Search",
        "created_at": created_at, "archived_at": null, "status": "active",
        "store_prompts": null, "retention_days": null});
    assert_eq!(made, expected);
    let path = format!("{PROJECTS}/{id}");
    assert_eq!(world.get(&path).await.ok(), expected);
    expected["name"] = json!("Find");
    assert_eq!(world.post(&path, json!({"name": "Find"})).await.ok(), expected);
    let archived = world.post(&format!("{path}/archive"), Value::Null).await.ok();
    assert_eq!(archived["status"], "archived");
    assert!(archived["archived_at"].is_i64(), "{archived}");
    let refused = world.post(&path, json!({"name": "Seek"})).await;
    assert_eq!(refused.error().0, 400);
    let list = world.get(PROJECTS).await.ok();
    assert!(!list.to_string().contains(id), "{list}");
    let list = world.get(&format!("{PROJECTS}?include_archived=true")).await.ok();
    assert!(list.to_string().contains(id), "{list}");
    let missing = world.get(&format!("{PROJECTS}/proj_none")).await;
    assert_eq!(missing.error().0, 404);
    assert!(missing.text.contains("Project with id 'proj_none' not found."), "{}", missing.text);
}

#[tokio::test]
async fn the_project_of_keys_that_name_none_is_not_archived() {
    let world = World::new().await;
    let may = operator(&world.a.id);
    world.store.create_project(&may, Some("default"), "Default").await.unwrap();
    let path = format!("{PROJECTS}/default");
    let refused = world.post(&format!("{path}/archive"), Value::Null).await;
    let (status, code, _) = refused.error();
    assert_eq!((status, code.as_deref()), (400, Some("cannot_be_archived")), "{}", refused.text);
    assert!(refused.text.contains("what names no project is in it"), "{}", refused.text);
    assert_eq!(world.get(&path).await.ok()["status"], "active");
}

#[tokio::test]
async fn a_project_says_what_is_stored_of_what_people_say() {
    let world = World::new().await;
    let asked = json!({"name": "p", "store_prompts": "when_asked", "retention_days": 7});
    let made = world.post(PROJECTS, asked).await.ok();
    let said = |it: &Value| (it["store_prompts"].clone(), it["retention_days"].clone());
    assert_eq!(said(&made), (json!("when_asked"), json!(7)));
    let path = format!("{PROJECTS}/{}", made["id"].as_str().unwrap());
    for (patch, expected) in [
        (json!({"name": "q"}), (json!("when_asked"), json!(7))),
        (json!({"store_prompts": "never"}), (json!("never"), json!(7))),
        (json!({"retention_days": null}), (json!("never"), Value::Null)),
        (json!({"store_prompts": null}), (Value::Null, Value::Null)),
    ] {
        assert_eq!(said(&world.post(&path, patch).await.ok()), expected);
    }
    assert_eq!(world.get(&path).await.ok()["name"], "q");
    for (days, param) in [(0, "retention_days"), (3651, "retention_days")] {
        let refused = world.post(PROJECTS, json!({"name": "r", "retention_days": days})).await;
        assert_eq!((refused.error().0, refused.error().2.as_deref()), (400, Some(param)));
    }
    let refused = world.post(&path, json!({"store_prompts": "always"})).await;
    assert_eq!(refused.error().0, 400);
    assert!(refused.text.contains("'always' is no choice"), "{}", refused.text);
    let list = world.get(PROJECTS).await.ok();
    assert!(!list.to_string().contains("\"r\""), "{list}");
    let logs = world.get("/v1/organization/audit_logs?event_types[]=project.updated").await.ok();
    assert!(logs.to_string().contains("\"store_prompts\":\"never\""), "{logs}");
}

#[tokio::test]
async fn lists_come_a_page_at_a_time() {
    let world = World::new().await;
    let mut ids = vec![world.a.project.clone()];
    for idx in 0..4 {
        let made = world.post(PROJECTS, json!({"name": format!("p{idx}")})).await.ok();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("{PROJECTS}?limit=2{after}")).await.ok();
        assert_eq!(page["object"], "list");
        let data = page["data"].as_array().unwrap();
        assert_eq!(page["first_id"], data[0]["id"]);
        assert_eq!(page["last_id"], data[data.len() - 1]["id"]);
        found.extend(data.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            break;
        }
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
    // Those of one second are in the order of their ids.
    ids.sort();
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!((sorted, found.len()), (ids, 5));
    let before = world.get(&format!("{PROJECTS}?limit=2&before={}", found[4])).await.ok();
    let data: Vec<&Value> = before["data"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(data, [&json!(found[2]), &json!(found[3])]);
    assert_eq!(before["has_more"], true);
    let lost = world.get(&format!("{PROJECTS}?after=proj_none")).await;
    assert_eq!((lost.error().0, lost.error().2.as_deref()), (400, Some("after")));
}

#[tokio::test]
async fn a_project_has_one_rate_limit_of_all_models() {
    let world = World::new().await;
    let path = format!("{PROJECTS}/{}/rate_limits", world.a.project);
    let limit = |requests: Value, tokens: Value| {
        json!({"object": "project.rate_limit", "id": "rl-all", "model": "*",
            "max_requests_per_1_minute": requests, "max_tokens_per_1_minute": tokens})
    };
    let list = world.get(&path).await.ok();
    let none = limit(Value::Null, Value::Null);
    assert_eq!(
        list,
        json!({"object": "list", "data": [none], "first_id": "rl-all",
        "last_id": "rl-all", "has_more": false})
    );
    let one = format!("{path}/rl-all");
    let set = world.post(&one, json!({"max_requests_per_1_minute": 60})).await.ok();
    assert_eq!(set, limit(json!(60), Value::Null));
    let set = world.post(&one, json!({"max_tokens_per_1_minute": 9000})).await.ok();
    assert_eq!(set, limit(json!(60), json!(9000)));
    assert_eq!(world.get(&path).await.ok()["data"][0], set);
    let refused = world.post(&one, json!({"max_images_per_1_minute": 5})).await;
    assert_eq!(refused.error().2.as_deref(), Some("max_images_per_1_minute"));
    let missing = world.post(&format!("{path}/rl-mock"), json!({})).await;
    assert_eq!(missing.error().0, 404);
    // The same limits, in our own words.
    let path = format!("/api/v1/organization/projects/{}/limits", world.a.project);
    let limits = world.get(&path).await.ok();
    assert_eq!(limits["requests_per_minute"], 60);
    assert_eq!(limits["output_tokens_per_minute"], 9000);
}
