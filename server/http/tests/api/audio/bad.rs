//! What cannot be done: each is an error in OpenAI's shape that names the field.

use serde_json::json;
use server_http::HttpLimits;

use super::*;
use crate::common::post_request;

const MODEL: (&str, &str) = ("model", "ears");

#[tokio::test]
async fn fields_that_cannot_be_are_named() {
    let (router, file) = (server(), wav("a"));
    for (name, value, says) in [
        ("response_format", "xml", "'verbose_json'"),
        ("response_format", "", "'json'"),
        ("temperature", "hot", "from 0 to 1"),
        ("temperature", "1.1", "from 0 to 1"),
        ("temperature", "-0.1", "from 0 to 1"),
        ("temperature", "NaN", "from 0 to 1"),
        ("language", "xx", "such as 'en'"),
        ("language", "fr", "such as 'en'"),
        ("stream", "maybe", "'true' or 'false'"),
        ("timestamp_granularities[]", "line", "'segment' or 'word'"),
        ("timestamp_granularities[]", "segment", "'verbose_json'"),
        ("timestamp_granularities[]", "word", "'verbose_json'"),
        ("include[]", "logprobs", "'include'"),
        ("chunking_strategy", "server_vad", "'auto'"),
        ("known_speaker_names[]", "agent", "Speakers"),
        ("model", "other", "twice"),
    ] {
        let request = form(TRANSCRIPTIONS, Some(&file), &[MODEL, (name, value)]);
        let (status, param, message) = refused(&router, request).await;
        assert_eq!((status, param), (StatusCode::BAD_REQUEST, json!(name)), "{value}: {message}");
        assert!(message.contains(says), "{name} {value}: {message}");
    }
    let long = "x".repeat((64 << 10) + 1);
    let request = form(TRANSCRIPTIONS, Some(&file), &[MODEL, ("prompt", &long)]);
    assert_eq!(refused(&router, request).await.1, "prompt");
    let fields = [MODEL, ("stream", "true"), ("response_format", "srt")];
    assert_eq!(refused(&router, form(TRANSCRIPTIONS, Some(&file), &fields)).await.1, "stream");
    let fields = [MODEL, ("stream", "true")];
    assert_eq!(refused(&router, form(TRANSLATIONS, Some(&file), &fields)).await.1, "stream");
    // Both must be there.
    assert_eq!(refused(&router, form(TRANSCRIPTIONS, Some(&file), &[])).await.1, "model");
    assert_eq!(refused(&router, form(TRANSCRIPTIONS, None, &[MODEL])).await.1, "file");
}

