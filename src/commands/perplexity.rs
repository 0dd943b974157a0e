//! `agentbase perplexity`: how well a model predicts a text, comparable with llama.cpp's tool.
//!
//! Invariant: only the tokenizer and the engine see the text; none of it is printed.

use std::time::Instant;

use anyhow::{Context, Result};
use engine_llm::perplexity::{Perplexity, ScoredText};
use serde::Serialize;

use crate::{
    cli::PerplexityArgs,
    load::{self, Loaded},
    progress::Counted,
};

/// All that a reader needs to judge the number.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    file: String,
    context: usize,
    chunks: usize,
    /// Tokens scored.
    tokens: usize,
    perplexity: f64,
    /// Standard error of the perplexity.
    error: f64,
    /// Mean negative log-likelihood per token, in nats.
    mean_nll: f64,
    threads: usize,
    seconds: f64,
    version: &'static str,
}

/// Scores the file and prints the result.
///
/// # Errors
/// If the file cannot be read, is too short for the context, or the engine fails.
pub(super) fn run(args: &PerplexityArgs, mut loaded: Loaded, threads: usize) -> Result<()> {
    let file = args.file.display().to_string();
    let text = String::from_utf8(load::read(&args.file)?)
        .ok()
        .with_context(|| format!("{file} is no UTF-8 text"))?;
    // As llama.cpp does: the model's own tokens go around the text before it is cut.
    let tokens = loaded.text.encode(&text, true).with_context(|| file.clone())?;
    let scored = ScoredText {
        tokens: &tokens,
        context: args.context,
        bos: loaded.text.bos_token_id()?,
        max_chunks: args.chunks.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX)),
    };
    let num_chunks = scored.num_chunks(&loaded.engine)?;
    let bar = Counted::new("perplexity".to_owned(), num_chunks);
    let started = Instant::now();
    let got = Perplexity::of(&mut loaded.engine, &scored, |state| {
        bar.advance(format!("perplexity {:.3} ± {:.3}", state.value(), state.error()));
    })?;
    drop(bar);
    let report = Report {
        model: &args.name,
        file,
        context: args.context,
        chunks: got.num_chunks,
        tokens: got.num_tokens,
        perplexity: got.value(),
        error: got.error(),
        mean_nll: got.mean(),
        threads,
        seconds: started.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION"),
    };
    print(args.json, &report)
}

fn print(json: bool, report: &Report<'_>) -> Result<()> {
    if json {
        return outln!("{}", serde_json::to_string_pretty(report)?);
    }
    outln!(
        "{}, {}: {} chunks of {} tokens, {} tokens scored in {:.1} s",
        report.model,
        report.file,
        report.chunks,
        report.context,
        report.tokens,
        report.seconds
    )?;
    outln!("perplexity {:.4} ± {:.4}", report.perplexity, report.error)
}
