//! Tokens a second of an encoder with MiniLM's shape (6 layers of 384, 12 heads) and random
//! weights: `cargo bench -p engine-encoder`, with `AGENTBASE_BENCH_THREADS` threads (2), under fast
//! settings, and with `AGENTBASE_BENCH_EXACT` set under exact ones too.

#![allow(clippy::print_stdout, missing_docs)]

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use engine_core::{EncodeInput, Encoder};
use engine_encoder::{EncoderOptions, Precision, TextEncoder, open};

const CONFIG: &str = r#"{"architectures": ["BertModel"], "hidden_act": "gelu", "hidden_size": 384,
    "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
    "num_attention_heads": 12, "num_hidden_layers": 6, "type_vocab_size": 2,
    "vocab_size": 30522}"#;
/// Passes of which the best counts.
const PASSES: usize = 15;

/// Names and shapes, as the file has them.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    let mut linear = |name: String, rows, cols| {
        all.push((format!("{name}.weight"), vec![rows, cols]));
        all.push((format!("{name}.bias"), vec![rows]));
    };
    for i in 0..6 {
        let name = |role: &str| format!("encoder.layer.{i}.{role}");
        for role in ["self.query", "self.key", "self.value", "output.dense"] {
            linear(name(&format!("attention.{role}")), 384, 384);
        }
        linear(name("intermediate.dense"), 1536, 384);
        linear(name("output.dense"), 384, 1536);
    }
    let norms = (0..6).flat_map(|i| ["attention.output", "output"].map(|role| (i, role)));
    let norms = norms.map(|(i, role)| format!("encoder.layer.{i}.{role}.LayerNorm"));
    for norm in norms.chain(["embeddings.LayerNorm".to_owned()]).collect::<Vec<_>>() {
        all.push((format!("{norm}.weight"), vec![384]));
        all.push((format!("{norm}.bias"), vec![384]));
    }
    for (table, rows) in [("word", 30522), ("position", 512), ("token_type", 2)] {
        all.push((format!("embeddings.{table}_embeddings.weight"), vec![rows, 384]));
    }
    all
}

/// A safetensors file of small random numbers.
fn weights() -> Vec<u8> {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors() {
        let len = 4 * shape.iter().product::<usize>();
        let offsets = [end, end + len];
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
        header.insert(name, entry);
        end += len;
    }
    let header = serde_json::to_string(&header).expect("JSON");
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    let mut seed = 7_u64;
    file.extend((0..end / 4).flat_map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (((seed >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.06).to_le_bytes()
    }));
    file
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut files = BTreeMap::new();
    for (name, contents) in
        [("config.json", CONFIG.as_bytes().to_vec()), ("model.safetensors", weights())]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, contents).expect("a file in the temporary directory");
        files.insert(name.to_owned(), path);
    }
    let model = open(&files).expect("it opens").expect("an encoder");
    let threads = std::env::var("AGENTBASE_BENCH_THREADS").ok();
    let threads = threads.map_or(2, |threads| threads.parse().expect("a number of threads"));
    println!("{} · {threads} threads · best of {PASSES}", kernels::Isa::detect().name());
    let exact = std::env::var_os("AGENTBASE_BENCH_EXACT").map(|_| Precision::Exact);
    for precision in [Precision::Fast].into_iter().chain(exact) {
        let options = EncoderOptions { threads, max_batch_tokens: 8192, precision, packed: None };
        let mut encoder = TextEncoder::new(&model, options).expect("an encoder");
        for (num, len) in [(1, 64), (32, 64), (16, 256)] {
            let input = |i: usize| EncodeInput {
                tokens: (0..len as u32).map(|t| (i as u32 * 977 + t * 131) % 30522).collect(),
                ..EncodeInput::default()
            };
            let inputs: Vec<_> = (0..num).map(|i| Arc::new(input(i))).collect();
            let mut best = f64::MAX;
            for _ in 0..PASSES {
                let begin = Instant::now();
                std::hint::black_box(encoder.encode(&inputs).expect("rows"));
                best = best.min(begin.elapsed().as_secs_f64());
            }
            let rate = (num * len) as f64 / best;
            println!(
                "{precision:?} {num:>2} x {len:>3}: {:>8.3} ms, {rate:>8.0} tokens/s",
                best * 1e3
            );
        }
    }
}
