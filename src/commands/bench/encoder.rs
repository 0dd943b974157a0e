//! Batches through an encoder alone, without queue and HTTP.
//!
//! Invariant: what is measured was done once before, and its time is that of all its batches, from
//! tokens to rows.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use engine_core::{EncodeInput, Encoder, TokenId};
use serde::Serialize;

use super::made_up_token;
use crate::{
    cli::{BatchShape, BenchArgs},
    load::{self, LoadedEncoder},
};

type Batch = Vec<Arc<EncodeInput>>;

/// One measured point.
#[derive(Debug, Serialize)]
struct Row {
    /// In all batches.
    texts: usize,
    /// In all texts.
    tokens: usize,
    /// Median over the repetitions.
    seconds: f64,
    tokens_per_second: f64,
}

/// All that a reader needs to judge the numbers.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    threads: usize,
    repeat: usize,
    version: &'static str,
    rows: Vec<Row>,
    /// What became of each text of a file, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vectors: Vec<Vec<f32>>,
}

/// Measures the batches of a file, or made-up ones of each shape.
///
/// # Errors
/// If the file is not of batches, a text does not fit the encoder, or that fails.
pub(crate) fn run(args: &BenchArgs, loaded: LoadedEncoder, threads: usize) -> Result<()> {
    if args.repeat == 0 {
        bail!("--repeat must be at least 1");
    }
    let mut encoder = loaded.encoder;
    let max_tokens = encoder.info().max_batch_tokens;
    let (mut rows, mut vectors) = (Vec::new(), Vec::new());
    match &args.tokens {
        Some(path) => {
            let batches = split(from_file(path)?, max_tokens);
            let (row, made) = measure(&mut *encoder, &batches, args.repeat)?;
            rows.push(row);
            vectors = made;
        }
        None => {
            for shape in &args.inputs {
                let batch = made_up(*shape, encoder.info().vocab_size);
                let batches = split(vec![batch], max_tokens);
                rows.push(measure(&mut *encoder, &batches, args.repeat)?.0);
            }
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let report = Report { model: &args.name, threads, repeat: args.repeat, version, rows, vectors };
    print(args.json, &report)
}

/// The median over `repeat` passes, after one that warms caches, and what that one gave.
fn measure(
    encoder: &mut dyn Encoder,
    batches: &[Batch],
    repeat: usize,
) -> Result<(Row, Vec<Vec<f32>>)> {
    let mut pass = || -> Result<(f64, Vec<Vec<f32>>)> {
        let start = Instant::now();
        let mut vectors = Vec::new();
        for batch in batches {
            vectors.extend(encoder.encode(batch).context("encoding")?);
        }
        Ok((start.elapsed().as_secs_f64(), vectors))
    };
    let vectors = pass()?.1;
    let mut times = (0..repeat).map(|_| Ok(pass()?.0)).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    let seconds = times[repeat / 2];
    let inputs = || batches.iter().flatten();
    let tokens = inputs().map(|input| input.tokens.len()).sum();
    let row = Row {
        texts: inputs().count(),
        tokens,
        seconds,
        tokens_per_second: tokens as f64 / seconds,
    };
    Ok((row, vectors))
}

fn input(tokens: Vec<TokenId>) -> Arc<EncodeInput> {
    Arc::new(EncodeInput { tokens, ..EncodeInput::default() })
}

fn made_up(shape: BatchShape, vocab_size: usize) -> Batch {
    let vocab_size = u32::try_from(vocab_size).unwrap_or(u32::MAX).max(1);
    let tokens = |text| (0..shape.num_tokens).map(move |at| made_up_token(text, at, vocab_size));
    (0..shape.num_texts).map(|text| input(tokens(text).collect())).collect()
}

/// What is more than an encoder takes at once goes in several batches, as the server makes them.
fn split(batches: Vec<Batch>, max_tokens: usize) -> Vec<Batch> {
    let mut all = Vec::new();
    for batch in batches {
        let (mut part, mut num_tokens) = (Batch::new(), 0);
        for input in batch {
            let len = input.tokens.len();
            if num_tokens + len > max_tokens && !part.is_empty() {
                all.push(std::mem::take(&mut part));
                num_tokens = 0;
            }
            num_tokens += len;
            part.push(input);
        }
        all.push(part);
    }
    all
}

fn from_file(path: &Path) -> Result<Vec<Batch>> {
    let named = || format!("--tokens {}", path.display());
    let batches: Vec<Vec<Vec<TokenId>>> = serde_json::from_slice(&load::read(path)?)
        .with_context(|| format!("{}: it must be batches of texts of token ids", named()))?;
    if batches.iter().flatten().next().is_none() {
        bail!("{}: there is no text in it", named());
    }
    Ok(batches.into_iter().map(|texts| texts.into_iter().map(input).collect()).collect())
}

fn print(json: bool, report: &Report<'_>) -> Result<()> {
    if json {
        return outln!("{}", serde_json::to_string(report)?);
    }
    outln!("{}, {} threads, median of {}", report.model, report.threads, report.repeat)?;
    outln!("{:>7} {:>8} {:>10} {:>10}", "texts", "tokens", "ms", "tokens/s")?;
    for row in &report.rows {
        outln!(
            "{:>7} {:>8} {:>10.2} {:>10.0}",
            row.texts,
            row.tokens,
            row.seconds * 1e3,
            row.tokens_per_second
        )?;
    }
    Ok(())
}
