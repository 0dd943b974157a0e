//! `cargo xtask bench embeddings`: all-MiniLM-L6-v2 in our engine beside ONNX Runtime and OpenVINO,
//! and over HTTP beside our engine alone.
//!
//! Invariant: all read the same weights and tokens and use as many threads; each measurement is a
//! process of its own, and its embeddings are held against sentence-transformers' of the very same
//! texts; all take turns, and a ratio is one of medians.

mod contend;
mod http;
mod report;
mod samples;
mod setup;
mod work;

use std::path::PathBuf;

use anyhow::Result;

use self::contend::{Contender, Measurement};
use self::samples::{Sample, Samples};
use self::setup::Setup;
use self::work::WORKS;
use crate::{repo, server, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each contender runs, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
    /// Threads of every contender
    #[arg(long, default_value_t = super::default_threads())]
    threads: usize,
    /// A tenth of the passes and texts, to see that all works
    #[arg(long)]
    quick: bool,
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["engine", "http"])]
    sections: Vec<Section>,
    /// Measure this build of ours instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    /// Batches, beside the peers.
    Engine,
    /// Our server beside our engine.
    Http,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::require_c_compiler()?;
    let given = args.binary.as_ref().map(std::path::absolute).transpose()?;
    let ours = given.map_or_else(|| server::build("release"), Ok)?;
    let setup = Setup::obtain(ours, args.threads, args.quick)?;
    let num_pairs = usize::from(args.pairs);
    let mut samples = Samples::default();
    if args.sections.contains(&Section::Engine) {
        sweep(&setup, &mut samples);
        take_turns(&setup, num_pairs, &mut samples);
    }
    let served = match args.sections.contains(&Section::Http) {
        true => Some(http::run(&setup, num_pairs)?),
        false => None,
    };
    let report = report::Report::new(samples, served);
    println!("\n{}", report.markdown());
    let written = report.write(&repo::root().join("benches/results"))?;
    println!("written to {}", written.display());
    Ok(())
}

/// Every variant of every peer does every work once; the best run in the pairs.
fn sweep(setup: &Setup, samples: &mut Samples) {
    for work in WORKS {
        for contender in Contender::PEERS {
            for variant in contender.variants(work, setup.threads) {
                samples.0.push(take(Measurement { setup, contender, variant, work }, None));
            }
        }
    }
}

/// Every contender does every work once a pair.
fn take_turns(setup: &Setup, num_pairs: usize, samples: &mut Samples) {
    let mut contenders = vec![Contender::Ours];
    contenders.extend(Contender::PEERS);
    for pair_idx in 0..num_pairs {
        // Whoever goes first has a cooler machine: take turns.
        contenders.rotate_left(pair_idx.min(1));
        for work in WORKS {
            for &contender in &contenders {
                // One that could do nothing in the sweep is out.
                let Some(variant) = samples.chosen(contender, work) else { continue };
                let measurement = Measurement { setup, contender, variant, work };
                samples.0.push(take(measurement, Some(pair_idx)));
            }
        }
    }
}

/// A failure is told and kept: one that cannot do something does not end the run.
fn take(measurement: Measurement<'_>, pair: Option<usize>) -> Sample {
    let turn = pair.map_or_else(|| "sweep".to_owned(), |pair_idx| format!("pair {}", pair_idx + 1));
    println!("{turn} · {measurement}");
    let seen = match measurement.run() {
        Ok(seen) => {
            println!("  {:.0} tokens/s, cosine {:.6}", seen.tokens_per_s, seen.cosine);
            Some(seen)
        }
        Err(error) => {
            println!("  failed: {error:#}");
            None
        }
    };
    let Measurement { contender, variant, work, .. } = measurement;
    Sample { contender, variant, work, pair, seen }
}
