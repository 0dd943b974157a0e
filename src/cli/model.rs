//! The arguments of `agentbase model …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine_llm::weights::{DType, can_quantize};

use super::EngineArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Import a GGUF file or a Hugging Face folder, or an adapter
    Import {
        /// The file or folder
        path: PathBuf,
        /// Name to serve it under; an adapter's is BASE:NAME [default: the folder's name]
        #[arg(long, required_unless_present = "base")]
        name: Option<String>,
        /// The model that it is an adapter of: a LoRA as the PEFT library saves it
        #[arg(long)]
        base: Option<String>,
        /// Store it even if this machine has not the memory that it needs, to be served elsewhere
        #[arg(long, conflicts_with = "base")]
        force: bool,
    },
    /// List imported models
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of a model
    Show {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a model and the files that no other model uses
    Rm {
        /// Its name
        name: String,
    },
    /// Store a model again with its matrices in fewer bits, and measure what that costs
    Quantize(Box<QuantizeArgs>),
    /// Download a model from a hub
    Pull {
        /// `hf:ORG/REPO[@REVISION]` or `hf:ORG/REPO:FILE.gguf[@REVISION]`
        source: String,
        /// Name to serve it under [default: the repository's name]
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct QuantizeArgs {
    /// The model's name
    pub(crate) name: String,

    /// The number format of matrices: q8_0, q6_k, q5_k, q4_k, …
    #[arg(long, value_name = "TYPE", value_parser = written_type)]
    pub(crate) to: DType,

    /// Name to store it under [default: the model's, with the type after it]
    #[arg(long = "name", value_name = "NEW")]
    pub(crate) new_name: Option<String>,

    /// Replace a model that has this name
    #[arg(long)]
    pub(crate) force: bool,

    /// Text to measure with before and after, in UTF-8 [default: 25 kB of an English novel]
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// Measure nothing: the model need not fit in memory
    #[arg(long, conflicts_with = "text")]
    pub(crate) no_perplexity: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// A format that can be written, by its name in either case.
fn written_type(text: &str) -> Result<DType, String> {
    let written = || DType::ALL.into_iter().filter(|dtype| can_quantize(*dtype));
    let found = written().find(|dtype| dtype.name().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let names: Vec<_> = written().map(|dtype| dtype.name().to_lowercase()).collect();
        format!("the types that can be written are {}", names.join(", "))
    })
}
