//! What of a conversation reaches the model's template, whatever API it came by.

use std::sync::Arc;

use axum::Router;
use engine_mock::{MockEngine, MockModel};
use engine_text::TextModel;
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::{AppState, Metrics, ServedModel, router};

use crate::common::{EOS, LIMITS, post, served};

/// Writes what no template of the small models has, one character to a token.
const TEMPLATE: &str = "{% for m in messages %}{{ m.name }}{{ m.reasoning_content }}\
                        {{ m.content }}{% endfor %}{% if enable_thinking %}[think]{% endif %}";

fn with_template() -> Router {
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(LIMITS, MockModel::scripted("ok", EOS));
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    let text = Arc::new(TextModel::byte_level_with(TEMPLATE).unwrap());
    router(AppState::builder().model(ServedModel { text, ..model }).metrics(metrics).build())
}

/// How many more tokens a prompt has with `more` in its request.
async fn added(router: &Router, path: &str, pointer: &str, (plain, more): (Value, Value)) -> i64 {
    let mut counts = Vec::new();
    for body in [&plain, &more] {
        let mut body = body.clone();
        body["model"] = "mock".into();
        let (_, answer) = post(router, path, body).await;
        counts.push(answer.pointer(pointer).and_then(Value::as_i64).unwrap());
    }
    counts[1] - counts[0]
}

#[tokio::test]
async fn chats_reach_the_template() {
    let router = with_template();
    let turns = |more: Value| {
        let mut said = json!({"role": "assistant", "content": "A"});
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"messages": [{"role": "user", "content": "Hi"}, said]})
    };
    let plain = turns(json!({}));
    let mut thinks = plain.clone();
    thinks["chat_template_kwargs"] = json!({"enable_thinking": true});
    for (more, expected) in [
        (turns(json!({"name": "Ann"})), 3),
        (turns(json!({"reasoning_content": "Hm."})), 3),
        (thinks, 7),
    ] {
        let pair = (plain.clone(), more);
        for (path, pointer) in
            [("/v1/chat/completions", "/usage/prompt_tokens"), ("/tokenize", "/count")]
        {
            assert_eq!(added(&router, path, pointer, pair.clone()).await, expected, "{pair:?}");
        }
    }
}

#[tokio::test]
async fn messages_reach_the_template() {
    let router = with_template();
    let turns = |blocks: Value, thinking: &str| {
        let ask = json!({"role": "user", "content": "Hi"});
        let said = json!({"role": "assistant", "content": blocks});
        json!({"messages": [ask, said, ask], "max_tokens": 4, "thinking": {"type": thinking}})
    };
    let text = json!({"type": "text", "text": "A"});
    let thought = json!({"type": "thinking", "thinking": "Hm."});
    let plain = turns(json!([text]), "disabled");
    for (more, expected) in
        [(turns(json!([thought, text]), "disabled"), 3), (turns(json!([text]), "enabled"), 7)]
    {
        let pair = (plain.clone(), more);
        let path = "/v1/messages/count_tokens";
        assert_eq!(added(&router, path, "/input_tokens", pair.clone()).await, expected);
        // What is cached of the prompt is told apart from the rest of it.
        let all = |usage: &Value| {
            usage["input_tokens"].as_i64().unwrap()
                + usage["cache_read_input_tokens"].as_i64().unwrap()
        };
        let mut counts = Vec::new();
        for mut body in [pair.0, pair.1] {
            body["model"] = "mock".into();
            let (_, answer) = post(&router, "/v1/messages", body).await;
            counts.push(all(&answer["usage"]));
        }
        assert_eq!(counts[1] - counts[0], expected);
    }
}

#[tokio::test]
async fn items_reach_the_template() {
    let router = with_template();
    let (ask, said) =
        (json!({"role": "user", "content": "Hi"}), json!({"role": "assistant", "content": "A"}));
    let plain = json!({"input": [ask, said, ask]});
    for thought in [
        json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}),
        json!({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}),
    ] {
        let pair = (plain.clone(), json!({"input": [ask, thought, said, ask]}));
        for (path, pointer) in [
            ("/v1/responses", "/usage/input_tokens"),
            ("/v1/responses/input_tokens", "/input_tokens"),
        ] {
            assert_eq!(added(&router, path, pointer, pair.clone()).await, 3, "{thought}");
        }
    }
}

#[tokio::test]
async fn blocks_of_bedrock_reach_the_template() {
    let router = with_template();
    let turns = |blocks: Value, thinking: &str| {
        let ask = json!({"role": "user", "content": [{"text": "Hi"}]});
        let said = json!({"role": "assistant", "content": blocks});
        json!({"messages": [ask, said, ask],
            "additionalModelRequestFields": {"thinking": {"type": thinking}}})
    };
    let text = json!({"text": "A"});
    let thought = json!({"reasoningContent": {"reasoningText": {"text": "Hm."}}});
    let plain = turns(json!([text]), "disabled");
    for (more, expected) in
        [(turns(json!([thought, text]), "disabled"), 3), (turns(json!([text]), "enabled"), 7)]
    {
        let pair = (plain.clone(), more);
        // What is said is always the same.
        let pointer = "/usage/totalTokens";
        assert_eq!(added(&router, "/model/mock/converse", pointer, pair).await, expected);
    }
}
