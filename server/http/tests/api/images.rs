//! Images in chats: what a model that sees is given, and what is refused.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use engine_core::{EncoderInfo, EncoderOutput, EngineLimits};
use engine_mock::{MockEncoder, MockEngine, MockImageReader, MockModel};
use engine_text::TextModel;
use scheduler_batching::{EncoderHandle, EncodingConfig, NoObserver, PlannerConfig, spawn_encoder};
use serde_json::{Value, json};
use server_http::{AppState, AppStateBuilder, HttpLimits, Metrics, ServedModel, Vision, router};

use crate::common::{LIMITS, post, served};

/// As models that see have it: contents are lists of parts.
const TEMPLATE: &str = "{% for m in messages %}{{ m['role'] }}:{% for part in m['content'] %}\
                        {% if part['type'] == 'image' %}{{ '<bos>' }}\
                        {% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}\
                        {% endfor %};{% endfor %}";
/// Stands for a row of an image in the tokenizer of tests.
const MARK: &str = "<bos>";
const TOKEN: u32 = 256;
const PATH: &str = "/v1/chat/completions";

pub(crate) struct Seeing {
    pub(crate) router: Router,
    pub(crate) encoder: EncoderHandle,
}

/// A model that sees, and at most three images a request.
pub(crate) fn seeing() -> Seeing {
    let (state, encoder) = builder();
    Seeing { router: router(state.build()), encoder }
}

/// The same yet to be built, and the way to what it sees with.
pub(crate) fn builder() -> (AppStateBuilder, EncoderHandle) {
    let limits = EngineLimits { max_model_len: 400, ..LIMITS };
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(limits, MockModel::default());
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    let info = EncoderInfo {
        max_input_len: 100,
        max_batch_tokens: 100,
        vocab_size: TOKEN as usize + 1,
        output: EncoderOutput::Rows { width: 3 },
    };
    let encoder = Box::new(MockEncoder::new(info));
    let (encoder, _driver) =
        spawn_encoder(encoder, EncodingConfig::default(), Box::new(NoObserver));
    let reader = Arc::new(MockImageReader::new(MARK, TOKEN, 3));
    let vision = Some(Arc::new(Vision::new(reader, encoder.clone(), 1 << 20)));
    let text = Arc::new(TextModel::byte_level_with(TEMPLATE).unwrap());
    let limits = HttpLimits { max_images: 3, ..HttpLimits::default() };
    let model = ServedModel { text, vision, ..model };
    (AppState::builder().model(model).metrics(metrics).limits(limits), encoder)
}

pub(crate) fn data_url(image: &str) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(image))
}

fn image(image: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": data_url(image), "detail": "auto"}})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn chat(parts: Value) -> Value {
    json!({"model": "mock", "messages": [{"role": "user", "content": parts}], "max_tokens": 8,
        "temperature": 0, "seed": 1})
}

