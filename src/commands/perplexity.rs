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
    let max_chunks = args.chunks.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let started = Instant::now();
    let cut = Cut { context: args.context, max_chunks };
    let got = score(&mut loaded, &text, &cut, "perplexity").with_context(|| file.clone())?;
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

/// How a text is cut.
pub(super) struct Cut {
    /// Tokens per chunk.
    pub(super) context: usize,
    /// At most so many chunks, from the start.
    pub(super) max_chunks: usize,
}

/// Scores the text under a bar that says what it is.
///
/// # Errors
/// If the text is too short for the context, or the engine fails.
pub(super) fn score(loaded: &mut Loaded, text: &str, cut: &Cut, what: &str) -> Result<Perplexity> {
    // As llama.cpp does: the model's own tokens go around the text before it is cut.
    let tokens = loaded.text.encode(text, true)?;
    let scored = ScoredText {
        tokens: &tokens,
        context: cut.context,
        bos: loaded.text.bos_token_id()?,
        max_chunks: cut.max_chunks,
    };
    let bar = Counted::new(what.to_owned(), scored.num_chunks(&loaded.engine)?);
    Ok(Perplexity::of(&mut loaded.engine, &scored, |state| {
        bar.advance(format!("{what} {:.3} ± {:.3}", state.value(), state.error()));
    })?)
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
