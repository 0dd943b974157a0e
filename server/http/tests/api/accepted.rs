//! OpenAI's options that leave the answer as it is: urgency, predictions, thoughts, names.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Map, Value, json};

use crate::bad_input::{CHAT, PLAIN, hello, raw};
use crate::common::{EOS, events, post, roomy, says, server};

#[tokio::test]
async fn the_tier_is_told_to_who_asks_by_name() {
    let server = says("ok");
    let cases = [
        (json!({"service_tier": "auto"}), json!("default")),
        (json!({"service_tier": "scale"}), json!("default")),
        (json!({"service_tier": "flex"}), json!("flex")),
        (json!({"service_tier": "priority"}), json!("priority")),
        (json!({"service_tier": "fast"}), json!("priority")),
        (json!({"service_tier": "priority", "priority": 5}), json!("flex")),
        (json!({"priority": -5}), Value::Null),
        (json!({}), Value::Null),
    ];
    for (more, expected) in cases {
        let (status, answer) = post(&server.router, CHAT, hello(more.clone())).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["service_tier"], expected, "{more}");
        let mut more = more;
        more["stream"] = json!(true);
        let pieces = events(&server.router, CHAT, hello(more)).await;
        assert!(pieces.iter().all(|piece| piece["service_tier"] == expected));
    }
}

#[tokio::test]
async fn a_response_always_tells_its_tier() {
    let server = says("ok");
    for (tier, told) in [
        (Value::Null, "default"),
        (json!("auto"), "default"),
        (json!("scale"), "default"),
        (json!("flex"), "flex"),
        (json!("priority"), "priority"),
        (json!("fast"), "priority"),
    ] {
        let body = json!({"model": "mock", "input": "a", "service_tier": tier});
        let (status, answer) = post(&server.router, "/v1/responses", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["service_tier"], told, "{tier}");
    }
}

