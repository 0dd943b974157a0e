//! Embeddings, ranks and labels, by encoders without weights whose rows are known.

mod classify;
mod embeddings;
mod limits;
mod long_documents;
mod moderations;
mod rerank;
mod score;
mod tei;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use engine_core::{Activation, EncodeInput, EncoderInfo, EncoderOutput};
use engine_mock::{MockEncoder, MockEngine, MockModel};
use engine_text::{HuggingFaceFiles, Prompts, TextModel};
use scheduler_batching::{EncoderHandle, EncodingConfig, PlannerConfig, spawn_encoder};
use serde_json::{Map, Value, json};
use server_http::{AppState, AppStateBuilder, Metrics, ServedEncoder, router};

use crate::common::{LIMITS, call, post_request, served};

pub(crate) const MAX_INPUT_LEN: usize = 16;
const VOCAB_SIZE: usize = 63;
pub(crate) const DIM: usize = 8;
/// Ids of the tokens around texts; word `wN` has `3 + N`, and any other word `UNK`.
pub(crate) const CLS: u32 = 0;
pub(crate) const SEP: u32 = 1;
const UNK: u32 = 2;

fn info(output: EncoderOutput) -> EncoderInfo {
    EncoderInfo {
        max_input_len: MAX_INPUT_LEN,
        max_batch_tokens: 64,
        vocab_size: VOCAB_SIZE,
        output,
    }
}

/// Of an embedder that may be cut and does not make its rows' length 1.
pub(crate) fn embedder() -> EncoderInfo {
    info(EncoderOutput::Embedding { dim: DIM, normalized: false, truncatable: Some(true) })
}

pub(crate) fn classifier(labels: &[&str], activation: Activation) -> EncoderInfo {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    info(EncoderOutput::Logits { labels, activation })
}

/// Reads two texts and says how well they go together.
pub(crate) fn reranker() -> EncoderInfo {
    classifier(&["LABEL_0"], Activation::Sigmoid)
}

/// Words `w0` to `w59`, framed as BERT has it.
fn text() -> Arc<TextModel> {
    let special = ["[CLS]", "[SEP]", "[UNK]"].into_iter().map(str::to_owned);
    let names = special.chain((0..VOCAB_SIZE - 3).map(|number| format!("w{number}")));
    let vocab: Map<String, Value> =
        names.zip(0..).map(|(name, id): (String, u32)| (name, id.into())).collect();
    let file = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
        "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 0], "sep": ["[SEP]", 1]},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}});
    let file = file.to_string();
    let files = HuggingFaceFiles { tokenizer_json: file.as_bytes(), ..HuggingFaceFiles::default() };
    Arc::new(TextModel::from_hugging_face(&files).unwrap())
}

pub(crate) fn words(text: &str) -> Vec<u32> {
    let id = |word: &str| {
        let number = word.strip_prefix('w').and_then(|number| number.parse::<u32>().ok());
        number.filter(|number| *number < 60).map_or(UNK, |number| 3 + number)
    };
    text.split_whitespace().map(id).collect()
}

/// What an encoder makes of a text that is read alone.
pub(crate) fn row(info: &EncoderInfo, text: &str) -> Vec<f32> {
    let tokens = [vec![CLS], words(text), vec![SEP]].concat();
    row_of(info, tokens)
}

pub(crate) fn row_of(info: &EncoderInfo, tokens: Vec<u32>) -> Vec<f32> {
    MockEncoder::row(info, &EncodeInput { tokens, ..EncodeInput::default() })
}

/// What it makes of two that are read together.
pub(crate) fn pair_row(info: &EncoderInfo, first: &str, second: &str) -> Vec<f32> {
    let (first, second) = (words(first), words(second));
    let type_ids = [vec![0; first.len() + 2], vec![1; second.len() + 1]].concat();
    let tokens = [vec![CLS], first, vec![SEP], second, vec![SEP]].concat();
    MockEncoder::row(info, &EncodeInput { tokens, type_ids, ..EncodeInput::default() })
}

pub(crate) fn normalized(row: &[f32]) -> Vec<f32> {
    let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    row.iter().map(|x| (f64::from(*x) / norm) as f32).collect()
}

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    normalized(a).iter().zip(normalized(b)).map(|(a, b)| a * b).sum()
}

pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// One encoder, and how it is served.
pub(crate) struct Encoding {
    pub(crate) info: EncoderInfo,
    pub(crate) prompts: Prompts,
    pub(crate) config: EncodingConfig,
    pub(crate) delay: Duration,
}

impl Encoding {
    pub(crate) fn new(info: EncoderInfo) -> Self {
        let (prompts, config) = (Prompts::default(), EncodingConfig::default());
        Self { info, prompts, config, delay: Duration::ZERO }
    }

    pub(crate) fn slow(info: EncoderInfo) -> Self {
        Self { delay: Duration::from_millis(30), ..Self::new(info) }
    }

    pub(crate) fn serve(self, id: &str, metrics: &Metrics) -> ServedEncoder {
        let encoder = Box::new(MockEncoder::new(self.info).with_delay(self.delay));
        let (handle, _driver) = spawn_encoder(encoder, self.config, metrics.observer(id));
        ServedEncoder {
            id: id.to_owned(),
            version: "sha256:0123456789abcdef".into(),
            created_unix: 1_700_000_000,
            text: text(),
            prompts: Arc::new(self.prompts),
            handle,
        }
    }
}

/// `emb`, an embedder, `rank`, a reranker, and `mock`, which generates.
pub(crate) fn builder() -> AppStateBuilder {
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(LIMITS, MockModel::default());
    AppState::builder()
        .model(served("mock", engine, PlannerConfig::default(), &metrics))
        .model(Encoding::new(embedder()).serve("emb", &metrics))
        .model(Encoding::new(reranker()).serve("rank", &metrics))
        .metrics(metrics)
}

pub(crate) fn server() -> Router {
    router(builder().build())
}

/// One encoder alone, by the name `enc`.
pub(crate) fn alone(encoding: Encoding) -> (Router, EncoderHandle) {
    let metrics = Arc::new(Metrics::new());
    let model = encoding.serve("enc", &metrics);
    let handle = model.handle.clone();
    (router(AppState::builder().model(model).metrics(metrics).build()), handle)
}

/// Waits; the limit turns a hang into a failure.
pub(crate) async fn until(handle: &EncoderHandle, holds: impl Fn(usize, usize) -> bool) {
    let poll = async {
        loop {
            let stats = handle.stats();
            if holds(stats.running, stats.waiting) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll).await.expect("it comes about");
}

/// The status and the answer as it is.
pub(crate) async fn ask(router: &Router, path: &str, body: Value) -> (StatusCode, Value) {
    let (status, _, text) = call(router, post_request(path, body.to_string())).await;
    let answer = serde_json::from_str(&text);
    (status, answer.unwrap_or_else(|_| panic!("{status}: {text}")))
}

/// The answer to what goes well.
pub(crate) async fn well(router: &Router, path: &str, body: Value) -> Value {
    let (status, answer) = ask(router, path, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// The `param` and the message of a 400.
pub(crate) async fn bad(router: &Router, path: &str, body: Value) -> (Value, String) {
    let (status, answer) = ask(router, path, body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap().to_owned();
    (answer["error"]["param"].clone(), message)
}

pub(crate) fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[track_caller]
pub(crate) fn assert_near(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{a:?} {b:?}");
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} {b:?}");
}
