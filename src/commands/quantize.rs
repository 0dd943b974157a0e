//! `agentbase model quantize`: the same model in fewer bits, and what that costs.
//!
//! Invariant: the new model appears whole or not at all; what is half made lies in a folder that
//! goes with this process, or, where it was killed, when the registry is next opened.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Error, Result, anyhow, bail};
use engine_core::Engine;
use engine_llm::{
    LoadError,
    weights::{self, DType, Model, Weights},
};
use model_registry::{Manifest, ModelName, Registry, RegistryError, Workspace};
use serde::Serialize;
use serde_json::json;

use super::perplexity::{self, Cut};
use crate::{
    cli::QuantizeArgs,
    load::{self, EngineOptions},
    progress::{Bars, Counted},
    size::ByteSize,
};

/// Chapters X and XI of "Around the World in Eighty Days" by Jules Verne (died 1905) in the
/// translation of George M. Towle (died 1893), in the public domain; lines are joined to
/// paragraphs. Taken from `data/eighty.txt` of the crate esaxx-rs 0.1.10.
const TEXT: &str = include_str!("quantize/eighty_days.txt");
/// As llama.cpp's tool has it, where the model holds so many.
const CONTEXT: usize = 512;

/// How well a model predicts the text.
#[derive(Serialize)]
struct Measured {
    value: f64,
    /// Standard error of the perplexity.
    error: f64,
    chunks: usize,
    context: usize,
}

/// Quantises, stores and measures.
///
/// # Errors
/// What went wrong; nothing was stored then, unless it was measuring what was.
pub(super) async fn run(args: QuantizeArgs, data_dir: &Path, registry: &Registry) -> Result<()> {
    let from: ModelName = args.name.parse()?;
    let to = args.new_name.clone();
    let to = to.unwrap_or_else(|| format!("{from}-{}", args.to.name().to_lowercase()));
    let to: ModelName = to.parse()?;
    let source = registry.get(&from).await?;
    let files = registry.files(&source).await?;
    load::expect_decoder(&source, &files, "only decoders can be quantised")?;
    let is_free = matches!(registry.get(&to).await, Err(RegistryError::NotFound { .. }));
    if !is_free && !args.force {
        bail!("there is a model called {to}; choose another --name, or replace it with --force");
    }
    let workspace = registry.workspace().await?;
    let done = tokio::select! {
        done = quantise(&args, (data_dir, registry), (&source, files, &to), &workspace) => {
            Some(done)
        }
        () = super::serve::signal() => None,
    };
    let closed = workspace.close().await;
    match done {
        Some(done) => done.and(closed.map_err(Into::into)),
        None => {
            // What an import left behind, if it was in one. Work on other threads cannot be told to
            // end, so the process does.
            let _ = crate::data_dir::registry(data_dir);
            crate::say("interrupted");
            std::process::exit(130);
        }
    }
}

async fn quantise(
    args: &QuantizeArgs,
    (data_dir, registry): (&Path, &Registry),
    (source, files, to): (&Manifest, BTreeMap<String, PathBuf>, &ModelName),
    workspace: &Workspace,
) -> Result<()> {
    let text = match (&args.text, args.no_perplexity) {
        (_, true) => None,
        (None, false) => Some(TEXT.to_owned()),
        (Some(path), false) => {
            let text = String::from_utf8(load::read(path)?).ok();
            Some(text.with_context(|| format!("{} is no UTF-8 text", path.display()))?)
        }
    };
    let options = EngineOptions::new(&args.engine);
    let measure = async |name: &ModelName, what: &'static str| match &text {
        Some(text) => {
            let measured = measured(data_dir, name, options, (text.clone(), what)).await;
            let hint = || format!("measuring {name} (--no-perplexity leaves that out)");
            measured.with_context(hint).map(Some)
        }
        None => Ok(None),
    };
    let (dtype, dir) = (args.to, workspace.dir());
    let (of, its) = (source.clone(), files.clone());
    tokio::task::spawn_blocking(move || warn(&of, &its, dtype)).await??;
    let before = measure(&source.name, "before").await?;
    let written = tokio::task::spawn_blocking(move || {
        let mut bar = None;
        let written = weights::quantize(&files, dtype, &dir, &mut |done, all| {
            let what = || Counted::share(format!("to {}", dtype.name()), all);
            bar.get_or_insert_with(what).reach(done);
        });
        match written {
            Err(LoadError::Io { cause, .. }) if is_full(&cause) => Err(full(&cause)),
            written => load::named(&files, written).map(drop),
        }
    });
    written.await??;
    let origin = format!("model:{}@{} in {}", source.name, &source.digest[..12], dtype.name());
    let stored = registry.import_made(workspace, (to, origin), &Bars::default()).await;
    let stored = stored.map_err(|error| match error {
        RegistryError::Io { cause, .. } if is_full(&cause) => full(&cause),
        error => error.into(),
    })?;
    let after = measure(to, "after").await.with_context(|| format!("{to} is stored"))?;
    print(args, (source, &stored), (before, after))
}