#[tokio::test]
async fn what_was_predicted_comes_in_fewer_steps() {
    let text: String = ('!'..='~').collect();
    let run = async |more: Value| {
        let server = server(MockModel::scripted(&text, EOS));
        let (status, answer) = post(&server.router, CHAT, hello(more)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["choices"][0]["message"]["content"], text);
        let details = answer["usage"]["completion_tokens_details"].clone();
        (server.handle.stats().steps, details)
    };
    let (plain, details) = run(json!({})).await;
    let none = json!({"reasoning_tokens": 0, "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0});
    assert_eq!(details, none);
    let changed = text.replace('M', "mm");
    let parts =
        json!([{"type": "text", "text": &changed[..40]}, {"type": "text", "text": &changed[40..]}]);
    for content in [json!(changed), parts] {
        let prediction = json!({"type": "content", "content": content});
        let (steps, details) = run(json!({"prediction": prediction})).await;
        assert!(steps < plain / 2, "{steps} of {plain}");
        let count = |field: &str| details[field].as_u64().unwrap();
        assert!(count("accepted_prediction_tokens") > 50, "{details}");
        assert!(count("rejected_prediction_tokens") > 0, "{details}");
        assert_eq!(count("reasoning_tokens"), 0);
    }
}

#[tokio::test]
async fn thoughts_are_counted() {
    let server = roomy(MockModel::scripted("<think>\nHm, so.\n</think>\n\nHi", EOS));
    let (_, answer) = post(&server.router, CHAT, hello(json!({}))).await;
    let thought = answer["choices"][0]["message"]["reasoning_content"].as_str().unwrap();
    assert!(thought.contains("Hm, so."), "{answer}");
    let expected = json!({"reasoning_tokens": thought.len(), "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0});
    assert_eq!(answer["usage"]["completion_tokens_details"], expected);
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let pieces = events(&server.router, CHAT, hello(more)).await;
    let usage = &pieces.last().unwrap()["usage"];
    assert_eq!(
        usage["completion_tokens_details"]["reasoning_tokens"],
        expected["reasoning_tokens"]
    );
}

#[tokio::test]
async fn names_and_efforts_are_taken() {
    let server = says("ok");
    let metadata: Map<String, Value> =
        (0..16).map(|idx| (format!("{idx:064}"), json!("é".repeat(512)))).collect();
    let more = json!({"metadata": metadata, "safety_identifier": "a", "prompt_cache_key": "b",
        "verbosity": "low", "prompt_cache_retention": "24h", "user": "c", "store": false,
        "stream_options": null});
    let (status, answer) = post(&server.router, CHAT, hello(more)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    for effort in ["none", "minimal", "low", "medium", "high", "xhigh", "max"] {
        let more = json!({"reasoning_effort": effort});
        assert_eq!(post(&server.router, CHAT, hello(more)).await.0, StatusCode::OK, "{effort}");
    }
}

#[tokio::test]
async fn what_is_wrong_of_them_is_named() {
    let server = says("ok");
    let pairs = |num: usize| (0..num).map(|idx| (idx.to_string(), json!("x"))).collect();
    let pairs: Map<String, Value> = pairs(17);
    let cases = [
        (json!({"service_tier": "gold"}), "service_tier"),
        (json!({"priority": "high"}), "priority"),
        (json!({"priority": 1.5}), "priority"),
        (json!({"metadata": pairs}), "metadata"),
        (json!({"metadata": {"k".repeat(65): ""}}), "metadata"),
        (json!({"metadata": {"k": "v".repeat(513)}}), "metadata"),
        (json!({"metadata": {"k": 1}}), "metadata.k"),
        (json!({"reasoning_effort": "little"}), "reasoning_effort"),
        (json!({"verbosity": "mute"}), "verbosity"),
        (json!({"prediction": {"type": "guess", "content": "a"}}), "prediction.type"),
        (json!({"prediction": {"type": "content"}}), "prediction.content"),
        (
            json!({"prediction": {"type": "content", "content": [{"type": "image_url"}]}}),
            "prediction.content[0].type",
        ),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"function_call": "auto"}), "function_call"),
        (json!({"moderation": {"model": "m"}}), "moderation"),
    ];
    for (more, param) in cases {
        let (status, answer) = raw(&server, CHAT, hello(more.clone()).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more}");
        assert_eq!(answer["error"]["param"], param, "{answer}");
    }
    let (_, answer) = raw(&server, CHAT, hello(json!({"functions": [{}]})).to_string()).await;
    assert!(answer["error"]["message"].as_str().unwrap().ends_with("Use 'tools'."), "{answer}");
    let body = json!({"model": "mock", "prompt": "a", "service_tier": "gold"});
    let (status, _) = raw(&server, PLAIN, body.to_string()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let body = json!({"model": "mock", "max_tokens": 1, "service_tier": "gold",
        "messages": [{"role": "user", "content": "a"}]});
    let (status, answer) = raw(&server, "/v1/messages", body.to_string()).await;
    assert_eq!((status, &answer["type"]), (StatusCode::BAD_REQUEST, &json!("error")));
}

#[tokio::test]
async fn a_refusal_is_what_an_assistant_said_and_developers_are_the_system() {
    let server = says("ok");
    let tokens = async |messages: Value| {
        let (status, answer) =
            raw(&server, "/tokenize", json!({"messages": messages}).to_string()).await;
        (status, answer)
    };
    let chat = |role: &str, content: Value| json!([{"role": role, "content": content}]);
    let refusal = json!([{"type": "refusal", "refusal": "No."}]);
    let text = json!([{"type": "text", "text": "No."}]);
    let refused = tokens(chat("assistant", refusal.clone())).await;
    assert_eq!(refused.0, StatusCode::OK);
    assert_eq!(refused, tokens(chat("assistant", text.clone())).await);
    let told = tokens(chat("developer", text.clone())).await;
    assert_eq!(told, tokens(chat("system", text)).await);
    let (status, answer) = tokens(chat("user", refusal)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"]["param"], "messages[0].content[0].type");
    let empty = tokens(chat("assistant", json!([{"type": "refusal"}]))).await;
    assert_eq!(empty.1["error"]["param"], "messages[0].content[0].refusal");
}
