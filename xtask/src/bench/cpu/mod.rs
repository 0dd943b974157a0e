//! `cargo xtask bench cpu`: the CPU executor beside llama.cpp, ik_llama.cpp and OpenVINO GenAI.
//!
//! Invariant: each peer runs each row with the variant that was its best there in a sweep over all
//! of them; ours runs with its defaults; all take turns, and a ratio is one of medians.

mod contend;
mod http;
mod limits;
mod llama;
mod openvino;
mod ours;
mod report;
mod samples;
mod setup;
mod sweep;
mod variant;
mod work;

use std::path::PathBuf;

use anyhow::Result;

use self::contend::Measurement;
use self::samples::{Sample, Samples};
use self::setup::Setup;
use self::variant::{Contender, Variant, Weights};
use self::work::{Section, Work};
use crate::{repo, server, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each contender runs, in turn [default: 5, or 1 with --quick]
    #[arg(long)]
    pairs: Option<usize>,
    /// Threads of every contender
    #[arg(long, default_value_t = super::default_threads())]
    threads: usize,
    /// Only the rows that are quickly measured, and one pair unless --pairs says more
    #[arg(long)]
    quick: bool,
    /// What to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["q4", "bf16", "avx2"])]
    sections: Vec<Section>,
    /// Try all variants of the peers again, instead of going by an earlier sweep on this machine
    #[arg(long)]
    sweep: bool,
    /// Only sweep
    #[arg(long)]
    only_sweep: bool,
    /// Measure this build of ours instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Run every contender under this program, such as `taskset -c 0,1`; it must `exec` at once
    #[arg(long, value_name = "COMMAND")]
    under: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::require_c_compiler()?;
    let given = args.binary.as_ref().map(std::path::absolute).transpose()?;
    let ours = given.map_or_else(|| server::build("release"), Ok)?;
    let sections = args.sections.clone();
    let mut setup = Setup::obtain(ours, args.threads, &sections)?;
    setup.under = args.under.iter().flat_map(|line| line.split(' ')).map(str::to_owned).collect();
    let mut samples = Samples::default();
    for &section in &sections {
        let works = section.works(args.quick);
        samples.0.extend(sweep::obtain(&setup, section, &works, args.sweep)?);
    }
    if !args.only_sweep {
        let num_pairs = args.pairs.unwrap_or(if args.quick { 1 } else { 5 });
        for &section in &sections {
            take_turns(&setup, section, (num_pairs, args.quick), &mut samples);
        }
    }
    let limits = limits::measure()?;
    let report = report::Report::new(sections, args.quick, samples, limits);
    println!("\n{}", report.markdown());
    let written = report.write(&repo::root().join("benches/results"))?;
    println!("written to {}", written.display());
    Ok(())
}

/// Every contender does every work once a pair.
fn take_turns(
    setup: &Setup,
    section: Section,
    (num_pairs, quick): (usize, bool),
    samples: &mut Samples,
) {
    let mut contenders = vec![Contender::Ours];
    contenders.extend(Contender::peers(section));
    for pair_idx in 0..num_pairs {
        // Whoever goes first has a cooler machine: take turns.
        contenders.rotate_left(pair_idx.min(1));
        let mut works = section.works(quick);
        works.extend((section == Section::Q4).then_some(Work::Step));
        for work in works {
            for &contender in &contenders {
                for variant in variants(samples, section, contender, work) {
                    let measurement =
                        Measurement { setup, section, contender, variant: &variant, work };
                    println!("pair {} · {measurement}", pair_idx + 1);
                    let (pair, figures) = (Some(pair_idx), measurement.run_or_tell());
                    samples.0.push(Sample { section, contender, variant, work, pair, figures });
                }
            }
        }
    }
}

/// Those that a contender's rows of this work go by, each once.
fn variants(samples: &Samples, section: Section, contender: Contender, work: Work) -> Vec<Variant> {
    if work == Work::Step {
        let ours = contender == Contender::Ours;
        return if ours { vec![Variant::plain(Weights::Q4_1)] } else { Vec::new() };
    }
    let mut variants: Vec<Variant> = Vec::new();
    let contends = |row: &&work::Row| row.work == work && samples.contends(section, contender, row);
    for row in section.rows(false).iter().filter(contends) {
        let chosen = samples.chosen(section, contender, row);
        variants.extend(chosen.filter(|variant| !variants.contains(variant)));
    }
    variants
}
