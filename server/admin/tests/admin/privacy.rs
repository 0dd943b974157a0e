//! All that is stored of an organization, told to its owners.

use serde_json::Value;
use server_store::{Response, Store};

use crate::usage::bill;
use crate::world::{Organization, World, whose};

const EXPORT: &str = "/api/v1/organization/export";

async fn keep(store: &Store, of: &Organization, said: &str) {
    let made = Response {
        id: format!("resp_{}", of.id),
        status: "completed".to_owned(),
        body: format!("{{\"said\":\"{said}\"}}"),
        input: "[]".to_owned(),
        ..Response::default()
    };
    store.add_response(&whose(of), &made, &[]).await.unwrap();
}

#[tokio::test]
async fn owners_are_told_all_of_their_own_and_no_secret() {
    let world = World::new().await;
    bill(&world.store, &world.a, 3).await;
    keep(&world.store, &world.a, "xyzzy").await;
    keep(&world.store, &world.b, "plugh").await;
    let answer = world.get(EXPORT).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let rows: Vec<Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let num = |table: &str| rows.iter().filter(|it| it["table"] == table).count();
    assert_eq!((num("organizations"), num("ledger"), num("responses")), (1, 6, 1));
    let of_project = |it: &&Value| it["row"]["project_id"] == world.a.project.as_str();
    let responses = rows.iter().filter(|it| it["table"] == "responses");
    assert_eq!(responses.filter(of_project).count(), 1);
    assert!(answer.text.contains("xyzzy") && !answer.text.contains("plugh"));
    for secret in [&world.a.admin_secret, "aws_secret", "\"hash\":null"] {
        assert!(!answer.text.contains(secret), "{secret}");
    }
    // Again: the place is free.
    for _ in 0..5 {
        assert_eq!(world.get(EXPORT).await.status, 200);
    }
}
