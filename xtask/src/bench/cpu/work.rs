//! What is measured, and what is reached for.
//!
//! Invariant: a row's figure comes from one kind of work, done the same way by every contender.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Streams of the works with many.
pub(super) const STREAMS: usize = 32;
/// Tokens of the prefix that requests share, and of the end that they do not.
pub(super) const SHARED_TOKENS: usize = 1000;
pub(super) const OWN_TOKENS: usize = 32;
/// Tokens each of them gets.
pub(super) const PREFIX_OUTPUT_TOKENS: usize = 16;
/// Tokens in and out of one stream of the others.
pub(super) const PROMPT_TOKENS: usize = 128;
pub(super) const OUTPUT_TOKENS: usize = 128;

/// One thing to do, in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    /// Compute a prompt of this many tokens.
    Prefill(usize),
    /// Decode one sequence after this many positions.
    Decode(usize),
    /// This many requests at once, without HTTP.
    Engine(usize),
    /// 32 clients at once.
    Serve,
    /// 32 clients at once whose prompts begin alike.
    Prefix,
    /// From starting the process to the first token.
    Start,
    /// One step of 32 sequences that decode; ours only, against the roofline.
    Step,
}

impl Work {
    /// How often it is done in one measurement: what is short is told by its median.
    pub(super) fn repeat(self) -> &'static str {
        match self {
            Self::Prefill(..=1024) | Self::Decode(..=1024) => "3",
            _ => "1",
        }
    }

    /// Tokens decoded at a depth.
    pub(super) fn generate(depth: usize) -> &'static str {
        if depth > 1024 { "32" } else { "128" }
    }
}

/// What is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    TokensPerS,
    FirstTokenP50Ms,
    FirstTokenP99Ms,
    InterTokenP50Ms,
    InterTokenP99Ms,
    /// First token, median; nobody has sent this prefix before.
    UnseenPrefixMs,
    /// First token, median; somebody has.
    SeenPrefixMs,
    ResidentMb,
    PeakMb,
    StartS,
}

pub(super) type Figures = BTreeMap<Figure, f64>;

/// The weights and instructions that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Section {
    /// The Q4_1 file.
    Q4,
    /// The same weights in BF16.
    Bf16,
    /// The Q4_1 file with nothing newer than AVX2.
    Avx2,
    /// A made-up model of Qwen2.5-0.5B's shape, Q4_1.
    Qwen2,
    /// One of Gemma 3 270M's.
    Gemma3,
    /// One with experts, of Qwen3-MoE's kind.
    Moe,
}

/// A line of the table: ours divided by the best of theirs must reach `reach`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) work: Work,
    pub(super) figure: Figure,
    pub(super) reach: Reach,
}

/// How far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reach {
    AtLeast(f64),
    AtMost(f64),
}

impl Reach {
    pub(super) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(reach) => ratio >= reach,
            Self::AtMost(reach) => ratio <= reach,
        }
    }

    /// Whether `a` is better than `b`.
    pub(super) fn prefers(self, a: f64, b: f64) -> bool {
        match self {
            Self::AtLeast(_) => a > b,
            Self::AtMost(_) => a < b,
        }
    }
}

const fn row(title: &'static str, work: Work, figure: Figure, reach: Reach) -> Row {
    Row { title, work, figure, reach }
}

use Figure::{
    FirstTokenP99Ms, InterTokenP99Ms, ResidentMb, SeenPrefixMs, StartS, TokensPerS, UnseenPrefixMs,
};
use Reach::{AtLeast, AtMost};