async fn measured(
    data_dir: &Path,
    name: &ModelName,
    options: EngineOptions,
    (text, what): (String, &'static str),
) -> Result<Measured> {
    let mut loaded = load::by_name(data_dir, name.as_str(), options).await?;
    let scored = tokio::task::spawn_blocking(move || {
        let context = CONTEXT.min(loaded.engine.limits().max_sequence_len() as usize);
        let cut = Cut { context, max_chunks: usize::MAX };
        let got = perplexity::score(&mut loaded, &text, &cut, what)?;
        let (value, error) = (got.value(), got.error());
        anyhow::Ok(Measured { value, error, chunks: got.num_chunks, context })
    });
    scored.await?
}

/// Tells before it begins that the new model will be larger, or that the original would give a
/// better one.
fn warn(source: &Manifest, files: &BTreeMap<String, PathBuf>, to: DType) -> Result<()> {
    let Model { weights, .. } = load::named(files, weights::open(files))?;
    let name = &source.name;
    if let Some((format, bits)) = quantised_already(&weights) {
        let wanted = bits_per_weight(to.block_bytes(), to.block_len());
        let more = if wanted < bits { ", and more is lost now" } else { "" };
        crate::say(&format!(
            "warning: {name} is quantised already ({format}, {bits:.1} bits a weight). What that \
             lost does not come back{more}; made from the original, {} would be closer to it",
            to.name(),
        ));
    }
    let (before, after) = (source.total_bytes(), weights::quantized_len(files, to));
    let after = load::named(files, after)?;
    if after > before {
        crate::say(&format!(
            "warning: {} makes {name} larger: about {}, from {}",
            to.name(),
            ByteSize(after),
            ByteSize(before),
        ));
    }
    Ok(())
}

/// The format of a model's first matrix that is quantised, if one is, and the bits a weight of all.
fn quantised_already(weights: &Weights) -> Option<(&'static str, f64)> {
    let (mut bytes, mut numbers, mut format) = (0, 0, None);
    let tensors = weights.names().filter_map(|name| weights.get(name));
    for tensor in tensors.filter(|tensor| tensor.shape().len() > 1) {
        bytes += tensor.bytes().len();
        numbers += tensor.shape().iter().product::<usize>();
        let whole = matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16);
        format = format.or((!whole).then(|| tensor.dtype().name()));
    }
    format.map(|format| (format, bits_per_weight(bytes, numbers)))
}

fn bits_per_weight(bytes: usize, numbers: usize) -> f64 {
    8.0 * bytes as f64 / numbers.max(1) as f64
}

fn is_full(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn full(cause: &io::Error) -> Error {
    anyhow!(
        "the disk of the data directory has no room for the new model ({cause}); nothing was \
         stored. `agentbase model rm` frees what is not needed, --data-dir names another disk"
    )
}

fn print(
    args: &QuantizeArgs,
    (source, stored): (&Manifest, &Manifest),
    measured: (Option<Measured>, Option<Measured>),
) -> Result<()> {
    let sizes = [source.total_bytes(), stored.total_bytes()];
    if args.json {
        let (before, after) = measured;
        let measured = json!({ "before": before, "after": after });
        let shown = json!({
            "source": source.name,
            "type": args.to.name(),
            "text": args.text,
            "bytes": { "before": sizes[0], "after": sizes[1] },
            "perplexity": measured,
            "manifest": stored,
        });
        return outln!("{}", serde_json::to_string_pretty(&shown)?);
    }
    outln!("stored     {} ({}, {})", stored.name, args.to.name(), &stored.digest[..12])?;
    let [before, after] = sizes.map(ByteSize);
    outln!("size       {before} before, {after} after")?;
    let (Some(before), Some(after)) = measured else { return Ok(()) };
    let shown = |m: &Measured| format!("{:.4} ± {:.4}", m.value, m.error);
    let change = 100.0 * (after.value / before.value - 1.0);
    outln!("perplexity {} before, {} after", shown(&before), shown(&after))?;
    let Measured { chunks, context, .. } = after;
    outln!("           {change:+.2} % over {chunks} chunks of {context} tokens")
}
