//! Images by Bedrock's operations: what a model that sees is given, and what is refused.

use axum::Router;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::bedrock::send;
use crate::common::{get, post_request, says};
use crate::images::{Seeing, seeing};

fn image(image: &str) -> Value {
    let bytes = BASE64_STANDARD.encode(image);
    json!({"image": {"format": "png", "source": {"bytes": bytes}}})
}

fn asked(content: Value) -> Value {
    let config = json!({"maxTokens": 4, "temperature": 0});
    json!({"messages": [{"role": "user", "content": content}], "inferenceConfig": config})
}

async fn post(router: &Router, operation: &str, body: &Value) -> (StatusCode, Vec<u8>) {
    let path = format!("/model/mock/{operation}");
    let (status, headers, answer) = send(router, post_request(&path, body.to_string())).await;
    if status != StatusCode::OK {
        assert_eq!(headers["x-amzn-errortype"], "ValidationException");
    }
    (status, answer)
}

async fn answered(router: &Router, operation: &str, body: &Value) -> Value {
    let (status, answer) = post(router, operation, body).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer));
    serde_json::from_slice(&answer).unwrap()
}

/// The message of a 400, which all operations give that take the request.
async fn refused(router: &Router, body: &Value) -> String {
    let counted = json!({"input": {"converse": body}});
    let (status, streamed) = post(router, "converse-stream", body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for (operation, body) in [("converse", body), ("count-tokens", &counted)] {
        let (status, answer) = post(router, operation, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let answer = String::from_utf8(answer).unwrap().replace("'input.converse.", "'");
        assert_eq!(answer.as_bytes(), streamed, "{operation}: {answer}");
    }
    let answer: Value = serde_json::from_slice(&streamed).unwrap();
    answer["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn converse_takes_images() {
    let Seeing { router, encoder } = seeing();
    // By the points of AWS's cache and what is said before and after it.
    let bytes = BASE64_STANDARD.encode("image:7:x");
    let point = json!({"cachePoint": {"type": "default"}});
    let shown = json!({"image": {"format": "jpeg", "source": {"bytes": bytes}}});
    let body = asked(json!([{"text": "a"}, point, shown, {"text": "b"}]));
    let answer = answered(&router, "converse", &body).await;
    // "user:", "a", "[", 7 rows, "]", "b" and ";".
    assert_eq!(answer["usage"]["inputTokens"], 5 + 1 + 9 + 1 + 1, "{answer}");
    let counted = json!({"input": {"converse": body}});
    let counted = answered(&router, "count-tokens", &counted).await;
    assert_eq!(counted["inputTokens"], 17);
    let (status, frames) = post(&router, "converse-stream", &body).await;
    assert_eq!(status, StatusCode::OK);
    let frames = String::from_utf8_lossy(&frames).into_owned();
    let total = format!("\"totalTokens\":{}", answer["usage"]["totalTokens"]);
    assert!(frames.contains("metadata") && frames.contains(&total), "{frames}");
    assert_eq!(encoder.stats().steps, 1, "it was the same image");
    // Another image is another answer, though its tokens are as many.
    let said = |answer: &Value| answer["output"]["message"]["content"][0]["text"].clone();
    let other = asked(json!([{"text": "a"}, image("image:7:y"), {"text": "b"}]));
    let other = answered(&router, "converse", &other).await;
    assert_ne!(said(&other), said(&answer));
    assert_eq!(encoder.stats().steps, 2);
}

#[tokio::test]
async fn what_is_invoked_takes_images_in_its_makers_words() {
    let Seeing { router, encoder } = seeing();
    let data = BASE64_STANDARD.encode("image:7:x");
    let source = json!({"type": "base64", "media_type": "image/png", "data": data});
    let text = json!({"type": "text", "text": "a"});
    let messages = |image: Value| json!([{"role": "user", "content": [image, text]}]);
    let anthropic = json!({"anthropic_version": "b", "max_tokens": 2,
        "messages": messages(json!({"type": "image", "source": source}))});
    let answer = answered(&router, "invoke", &anthropic).await;
    assert_eq!(answer["usage"]["input_tokens"], 16, "{answer}");
    let url = json!({"url": format!("data:image/png;base64,{data}")});
    let openai = json!({"max_tokens": 2,
        "messages": messages(json!({"type": "image_url", "image_url": url}))});
    let answer = answered(&router, "invoke", &openai).await;
    assert_eq!(answer["usage"]["prompt_tokens"], 16, "{answer}");
    let (status, _) = post(&router, "invoke-with-response-stream", &anthropic).await;
    assert_eq!((status, encoder.stats().steps), (StatusCode::OK, 1));
    let mut bad = anthropic;
    bad["messages"][0]["content"][0]["source"]["data"] = "?".into();
    let (status, answer) = post(&router, "invoke", &bad).await;
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer.contains("'messages[0].content[0].source.data' cannot be had"), "{answer}");
}

#[tokio::test]
async fn what_converse_does_not_take_is_refused_by_its_field() {
    let Seeing { router, encoder } = seeing();
    let of = |image: Value| json!({"image": image});
    let bytes = |bytes: &str| of(json!({"format": "png", "source": {"bytes": bytes}}));
    let s3 = json!({"s3Location": {"uri": "s3://a/b.png"}});
    let at = "messages[0].content[2].image";
    for (block, field, says) in [
        (image("a text"), ".source.bytes", "no PNG"),
        (image("image:101:x"), ".source.bytes", "101 rows, the limit is 100"),
        (image("image:5:damaged"), ".source.bytes", "damaged"),
        (bytes("?"), ".source.bytes", "no valid base64"),
        (bytes("https://a.example/a.png"), ".source.bytes", "no valid base64"),
        (of(json!({"format": "png", "source": {"bytes": 1}})), ".source.bytes", "invalid type"),
        (of(json!({"format": "png", "source": s3})), ".source.s3Location", "Send the image as"),
        (of(json!({"format": "png", "source": {"url": "x"}})), ".source", "unknown variant `url`"),
        (of(json!({"format": "bmp", "source": s3})), ".format", "unknown variant `bmp`"),
        (of(json!({"source": s3})), ".format", "Missing"),
        (of(json!({"format": "png"})), ".source", "Missing"),
    ] {
        let point = json!({"cachePoint": {"type": "default"}});
        let message = refused(&router, &asked(json!([point, {"text": "a"}, block]))).await;
        assert!(message.contains(&format!("'{at}{field}")), "{field}: {message}");
        assert!(message.contains(says), "{message}");
    }
    let four = refused(&router, &asked(vec![image("image:1:x"); 4].into())).await;
    assert!(four.contains("4 images are too many: at most 3"), "{four}");
    let mut answered = asked(json!([image("image:1:x")]));
    answered["messages"][0]["role"] = "assistant".into();
    let message = refused(&router, &answered).await;
    assert!(message.contains("'messages[0].content[0].image' is only allowed"), "{message}");
    let mut system = asked(json!([{"text": "a"}]));
    system["system"] = json!([image("image:1:x")]);
    let message = refused(&router, &system).await;
    assert!(message.contains("Only text is supported in 'system'"), "{message}");
    let blind = says("ok").router;
    let message = refused(&blind, &asked(json!([image("image:1:x")]))).await;
    assert!(message.contains("`mock` cannot see images"), "{message}");
    assert_eq!(encoder.stats().steps, 0);
}

#[tokio::test]
async fn models_that_see_say_so() {
    for (router, takes) in
        [(seeing().router, json!(["TEXT", "IMAGE"])), (says("ok").router, json!(["TEXT"]))]
    {
        let (status, _, models) = get(&router, "/foundation-models").await;
        assert_eq!(status, StatusCode::OK);
        let models: Value = serde_json::from_str(&models).unwrap();
        assert_eq!(models["modelSummaries"][0]["inputModalities"], takes);
    }
}