#[tokio::test]
async fn files_that_are_no_recordings_are_refused() {
    let router = server();
    let whole = wav("a");
    let mut lying = whole.clone();
    // More samples than the file says it is long.
    lying[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    // As programs write that do not know the end when they begin.
    let mut open = lying.clone();
    open[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut rate = whole.clone();
    rate[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut channels = whole.clone();
    channels[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
    for (what, file) in [
        ("nothing", &b""[..]),
        ("text", b"What is this? It is not a recording, but some words that go on for a while."),
        ("zeros", &[0; 5000]),
        ("a header alone", &whole[..44]),
        ("half a header", &whole[..20]),
        ("no samples", &wav_of(&[])),
        ("a rate of no recording", &rate),
        ("more channels than there are", &channels),
        ("more samples than it is long", &lying),
    ] {
        let request = form(TRANSCRIPTIONS, Some(file), &[MODEL]);
        let (status, param, message) = refused(&router, request).await;
        assert_eq!((status, param), (StatusCode::BAD_REQUEST, json!("file")), "{what}: {message}");
        assert!(message.starts_with("The file of 'file' cannot be read: it"), "{message}");
        let is_told = what != "more channels than there are" || message.contains("65535 channels");
        assert!(is_told, "{message}");
    }
    well(&router, form(TRANSCRIPTIONS, Some(&open), &[MODEL])).await;
}

#[tokio::test]
async fn a_recording_that_ends_early_is_written_as_far_as_it_goes() {
    let (router, whole) = (server(), wav("abc"));
    // Two seconds of three, and half a sample.
    let file = &whole[..44 + 64_001];
    let answer = well(&router, form(TRANSCRIPTIONS, Some(file), &[MODEL])).await;
    assert_eq!(answer["text"], "a b");
    for num_bytes in [44, 30] {
        let request = form(TRANSCRIPTIONS, Some(&whole[..num_bytes]), &[MODEL]);
        let (status, param, message) = refused(&router, request).await;
        assert_eq!((status, param), (StatusCode::BAD_REQUEST, json!("file")), "{message}");
        let says = format!("cut off: its header says 96044 bytes, {num_bytes} came");
        assert!(message.contains(&says), "{message}");
    }
}

#[tokio::test]
async fn each_model_does_what_it_is_for() {
    let (router, file) = (server(), wav("a"));
    let ask = |path: &str, model: &'static str| form(path, Some(&file), &[("model", model)]);
    let (status, param, message) = refused(&router, ask(TRANSCRIPTIONS, "mock")).await;
    assert_eq!((status, param), (StatusCode::BAD_REQUEST, json!("model")));
    assert_eq!(
        message,
        "The model `mock` generates text; it cannot transcribe or translate recordings."
    );
    let (status, _, message) = refused(&router, ask(TRANSCRIPTIONS, "other")).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{message}");
    let (_, param, message) = refused(&router, ask(TRANSLATIONS, "english")).await;
    assert_eq!(param, "model");
    assert!(message.contains("English alone"), "{message}");
    let fields = [("model", "english"), ("language", "de")];
    let (_, param, message) = refused(&router, form(TRANSCRIPTIONS, Some(&file), &fields)).await;
    assert_eq!(param, "language");
    assert!(message.contains("English alone"), "{message}");
    well(&router, form(TRANSCRIPTIONS, Some(&file), &[("model", "english"), ("language", "en")]))
        .await;
    // The other way round.
    for (path, body) in [
        ("/v1/chat/completions", json!({"model": "ears", "messages": []})),
        ("/v1/completions", json!({"model": "ears", "prompt": "a"})),
        ("/v1/embeddings", json!({"model": "ears", "input": "a"})),
    ] {
        let (status, param, message) = refused(&router, post_request(path, body.to_string())).await;
        assert_eq!((status, param), (StatusCode::BAD_REQUEST, json!("model")), "{path}: {message}");
        assert!(message.starts_with("The model `ears` writes down recordings; it"), "{message}");
    }
}

#[tokio::test]
async fn forms_that_are_none_are_refused() {
    let router = server();
    let request = post_request(TRANSCRIPTIONS, json!({"model": "ears"}).to_string());
    assert_eq!(refused(&router, request).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (kind, body) in [
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; boundary=x", "nothing of a form"),
        ("multipart/form-data; boundary=x", ""),
        ("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a"),
    ] {
        let request = Request::post(TRANSCRIPTIONS).header("content-type", kind);
        let request = request.body(Body::from(body)).unwrap();
        let (status, _, message) = refused(&router, request).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body:?}: {message}");
    }
    let many = vec![("a", "b"); 65];
    let (status, _, message) = refused(&router, form(TRANSCRIPTIONS, None, &many)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(message.contains("64 fields"), "{message}");
}

#[tokio::test]
async fn files_over_the_limits_are_refused() {
    let limits = HttpLimits {
        max_audio_bytes: 100_000,
        max_audio_seconds: 2,
        max_body_bytes: 1000,
        ..HttpLimits::default()
    };
    let router = router(builder().limits(limits).build());
    let ask = |file: &[u8]| form(TRANSCRIPTIONS, Some(file), &[MODEL]);
    // Bodies of the other routes may be smaller.
    well(&router, ask(&wav("ab"))).await;
    let (status, _, message) = refused(&router, ask(&wav("abcd"))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{message}");
    let (status, _, message) = refused(&router, ask(&vec![0; 500_000])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{message}");
    // Short in bytes, long in time: 8 bits at a low rate.
    let mut slow = wav_of(&vec![0; 20_000]);
    slow[24..28].copy_from_slice(&8_000_u32.to_le_bytes());
    slow[28..32].copy_from_slice(&16_000_u32.to_le_bytes());
    let (status, param, message) = refused(&router, ask(&slow)).await;
    assert_eq!((status, param), (StatusCode::BAD_REQUEST, json!("file")), "{message}");
    assert!(message.contains("longer than 2 s"), "{message}");
}
