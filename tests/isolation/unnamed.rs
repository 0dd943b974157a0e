//! What the description does not say: ids in places that it leaves open, and what is remembered
//! without an id.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::document::Asked;
use crate::other::told;
use crate::tenant::{Caller, PASSWORD, Tenant};
use crate::world::{World, nobody};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

/// What is kept in memory is each organization's own.
pub(crate) fn nothing_is_remembered_for_others(world: &World) {
    answers_to_repeat(world);
    prompts_in_the_cache(world);
}

/// Ids in what the description calls objects of any kind.
pub(crate) fn foreign_ids(world: &World, marks: &BTreeSet<String>, wrong: &mut Vec<String>) {
    let World { a, b, .. } = world;
    let of = |kind: &str| a.ids.of(kind);
    let item = json!([{"type": "item_reference", "id": of("item")}]);
    let conversation = format!("/v1/conversations/{}/items", b.ids.of("conversation"));
    let login = json!({"email": "beta.owner@example.com", "password": PASSWORD,
        "organization": of("organization")});
    let requests = [
        (
            &b.key,
            RESPONSES,
            json!({"model": "llama", "input": "x", "conversation": of("conversation")}),
        ),
        (&b.key, RESPONSES, json!({"model": "llama", "input": item})),
        (&b.key, &conversation, json!({"items": item})),
        (&nobody(), "/api/v1/auth/login", login),
    ];
    for (caller, path, body) in requests {
        let sent = Some(("application/json".to_owned(), body.to_string()));
        let asked = Asked::plain("POST", path, sent);
        let answer = world.site.ask(caller, &asked);
        let mut what = told(marks, (&asked, &answer), caller);
        if !matches!(answer.status, 400 | 403 | 404) {
            what.push("it is let in".to_owned());
        }
        let what = what.into_iter().map(|it| format!("{path} {body}: {it}: {answer:?}"));
        wrong.extend(what);
    }
}

/// What one client's `Idempotency-Key` was answered, another's is not.
fn answers_to_repeat(world: &World) {
    let ask = |tenant: &Tenant| {
        let caller = tenant.key.clone().with("Idempotency-Key", "the same");
        let body = json!({"model": "llama", "input": "x", "max_output_tokens": 1, "store": false});
        world.site.send(&caller, "POST", RESPONSES, &body)
    };
    let first = ask(&world.a);
    let (again, others) = (ask(&world.a), ask(&world.b));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_ne!(first.json()["id"], others.json()["id"]);
    assert_eq!(others.header("idempotent-replayed"), None);
}

/// Whether somebody said the same before.
fn prompts_in_the_cache(world: &World) {
    let cached = |caller: &Caller| {
        let said = "alpha knows what nobody else does. ".repeat(4);
        let body = json!({"model": "llama", "max_tokens": 1,
            "messages": [{"role": "user", "content": said}]});
        let told = world.site.json(caller, "POST", CHAT, &body);
        told["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("a number")
    };
    assert_eq!(cached(&world.a.key), 0);
    assert!(cached(&world.a.key) > 0);
    assert_eq!(cached(&world.b.key), 0);
}

/// Lists without another's things are not empty for that.
pub(crate) fn lists_have_their_own(world: &World) {
    let b = &world.b;
    let keys = format!("/v1/organization/projects/{}/api_keys", b.ids.of("project"));
    let lists = [
        (&b.admin, "/v1/organization/projects", "project"),
        (&b.admin, &keys, "key"),
        (&b.admin, "/v1/organization/users", "user"),
        (&b.key, CHAT, "completion"),
    ];
    for (caller, path, kind) in lists {
        let list = world.site.json(caller, "GET", path, &Value::Null);
        let id = b.ids.of(kind);
        assert!(list.to_string().contains(id), "{path} has no {id}: {list}");
    }
}
