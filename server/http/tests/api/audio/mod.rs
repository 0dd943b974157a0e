//! Transcriptions and translations, by a model of speech without weights whose words are known.

mod bad;
mod formats;
mod limits;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use engine_mock::{MockEngine, MockModel, MockSpeech};
use engine_text::TextModel;
use scheduler_batching::{PlannerConfig, SpeechConfig, SpeechHandle, spawn_speech};
use serde_json::Value;
use server_http::{AppState, AppStateBuilder, Metrics, ServedSpeech, router};

use crate::common::{LIMITS, call, served};

pub(crate) const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
pub(crate) const TRANSLATIONS: &str = "/v1/audio/translations";
const BOUNDARY: &str = "----a-boundary";

/// A wav file that says these letters, one a second.
pub(crate) fn wav(letters: &str) -> Vec<u8> {
    let sample = |letter: u8| ((f32::from(letter - b'a') + 0.5) / 25.0 * 32_767.0) as i16;
    let samples: Vec<i16> =
        letters.bytes().flat_map(|letter| vec![sample(letter); 16_000]).collect();
    wav_of(&samples)
}

pub(crate) fn wav_of(samples: &[i16]) -> Vec<u8> {
    let len = samples.len() as u32 * 2;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + len).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    // PCM, one channel, 16 kHz, 16 bits.
    for half in [1_u16, 1] {
        file.extend(half.to_le_bytes());
    }
    file.extend(16_000_u32.to_le_bytes());
    file.extend(32_000_u32.to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(len.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

/// A form with a file and fields.
pub(crate) fn form(path: &str, file: Option<&[u8]>, fields: &[(&str, &str)]) -> Request<Body> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend(head.bytes());
    }
    if let Some(file) = file {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
        );
        body.extend(head.bytes());
        body.extend(file);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::post(path).header("content-type", kind).body(body.into()).unwrap()
}

pub(crate) fn model(id: &str, speech: MockSpeech, metrics: &Metrics) -> ServedSpeech {
    let config = SpeechConfig { max_requests: 3, retry_after_s: 7, ..SpeechConfig::default() };
    let (handle, _driver) = spawn_speech(speech, config, metrics.observer(id));
    ServedSpeech {
        id: id.to_owned(),
        version: "sha256:0123456789abcdef".into(),
        created_unix: 1_700_000_000,
        text: Arc::new(TextModel::byte_level()),
        handle,
    }
}

/// `ears`, which knows two languages, `english`, which knows one, and `mock`, which generates.
pub(crate) fn builder() -> AppStateBuilder {
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(LIMITS, MockModel::default());
    AppState::builder()
        .model(served("mock", engine, PlannerConfig::default(), &metrics))
        .model(model("ears", MockSpeech::new(&["de", "en"]), &metrics))
        .model(model("english", MockSpeech::new(&[]), &metrics))
        .metrics(metrics)
}

pub(crate) fn server() -> Router {
    router(builder().build())
}

/// One model alone, by the name `ears`.
pub(crate) fn alone(speech: MockSpeech) -> (Router, SpeechHandle) {
    let metrics = Arc::new(Metrics::new());
    let model = model("ears", speech, &metrics);
    let handle = model.handle.clone();
    (router(AppState::builder().model(model).metrics(metrics).build()), handle)
}

pub(crate) fn slow() -> MockSpeech {
    MockSpeech::new(&["en"]).with_delay(Duration::from_millis(200))
}

/// The answer to what goes well, as it is.
pub(crate) async fn said(router: &Router, request: Request<Body>) -> String {
    let (status, _, text) = call(router, request).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    text
}

/// The same, of JSON.
pub(crate) async fn well(router: &Router, request: Request<Body>) -> Value {
    serde_json::from_str(&said(router, request).await).unwrap()
}

/// The status, `param` and message of an error.
pub(crate) async fn refused(
    router: &Router,
    request: Request<Body>,
) -> (StatusCode, Value, String) {
    let (status, _, text) = call(router, request).await;
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
    let error = &answer["error"];
    let message = error["message"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (status, error["param"].clone(), message)
}
