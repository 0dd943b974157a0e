//! One measurement: a contender, set up one way, encodes one batch in a process of its own.
//!
//! Invariant: the same tokens in for everyone, done once before it counts.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use super::setup::{Printed, Setup, printed};
use super::work::Work;
use crate::repo;

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Contender {
    #[serde(rename = "agentbase")]
    Ours,
    #[serde(rename = "ONNX Runtime")]
    OnnxRuntime,
    #[serde(rename = "OpenVINO F32")]
    OpenVinoF32,
    #[serde(rename = "OpenVINO BF16")]
    OpenVinoBf16,
}

/// A set-up. Ours has none: it is measured with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Variant {
    /// The file that ONNX Runtime's optimizer for BERT made.
    fused: bool,
    /// Compiled for this shape alone (OpenVINO).
    fixed: bool,
    /// Parts of the batch that are computed side by side, with a thread each.
    parts: usize,
}

impl Variant {
    pub(super) const PLAIN: Self = Self { fused: false, fixed: false, parts: 1 };

    fn of(fused: bool, fixed: bool, parts: usize) -> Self {
        Self { fused, fixed, parts }
    }
}

impl Contender {
    pub(super) const PEERS: [Self; 3] = [Self::OnnxRuntime, Self::OpenVinoF32, Self::OpenVinoBf16];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "agentbase",
            Self::OnnxRuntime => "ONNX Runtime",
            Self::OpenVinoF32 => "OpenVINO F32",
            Self::OpenVinoBf16 => "OpenVINO BF16",
        }
    }

    /// Everything that can be set. A batch of several texts may go in as many parts as threads.
    pub(super) fn variants(self, work: Work, threads: usize) -> Vec<Variant> {
        let split = (threads > 1 && work.texts.is_multiple_of(threads)).then_some(threads);
        let parts = [1].into_iter().chain(split);
        let both = |of: fn(bool, usize) -> Variant| {
            parts.flat_map(|parts| [true, false].map(|is| of(is, parts))).collect()
        };
        match self {
            Self::Ours => vec![Variant::PLAIN],
            Self::OnnxRuntime => both(|fused, parts| Variant::of(fused, false, parts)),
            Self::OpenVinoF32 | Self::OpenVinoBf16 => {
                both(|fixed, parts| Variant::of(false, fixed, parts))
            }
        }
    }

    /// What a variant is called.
    pub(super) fn label(self, variant: Variant) -> String {
        let form = match (self, variant.fused, variant.fixed) {
            (Self::Ours, ..) => return "as it comes".to_owned(),
            (Self::OnnxRuntime, true, _) => "fused",
            (Self::OnnxRuntime, false, _) => "plain",
            (_, _, true) => "one shape",
            (_, _, false) => "any shape",
        };
        if variant.parts == 1 {
            form.to_owned()
        } else {
            format!("{form}, {} parts", variant.parts)
        }
    }
}

/// What was seen of one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Seen {
    pub(super) tokens_per_s: f64,
    /// The least to the reference's embeddings, over the texts.
    pub(super) cosine: f64,
}

/// Who does what how.
#[derive(Clone, Copy)]
pub(super) struct Measurement<'a> {
    pub(super) setup: &'a Setup,
    pub(super) contender: Contender,
    pub(super) variant: Variant,
    pub(super) work: Work,
}

impl Measurement<'_> {
    /// Does it.
    pub(super) fn run(&self) -> Result<Seen> {
        let Self { setup, contender, work, .. } = *self;
        let Printed { tokens_per_s, vectors } = match contender {
            Contender::Ours => setup.our_bench(&setup.tokens(work), work.repeat(setup.quick)),
            _ => printed(&mut self.peer()),
        }
        .with_context(|| self.to_string())?;
        let cosine = setup.reference.cosine(work, &vectors)?;
        Ok(Seen { tokens_per_s, cosine })
    }

    fn peer(&self) -> Command {
        let Self { setup, contender, variant, work } = *self;
        let mut command = Command::new(&setup.python);
        command.arg(repo::root().join("benches/embeddings_bench.py"));
        command.arg(match contender {
            Contender::Ours | Contender::OnnxRuntime => "onnxruntime",
            Contender::OpenVinoF32 | Contender::OpenVinoBf16 => "openvino",
        });
        command.arg("--model").arg(setup.onnx(variant.fused));
        command.arg("--tokens").arg(setup.tokens(work));
        command.args(["--threads", &setup.threads.to_string()]);
        command.args(["--repeat", &work.repeat(setup.quick).to_string()]);
        command.args(["--parts", &variant.parts.to_string()]);
        command.args(variant.fixed.then_some("--fixed"));
        if contender == Contender::OpenVinoBf16 {
            command.args(["--arithmetic", "bf16"]);
        }
        command
    }
}

impl std::fmt::Display for Measurement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { contender, variant, work, .. } = self;
        write!(f, "{work} · {} · {}", contender.name(), contender.label(*variant))
    }
}
