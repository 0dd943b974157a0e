//! The description of these routes, and the page of them in the docs.

use std::collections::BTreeSet;

use axum::http::Request;
use serde_json::Value;

use crate::world::World;

const PAGE: &str = include_str!("../../../../docs/LOGIN.md");

#[tokio::test]
async fn the_docs_name_every_route_and_no_other() {
    let ours = serde_json::to_value(server_login::document()).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in ours["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        described.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.map(str::to_owned).collect::<BTreeSet<_>>(), described);
}

#[tokio::test]
async fn the_description_is_whole_beside_that_of_the_models_api() {
    let world = World::open().await;
    let text = world.send(Request::get("/openapi.json"), &Value::Null).await.text;
    let document: Value = serde_json::from_str(&text).unwrap();
    let operations = document["paths"].as_object().unwrap().values();
    let operations: Vec<&Value> =
        operations.flat_map(|methods| methods.as_object().unwrap().values()).collect();
    let ids: BTreeSet<_> = operations.iter().map(|it| it["operationId"].as_str()).collect();
    assert_eq!(ids.len(), operations.len());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    // No schema of one API hides one of the other.
    let ours = serde_json::to_value(server_login::document()).unwrap();
    for (name, schema) in ours["components"]["schemas"].as_object().unwrap() {
        assert_eq!(schemas[name], *schema, "{name}");
    }
}
