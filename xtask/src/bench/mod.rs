//! `cargo xtask bench`: us and others on the same machine, same weights, same load.
//!
//! Invariant: contenders run in turn, and every run is kept in the results beside the medians.

mod cpu;
mod machine;
mod peers;
mod serve;

use anyhow::Result;

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Our server and llama.cpp's under the same load
    Serve(serve::Args),
    /// The CPU executor, llama.cpp, ik_llama.cpp and OpenVINO GenAI: prefill, decode, serving
    Cpu(cpu::Args),
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Serve(args) => serve::run(args),
        Bench::Cpu(args) => cpu::run(args),
    }
}

/// As many as this machine runs at once.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
