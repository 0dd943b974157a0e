//! What the description does not say: ids in places that it leaves open, and what is remembered
//! without an id.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::document::Asked;
use crate::other::told;
use crate::tenant::{Caller, PASSWORD};
use crate::world::{World, nobody};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

/// What is kept in memory is each project's own, and what was computed each organization's.
pub(crate) fn nothing_is_remembered_for_others(world: &World) {
    answers_to_repeat(world);
    prompts_in_the_cache(world);
}

/// Ids in what the description calls objects of any kind.
pub(crate) fn foreign_ids(world: &World, marks: &BTreeSet<String>, wrong: &mut Vec<String>) {
    let World { a, b, stranger, .. } = world;
    let of = |kind: &str| a.ids.of(kind);
    let login = json!({"email": "beta.owner@example.com", "password": PASSWORD,
        "organization": of("organization")});
    let item = json!([{"type": "item_reference", "id": of("item")}]);
    let mut requests = vec![(nobody(), "/api/v1/auth/login".to_owned(), login)];
    for (key, ids) in [(&b.key, &b.ids), (&stranger.key, &stranger.ids)] {
        let items = format!("/v1/conversations/{}/items", ids.of("conversation"));
        requests.push((key.clone(), items, json!({"items": item})));
        for asked in [
            json!({"model": "llama", "input": "x", "conversation": of("conversation")}),
            json!({"model": "llama", "input": "x", "conversation": {"id": of("conversation")}}),
            json!({"model": "llama", "input": "x", "previous_response_id": of("response")}),
            json!({"model": "llama", "input": item}),
        ] {
            for path in [RESPONSES.to_owned(), format!("{RESPONSES}/input_tokens")] {
                requests.push((key.clone(), path, asked.clone()));
            }
        }
    }
    for (caller, path, body) in &requests {
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
    let ask = |key: &Caller| {
        let caller = key.clone().with("Idempotency-Key", "the same");
        let body = json!({"model": "llama", "input": "x", "max_output_tokens": 1, "store": false});
        world.site.send(&caller, "POST", RESPONSES, &body)
    };
    let (first, again) = (ask(&world.a.key), ask(&world.a.key));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    for key in [&world.b.key, &world.stranger.key] {
        let others = ask(key);
        assert_ne!(first.json()["id"], others.json()["id"], "{}", key.what);
        assert_eq!(others.header("idempotent-replayed"), None, "{}", key.what);
    }
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
    let World { b, stranger, .. } = world;
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
    let list = world.site.json(&stranger.key, "GET", CHAT, &Value::Null);
    let ids: Vec<&Value> =
        list["data"].as_array().expect("a list").iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, [stranger.ids.of("completion")]);
}