const Q4: [Row; 13] = [
    row("prefill, 512 tokens, tokens/s", Work::Prefill(512), TokensPerS, AtLeast(1.5)),
    row("prefill, 4,096 tokens, tokens/s", Work::Prefill(4096), TokensPerS, AtLeast(1.5)),
    row("decode, 1 stream after 128, tokens/s", Work::Decode(128), TokensPerS, AtLeast(1.3)),
    row("decode, 1 stream after 4,096, tokens/s", Work::Decode(4096), TokensPerS, AtLeast(2.0)),
    row("engine, 16 streams, output tokens/s", Work::Engine(16), TokensPerS, AtLeast(1.6)),
    row("engine, 32 streams, output tokens/s", Work::Engine(32), TokensPerS, AtLeast(1.8)),
    row("HTTP, 32 streams, output tokens/s", Work::Serve, TokensPerS, AtLeast(6.0)),
    row("HTTP, 32 streams, TTFT p99, ms", Work::Serve, FirstTokenP99Ms, AtMost(0.3)),
    row("HTTP, 32 streams, inter-token p99, ms", Work::Serve, InterTokenP99Ms, AtMost(0.3)),
    row("new shared prefix, TTFT p50, ms", Work::Prefix, UnseenPrefixMs, AtMost(0.3)),
    row("known shared prefix, TTFT p50, ms", Work::Prefix, SeenPrefixMs, AtMost(0.3)),
    row("resident, serving 32 streams, MB", Work::Serve, ResidentMb, AtMost(0.6)),
    row("start to first token, s", Work::Start, StartS, AtMost(0.6)),
];
const OTHERS: [Row; 4] = [
    row("prefill, 512 tokens, tokens/s", Work::Prefill(512), TokensPerS, AtLeast(1.5)),
    row("decode, 1 stream after 128, tokens/s", Work::Decode(128), TokensPerS, AtLeast(1.5)),
    row("engine, 16 streams, output tokens/s", Work::Engine(16), TokensPerS, AtLeast(1.5)),
    row("engine, 32 streams, output tokens/s", Work::Engine(32), TokensPerS, AtLeast(1.5)),
];

const SHAPES: [Row; 3] = [
    row("prefill, 512 tokens, tokens/s", Work::Prefill(512), TokensPerS, AtLeast(1.3)),
    row("decode, 1 stream after 128, tokens/s", Work::Decode(128), TokensPerS, AtLeast(1.3)),
    row("engine, 16 streams, output tokens/s", Work::Engine(16), TokensPerS, AtLeast(1.3)),
];

impl Section {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Q4 => "SmolLM2-135M-Instruct, Q4_1",
            Self::Bf16 => "The same in BF16",
            Self::Avx2 => "Q4_1 with AVX2 only",
            Self::Qwen2 => "Made-up weights in the shape of Qwen2.5-0.5B, Q4_1",
            Self::Gemma3 => "Made-up weights in the shape of Gemma 3 270M, Q4_1",
            Self::Moe => "Made-up weights, Qwen3-MoE's layers, 32 experts, 4 for a token, Q4_1",
        }
    }

    /// What `benches/make_shape.py` calls it, if that makes its model.
    pub(super) fn shape(self) -> Option<&'static str> {
        match self {
            Self::Q4 | Self::Bf16 | Self::Avx2 => None,
            Self::Qwen2 => Some("qwen2"),
            Self::Gemma3 => Some("gemma3"),
            Self::Moe => Some("moe"),
        }
    }

    /// Its table; `quick` leaves out what takes long.
    pub(super) fn rows(self, quick: bool) -> Vec<Row> {
        let rows: &[Row] = match self {
            Self::Q4 => &Q4,
            Self::Bf16 | Self::Avx2 => &OTHERS,
            Self::Qwen2 | Self::Gemma3 | Self::Moe => &SHAPES,
        };
        let is_short = |row: &&Row| {
            !matches!(row.work, Work::Prefill(4096) | Work::Decode(4096) | Work::Prefix)
        };
        rows.iter().filter(|row| !quick || is_short(row)).copied().collect()
    }

    /// The works of its rows, each once, in the order in which they narrow the choice of variants.
    pub(super) fn works(self, quick: bool) -> Vec<Work> {
        let mut works: Vec<Work> = Vec::new();
        for row in self.rows(quick) {
            if !works.contains(&row.work) {
                works.push(row.work);
            }
        }
        works
    }
}
