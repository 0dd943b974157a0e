//! Time to choose one token: `cargo bench -p engine-llm --bench sampler`.
#![allow(clippy::print_stdout, reason = "a table is what a benchmark is for")]

use std::{hint::black_box, sync::Arc, time::Instant};

use engine_core::{Sample, SamplingParams};
use engine_llm::sampler::sample;

const NUM_ROWS: usize = 8;
const REPETITIONS: usize = 31;

/// Rows that look like logits: most of them noise around zero, some tokens far above it.
fn rows(vocab: usize) -> Vec<Vec<f32>> {
    let mut state = 1_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let mut normal = || (0..12).map(|_| uniform()).sum::<f32>() - 6.0;
    (0..NUM_ROWS)
        .map(|_| {
            let mut row: Vec<f32> = (0..vocab).map(|_| normal() * 2.5).collect();
            for i in 0..60 {
                row[(i * 7919 + 13) % vocab] += 12.0 - i as f32 * 0.15;
            }
            row
        })
        .collect()
}

fn main() {
    let base = SamplingParams::default;
    let kinds = [
        ("greedy", SamplingParams { temperature: 0.0, ..base() }),
        ("temperature 0.8", SamplingParams { temperature: 0.8, ..base() }),
        ("… top_p 0.9", SamplingParams { temperature: 0.8, top_p: 0.9, ..base() }),
        ("… top_k 40", SamplingParams { temperature: 0.8, top_k: 40, ..base() }),
        ("… min_p 0.05", SamplingParams { temperature: 0.8, min_p: 0.05, ..base() }),
        ("greedy, 5 logprobs", SamplingParams { temperature: 0.0, logprobs: Some(5), ..base() }),
    ];
    println!("| µs a row | 49152 tokens | 151936 tokens |\n|---|---:|---:|");
    for (name, params) in kinds {
        let params = Arc::new(params);
        let medians = [49_152, 151_936].map(|vocab| median_us(vocab, &params));
        println!("| {name} | {:.1} | {:.1} |", medians[0], medians[1]);
    }
}

fn median_us(vocab: usize, params: &Arc<SamplingParams>) -> f64 {
    let mut rows = rows(vocab);
    let mut request = Sample {
        params: Arc::clone(params),
        seed: 7,
        num_generated: 0,
        min_tokens: 0,
        banned: [].into(),
        history: None,
        mask: None,
    };
    let mut times: Vec<f64> = (0..REPETITIONS)
        .map(|_| {
            let started = Instant::now();
            for row in &mut rows {
                request.num_generated += 1;
                let _ = black_box(sample(row, &request));
            }
            started.elapsed().as_secs_f64() * 1e6 / NUM_ROWS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[REPETITIONS / 2]
}
