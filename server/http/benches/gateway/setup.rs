//! What is measured: a model without weights behind the real router, with a check of keys.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use engine_core::{CacheGroups, EngineLimits};
use engine_mock::{MockEngine, MockModel, Script};
use engine_text::TextModel;
use scheduler_batching::{PlannerConfig, spawn_with};
use server_http::{
    AppState, AuthError, Authenticate, Caller, Metrics, NoAuth, ServedModel, router,
};
use sha2::{Digest, Sha256};

const LIMITS: EngineLimits = EngineLimits {
    block_size: 16,
    num_blocks: 1 << 16,
    max_model_len: 8192,
    max_step_tokens: 8192,
    max_step_seqs: 256,
    vocab_size: 260,
    groups: CacheGroups::WHOLE,
};
/// Of the byte-level text model.
const EOS: u32 = 257;
const NUM_KEYS: usize = 1000;

/// What is said on the command line.
pub(crate) struct Options {
    pub(crate) no_auth: bool,
    /// After which an answer ends; none does by itself if not said.
    pub(crate) num_tokens: Option<usize>,
}

impl Options {
    /// Those in `args`; what cargo says of its own is passed over.
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { no_auth: false, num_tokens: None };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => {}
                "--no-auth" => options.no_auth = true,
                "--tokens" => {
                    let num = args.next().and_then(|num| num.parse().ok());
                    options.num_tokens = Some(num.ok_or("--tokens needs a number")?);
                }
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(options)
    }
}

/// The router, and a key that it lets in.
pub(crate) fn gateway(options: &Options) -> (Router, Option<String>) {
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(LIMITS, says(options.num_tokens)).unchecked();
    let (handle, _driver) =
        spawn_with(Box::new(engine), PlannerConfig::default(), metrics.observer("mock"));
    let text = Arc::new(TextModel::byte_level());
    let model = ServedModel {
        id: "mock".to_owned(),
        version: "sha256:0123456789abcdef".into(),
        created_unix: 1_700_000_000,
        grammars: Arc::new(engine_grammar::Compiler::new(Arc::clone(&text), 0)),
        text,
        handle,
        adapter: None,
        vision: None,
    };
    let key = (!options.no_auth).then(|| key(0));
    let auth: Arc<dyn Authenticate> = match &key {
        Some(_) => Arc::new(Keys::new()),
        None => Arc::new(NoAuth),
    };
    let state = AppState::builder().model(model).metrics(metrics).auth(auth).build();
    (router(state), key)
}

/// A byte, which is a token, at a time.
fn says(num_tokens: Option<usize>) -> MockModel {
    let text = b"and so on ";
    match num_tokens {
        None => MockModel { script: Some(Script::new(text)), ..MockModel::default() },
        Some(num) => {
            let text: Vec<u8> = text.iter().cycle().take(num).copied().collect();
            MockModel::scripted(text, EOS)
        }
    }
}

fn key(number: usize) -> String {
    format!("ab-{number:043}")
}

/// Keys by their digests, as the real ones are kept.
struct Keys(HashMap<[u8; 32], Caller>);

impl Keys {
    fn new() -> Self {
        let caller = |number: usize| {
            Caller::of_tenant("default", &format!("key_{number:012}")).expect("names")
        };
        Self((0..NUM_KEYS).map(|number| (digest(&key(number)), caller(number))).collect())
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

impl Authenticate for Keys {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let found = self.0.get(&digest(bearer.ok_or(AuthError::Missing)?));
        found.cloned().ok_or(AuthError::Invalid)
    }
}
