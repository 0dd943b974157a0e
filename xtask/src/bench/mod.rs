//! `cargo xtask bench`: us and others on the same machine, same weights, same load.
//!
//! Invariant: contenders run in turn, and every run is kept in the results beside the medians.

mod cpu;
mod embeddings;
mod gateway;
mod grammar;
mod load;
mod machine;
mod peers;
mod perplexity;
mod serve;

use anyhow::Result;

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Our server and llama.cpp's under the same load
    Serve(serve::Args),
    /// The CPU executor, llama.cpp, ik_llama.cpp and OpenVINO GenAI: prefill, decode, serving
    Cpu(cpu::Args),
    /// An encoder, ONNX Runtime and OpenVINO; our server and our engine
    Embeddings(embeddings::Args),
    /// What a request costs beside the engine: ours, and LiteLLM's proxy before it
    Gateway(gateway::Args),
    /// What grammars cost those that have one, and those beside them
    Grammar(grammar::Args),
    /// From the start of a process to its first token
    Load(load::Args),
    /// How well we and llama.cpp predict a text with the same file
    Perplexity(perplexity::Args),
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Serve(args) => serve::run(args),
        Bench::Cpu(args) => cpu::run(args),
        Bench::Embeddings(args) => embeddings::run(args),
        Bench::Gateway(args) => gateway::run(args),
        Bench::Grammar(args) => grammar::run(args),
        Bench::Load(args) => load::run(args),
        Bench::Perplexity(args) => perplexity::run(args),
    }
}

/// As many as this machine runs at once.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
