//! The ways in which a contender can be set up, and which of them are tried.
//!
//! Invariant: every variant that was tried is named in the results; a work that takes long is tried
//! with those that were best at a shorter one.

use serde::{Deserialize, Serialize};

use super::work::{Section, Work};

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Contender {
    #[serde(rename = "agentbase")]
    Ours,
    #[serde(rename = "llama.cpp")]
    LlamaCpp,
    #[serde(rename = "ik_llama.cpp")]
    IkLlamaCpp,
    #[serde(rename = "OpenVINO GenAI")]
    OpenVino,
}

/// Which file of the same model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(non_camel_case_types, reason = "the names of the formats")]
pub(super) enum Weights {
    /// As it came.
    Q4_1,
    /// Requantised by `llama-quantize`.
    Q4_0,
    Q8_0,
    BF16,
    F16,
}

/// A set-up. Ours has none: it is measured with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Variant {
    pub(super) weights: Weights,
    /// Flash attention (llama.cpp, ik_llama.cpp).
    pub(super) flash: bool,
    /// Keys and values in 8 bits instead of 16.
    pub(super) kv_8bit: bool,
    /// Repacking at load (ik_llama.cpp; llama.cpp always does).
    pub(super) repack: bool,
    /// BF16 arithmetic instead of F32 (OpenVINO).
    pub(super) bf16: bool,
    /// Sequences at once in the server, where they are not as many as the clients.
    pub(super) slots: Option<usize>,
}

impl Contender {
    pub(super) const PEERS: [Self; 3] = [Self::LlamaCpp, Self::IkLlamaCpp, Self::OpenVino];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "agentbase",
            Self::LlamaCpp => "llama.cpp",
            Self::IkLlamaCpp => "ik_llama.cpp",
            Self::OpenVino => "OpenVINO GenAI",
        }
    }

    /// Who is in a section besides us.
    pub(super) fn peers(section: Section) -> &'static [Self] {
        if section == Section::Avx2 { &Self::PEERS[..1] } else { &Self::PEERS }
    }

    /// Everything that can be set, for work that is quickly done.
    pub(super) fn variants(self, section: Section) -> Vec<Variant> {
        let weights: &[Weights] = match section {
            // It reads no GGUF in BF16.
            Section::Bf16 if self == Self::OpenVino => &[Weights::F16],
            Section::Bf16 => &[Weights::BF16, Weights::F16],
            // Families are compared on one file.
            _ if section.shape().is_some() => &[Weights::Q4_1],
            _ => &[Weights::Q4_1, Weights::Q4_0, Weights::Q8_0],
        };
        weights.iter().flat_map(|weights| self.settings(*weights)).collect()
    }

    fn settings(self, weights: Weights) -> Vec<Variant> {
        let plain = Variant::plain(weights);
        // An 8-bit cache needs flash attention.
        let attention = [(false, false), (true, false), (true, true)];
        let attention =
            attention.map(|(flash, kv_8bit)| Variant { flash, kv_8bit, ..plain.clone() });
        match self {
            Self::Ours => vec![plain],
            Self::LlamaCpp => attention.to_vec(),
            Self::IkLlamaCpp => attention
                .iter()
                .flat_map(|v| [false, true].map(|repack| Variant { repack, ..v.clone() }))
                .collect(),
            Self::OpenVino => [(false, false), (false, true), (true, false), (true, true)]
                .map(|(bf16, kv_8bit)| Variant { bf16, kv_8bit, ..plain.clone() })
                .to_vec(),
        }
    }
}

impl Variant {
    /// A file with nothing switched on.
    pub(super) fn plain(weights: Weights) -> Self {
        let (flash, kv_8bit, repack, bf16) = (false, false, false, false);
        Self { weights, flash, kv_8bit, repack, bf16, slots: None }
    }

    /// Its name in the results.
    pub(super) fn label(&self, contender: Contender) -> String {
        if contender == Contender::Ours {
            return "defaults".to_owned();
        }
        let mut label = format!("{:?}", self.weights);
        let mut add = |word: &str| {
            label.push(' ');
            label.push_str(word);
        };
        match contender {
            Contender::OpenVino => add(if self.bf16 { "bf16" } else { "f32" }),
            _ => add(if self.flash { "fa" } else { "no-fa" }),
        }
        add(if self.kv_8bit { "kv8" } else { "kv16" });
        if self.repack {
            add("rtr");
        }
        if let Some(slots) = self.slots {
            add(&format!("np{slots}"));
        }
        label
    }
}

/// The shorter works that a longer one's variants are chosen by, and how many of each; none where
/// all are tried.
pub(super) fn narrowed_by(
    section: Section,
    contender: Contender,
    work: Work,
) -> &'static [(Work, usize)] {
    match work {
        // A section of a family is one of several, and this takes a minute.
        Work::Engine(16) if section.shape().is_some() => {
            &[(Work::Prefill(512), 1), (Work::Decode(128), 1)]
        }
        // It has no server.
        Work::Prefix if contender == Contender::OpenVino => &[(Work::Engine(32), 1)],
        Work::Prefill(4096) => &[(Work::Prefill(512), 3)],
        Work::Decode(4096) => &[(Work::Decode(128), 5)],
        Work::Engine(32) => &[(Work::Engine(16), 3)],
        Work::Serve => &[(Work::Engine(32), 3)],
        Work::Prefix => &[(Work::Serve, 1)],
        Work::Start => &[(Work::Prefill(512), 6)],
        _ => &[],
    }
}

/// Slots to try where prompts begin alike: one per client, and few, which find the prefix in their
/// own cache.
pub(super) const PREFIX_SLOTS: [usize; 3] = [32, 8, 1];
