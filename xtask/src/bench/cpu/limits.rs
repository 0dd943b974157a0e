//! What this machine can do at most, by plain loops of ours, and how near we come.
//!
//! Invariant: shares count only operations and bytes that the work cannot do without.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::samples::Samples;
use super::variant::Contender;
use super::work::{Figure, Reach, Row, STREAMS, Section, Work};
use crate::{repo, shell};

/// What `kernels/benches/limits.rs` prints. Each is absent where the processor has no such
/// instruction.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Limits {
    /// The widest instructions there are.
    pub(super) isa: String,
    /// Multiplications and additions of 8-bit integers, one thread, 10⁹ a second.
    pub(super) int8_gops_1t: Option<f64>,
    /// Of 16-bit integers, the same; older results have none.
    #[serde(default)]
    pub(super) int16_gops_1t: Option<f64>,
    pub(super) bf16_gflops_1t: Option<f64>,
    pub(super) f32_gflops_1t: Option<f64>,
    /// Of the integer peak, what gate and up reach on one thread, measured in turn.
    pub(super) product_share: Option<f64>,
    /// Reading a buffer of 100 MB, 10⁹ bytes a second, by one thread and by two.
    pub(super) read_100mb_gbs_1t: Option<f64>,
    pub(super) read_100mb_gbs_2t: Option<f64>,
    pub(super) read_1gb_gbs_1t: Option<f64>,
    pub(super) read_1gb_gbs_2t: Option<f64>,
}

/// By a benchmark of the kernels' crate.
pub(super) fn measure() -> Result<Limits> {
    let mut command = repo::cargo_command();
    command.args(["bench", "--quiet", "--package", "kernels", "--bench", "limits"]);
    let text = shell::run_quiet("Measuring this machine's limits", &mut command)?;
    serde_json::from_str(&text).context("the limits are not as expected")
}

/// Weights of SmolLM2-135M that every token multiplies, and those of its output head.
const LAYER_WEIGHTS: f64 = 106.17e6;
const HEAD_WEIGHTS: f64 = 28.31e6;
/// Bytes of the Q4_1 file's tensors: a decoded token reads all (the head is the embedding).
const WEIGHT_BYTES: f64 = 96.4e6;
/// Keys and values per position: 30 layers of 3 heads of 64, twice.
const KV_NUMBERS: f64 = 30.0 * 2.0 * 3.0 * 64.0;

/// Bytes of them by default: in 8 bits, with a scale for each head, on AVX2; else in 16.
fn kv_bytes(isa: &str) -> f64 {
    if isa.starts_with("avx2") { KV_NUMBERS * (1.0 + 4.0 / 64.0) } else { KV_NUMBERS * 2.0 }
}

/// A share of a limit.
#[derive(Debug, Serialize)]
pub(super) struct Share {
    pub(super) name: &'static str,
    pub(super) share: f64,
    /// Absent where it only informs.
    pub(super) reach: Option<Reach>,
    /// How it was counted.
    pub(super) count: String,
}

/// What can be said of the runs of ours in the main section.
pub(super) fn shares(samples: &Samples, limits: &Limits) -> Vec<Share> {
    let rate = |work| {
        let reach = Reach::AtLeast(0.0);
        let row = Row { title: "", work, figure: Figure::TokensPerS, reach };
        samples.median(Section::Q4, Contender::Ours, &row)
    };
    let mut shares = Vec::new();
    if let (Some(rate), Some(read)) = (rate(Work::Decode(128)), limits.read_100mb_gbs_2t) {
        // 128 tokens after 128: 192 positions are read on average.
        let bytes = WEIGHT_BYTES + 192.0 * kv_bytes(&limits.isa);
        shares.push(Share {
            name: "decode, 1 stream, of the reading that the machine allows",
            share: rate * bytes / (read * 1e9),
            reach: Some(Reach::AtLeast(0.8)),
            count: format!("{:.1} MB a token, {read:.1} GB/s", bytes / 1e6),
        });
    }
    let peak = limits.int8_gops_1t.map(|gops| 2.0 * gops * 1e9);
    if let Some(share) = limits.product_share {
        shares.push(Share {
            name: "main products of prefill, 512 tokens, 1 thread, of the integer peak",
            share,
            reach: Some(Reach::AtLeast(0.6)),
            count: "gate and up, with SiLU, the peak's loop in turn".to_owned(),
        });
    }
    if let (Some(rate), Some(peak)) = (rate(Work::Prefill(512)), peak) {
        let ops = 2.0 * LAYER_WEIGHTS;
        shares.push(Share {
            name: "prefill of 512, all of its time, of the integer peak",
            share: rate * ops / peak,
            reach: None,
            count: format!("{:.3} Gop a token in products, {:.0} Gop/s", ops / 1e9, peak / 1e9),
        });
    }
    let read = limits.read_100mb_gbs_2t.map(|gbs| gbs * 1e9);
    if let (Some(rate), Some(peak), Some(read)) = (rate(Work::Step), peak, read) {
        let streams = STREAMS as f64;
        let ops = streams * 2.0 * (LAYER_WEIGHTS + HEAD_WEIGHTS);
        // 32 tokens after 128: 144 positions on average.
        let bytes = WEIGHT_BYTES + streams * 144.0 * kv_bytes(&limits.isa);
        let roofline = (ops / peak).max(bytes / read);
        shares.push(Share {
            name: "step of 32 decodes, times its roofline",
            share: streams / rate / roofline,
            reach: Some(Reach::AtMost(2.0)),
            count: format!(
                "{:.1} Gop and {:.0} MB, so {:.1} ms",
                ops / 1e9,
                bytes / 1e6,
                roofline * 1e3
            ),
        });
    }
    shares
}
