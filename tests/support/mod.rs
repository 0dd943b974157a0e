//! What the tests of the whole share: the real model, and the loop without threads.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod binary;
pub(crate) mod http;
pub(crate) mod smtp;
pub(crate) mod waiting;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use engine_core::{Engine, Event, Request, RequestId};
use engine_llm::{
    LlmEngine,
    executors::cpu::{CpuExecutor, CpuOptions, KvDtype, Precision},
    weights,
};
use scheduler_batching::Planner;

/// The GGUF file of SmolLM2-135M-Instruct that `cargo xtask test` fetches.
pub(crate) fn smollm2_gguf() -> PathBuf {
    let path = std::env::var_os("AGENTBASE_TEST_GGUF").map_or_else(
        || {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(".agentbase/downloads/SmolLM2-135M-Instruct.Q4_1.gguf")
        },
        PathBuf::from,
    );
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask test`, which fetches it",
        path.display()
    );
    path
}

/// The real model with a cache of `kv_cache_bytes`, computed in these numbers.
pub(crate) fn smollm2(
    kv_cache_bytes: usize,
    (precision, kv_dtype): (Precision, KvDtype),
) -> LlmEngine {
    let files = BTreeMap::from([("model.gguf".to_owned(), smollm2_gguf())]);
    let model = weights::open(&files).expect("the model opens");
    let (vocab_size, max_model_len) = (model.spec.vocab_size, model.spec.max_model_len);
    let options = CpuOptions {
        threads: 2,
        kv_cache_bytes,
        kv_dtype,
        max_step_tokens: 256,
        precision,
        max_adapter_rank: 0,
        packed: None,
    };
    let executor = CpuExecutor::new(model.spec, &model.weights, options).expect("it loads");
    LlmEngine::new(Box::new(executor), vocab_size, max_model_len, 64)
}

/// Runs all requests to their ends: the driver's loop without its thread.
pub(crate) fn run_all(
    planner: &mut Planner,
    engine: &mut dyn Engine,
    requests: Vec<Request>,
) -> BTreeMap<RequestId, Vec<Event>> {
    let mut events: BTreeMap<RequestId, Vec<Event>> = BTreeMap::new();
    for request in requests {
        planner.submit(request).expect("it is taken");
    }
    while let Some(step) = planner.plan() {
        let output = engine.execute(&step);
        planner.commit(step, output);
        for (id, event) in planner.drain_events() {
            events.entry(id).or_default().push(event);
        }
    }
    planner.audit().expect("blocks and queues are consistent");
    events
}