/// What was said, the tokens of the prompt, and how many of them were cached.
async fn said(router: &Router, body: Value) -> (String, u64, u64) {
    let (status, answer) = post(router, PATH, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let usage = &answer["usage"];
    (
        answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned(),
        usage["prompt_tokens"].as_u64().unwrap(),
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap(),
    )
}

/// The field and the message of a 400.
async fn refused(router: &Router, body: Value) -> (String, String) {
    let (status, answer) = post(router, PATH, body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let error = &answer["error"];
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    (text("param"), text("message"))
}

#[tokio::test]
async fn what_is_seen_is_what_is_answered_to() {
    let Seeing { router, encoder } = seeing();
    let image = |image: &str| {
        let url = json!({"url": data_url(image), "detail": "auto"});
        json!({"type": "image_url", "image_url": url})
    };
    let ask = |name: &str| chat(json!([image(&format!("image:40:{name}")), text("what is it?")]));
    let first = said(&router, ask("a cat")).await;
    // "user:" and "[", 40 rows, "]", the text and ";".
    assert_eq!((first.1, first.2), (5 + 1 + 40 + 1 + 11 + 1, 0));
    let again = said(&router, ask("a cat")).await;
    assert_eq!((&again.0, again.2), (&first.0, 48), "the same blocks are there");
    assert_eq!(encoder.stats().steps, 1, "and it was encoded once");
    let other = said(&router, ask("a dog")).await;
    assert_eq!(other.2, 0, "another image, though its tokens are the same");
    assert_ne!(other.0, first.0);
    assert_eq!(encoder.stats().steps, 2);
    // Two images at once, one of which was seen before.
    let both = json!([image("image:40:a cat"), text("and"), image("image:2:x"), text("?")]);
    let both = said(&router, chat(both)).await;
    assert_eq!((both.1, both.2), (5 + 42 + 3 + 4 + 1 + 1, 32));
    assert_eq!(encoder.stats().steps, 3);
}

#[tokio::test]
async fn many_who_show_the_same_at_once_have_it_encoded_once() {
    let Seeing { router, encoder } = seeing();
    let ask = || said(&router, chat(json!([image("image:9:x"), text("?")])));
    let all = futures_util::future::join_all((0..5).map(|_| ask())).await;
    assert!(all.iter().all(|(said, ..)| *said == all[0].0));
    assert_eq!(encoder.stats().steps, 1);
}

#[tokio::test]
async fn a_text_is_never_an_image() {
    let Seeing { router, encoder } = seeing();
    // Contents may be plain texts, though the template knows lists only.
    let plain = json!({"model": "mock", "max_tokens": 1,
        "messages": [{"role": "user", "content": "<bos>"}]});
    assert_eq!(said(&router, plain).await.1, 5 + 5 + 1);
    for (parts, expect) in [
        (json!([text("<bos>")]), 5),
        (json!([text("<b"), text("os>")]), 5),
        (json!([text("<bos><bos"), text(">")]), 10),
        (json!([text("<bos>"), image("image:3:x"), text("<bos>")]), 5 + 5 + 5),
        (json!([text("<"), image("image:3:x"), text("bos>")]), 1 + 5 + 4),
    ] {
        let (_, num_prompt, _) = said(&router, chat(parts.clone())).await;
        assert_eq!(num_prompt, 5 + expect + 1, "{parts}");
    }
    assert_eq!(encoder.stats().steps, 1);
}

#[tokio::test]
async fn what_is_no_image_is_refused_by_its_field() {
    let Seeing { router, encoder } = seeing();
    let url = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let at = "messages[0].content[1]";
    for (part, field, says) in [
        (image("a text"), ".image_url.url", "no PNG"),
        (image("image:101:x"), ".image_url.url", "101 rows, the limit is 100"),
        (image("image:5:damaged"), ".image_url.url", "damaged"),
        (url("data:image/png;base64,???"), ".image_url.url", "no valid base64"),
        (url("data:image/png,x"), ".image_url.url", "must be base64"),
        (url("https://a.example/a.png"), ".image_url.url", "does not fetch images"),
        (url("HTTP://127.0.0.1/"), ".image_url.url", "does not fetch images"),
        (url("file:///etc/hostname"), ".image_url.url", "must begin with"),
        (url(""), ".image_url.url", "must begin with"),
        (json!({"type": "image_url"}), ".image_url", "Missing"),
        (json!({"type": "image_url", "image_url": "x"}), ".image_url", "invalid type"),
        (json!({"type": "image", "image_url": {"url": "x"}}), ".type", "'image' is not supported"),
        (json!({"type": "input_audio"}), ".type", "'input_audio' is not supported"),
        (
            json!({"type": "image_url", "image_url": {"url": "data:", "detail": "x"}}),
            ".image_url.detail",
            "'auto'",
        ),
    ] {
        let (param, message) = refused(&router, chat(json!([text("a"), part]))).await;
        assert_eq!(param, format!("{at}{field}"), "{message}");
        assert!(message.contains(says), "{message}");
    }
    let four = vec![image("image:1:x"); 4];
    let (param, message) = refused(&router, chat(four.into())).await;
    assert!(param == "messages[0].content[3].image_url.url" && message.contains("at most 3"));
    let mut system = chat(json!([image("image:1:x")]));
    system["messages"][0]["role"] = "system".into();
    let (param, message) = refused(&router, system).await;
    assert!(param == "messages[0].content[0].type" && message.contains("role 'user'"));
    // What does not fit the context is not decoded.
    let large = json!([image("image:90:x"), text(&"a".repeat(400))]);
    let (param, message) = refused(&router, chat(large)).await;
    assert!(param == "messages" && message.contains("maximum context length"), "{message}");
    assert_eq!(encoder.stats().steps, 0);
}

#[tokio::test]
async fn a_model_without_eyes_says_so() {
    let router = crate::common::says("ok").router;
    let (param, message) = refused(&router, chat(json!([text("a"), image("image:1:x")]))).await;
    assert_eq!(param, "messages[0].content[1].image_url.url");
    assert!(message.contains("`mock` cannot see images"), "{message}");
}

#[tokio::test]
async fn other_apis_send_images_in_their_words() {
    let Seeing { router, encoder } = seeing();
    let source = json!({"type": "base64", "media_type": "image/png",
        "data": BASE64_STANDARD.encode("image:7:x")});
    let block = json!({"type": "image", "source": source});
    let messages = json!([{"role": "user", "content": [block, text("a")]}]);
    let body = json!({"model": "mock", "max_tokens": 2, "messages": messages});
    let (status, answer) = post(&router, "/v1/messages", body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["usage"]["input_tokens"], 5 + 9 + 1 + 1);
    let (_, counted) = post(&router, "/v1/messages/count_tokens", body).await;
    assert_eq!(counted["input_tokens"], 16);
    let part = json!({"type": "input_image", "image_url": data_url("image:7:x")});
    let content = json!([part, {"type": "input_text", "text": "a"}]);
    let input = json!([{"role": "user", "content": content}]);
    let body = json!({"model": "mock", "max_output_tokens": 2, "input": input, "store": false});
    let (status, answer) = post(&router, "/v1/responses", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["usage"]["input_tokens"], 16);
    let messages = json!([{"role": "user", "content": [image("image:7:x"), text("a")]}]);
    let (_, answer) = post(&router, "/tokenize", json!({"messages": messages})).await;
    assert_eq!(answer["count"], 16);
    assert_eq!(encoder.stats().steps, 1, "all were the same image");
    for (source, says) in [
        (json!({"type": "file", "file_id": "x"}), "'base64' or 'url'"),
        (json!({"type": "url", "url": "https://a.example/"}), "does not fetch images"),
        (json!({"type": "url", "url": "x"}), "'messages[0].content[1].source.url' cannot be had"),
        (json!({"type": "base64", "data": "x"}), "media_type"),
        (
            json!({"type": "base64", "media_type": "image/png", "data": "x"}),
            "'messages[0].content[1].source.data' cannot be had",
        ),
    ] {
        let bad = json!({"type": "image", "source": source});
        let before = json!({"type": "text", "text": "a"});
        let messages = json!([{"role": "user", "content": [before, bad]}]);
        let body = json!({"model": "mock", "max_tokens": 2, "messages": messages});
        let (status, answer) = post(&router, "/v1/messages", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    }
    let seen = |url: &str, detail: &str| {
        let part = json!({"type": "input_image", "image_url": url, "detail": detail});
        let said = json!({"role": "assistant", "content": "Which?"});
        let input = json!([said, {"role": "user", "content": [part]}]);
        json!({"model": "mock", "instructions": "See.", "input": input, "store": false})
    };
    for (body, field) in [
        (seen("x", "auto"), "image_url"),
        (seen(&data_url("image:7:damaged"), "auto"), "image_url"),
        (seen(&data_url("image:7:x"), "closely"), "detail"),
    ] {
        let (status, answer) = post(&router, "/v1/responses", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let (param, message) = (&answer["error"]["param"], answer["error"]["message"].as_str());
        let place = format!("input[1].content[0].{field}");
        assert_eq!(*param, place, "{answer}");
        assert!(message.unwrap().contains(&format!("'{place}'")), "{answer}");
    }
}
