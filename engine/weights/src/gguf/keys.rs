//! Fields of the architecture that a GGUF file is of, and what the format calls those that
//! configurations of transformers have.

use super::metadata::{FromValue, Metadata};
use crate::{
    error::Fault,
    fields::{Called, Fields, is_tensor},
};

/// GGUF's keys after the architecture's name; of some sizes, the tensor that has them.
const CALLED: Called = &[
    ("vocab_size", &["token_embd.weight"]),
    ("type_vocab_size", &["token_types.weight"]),
    ("hidden_size", &["embedding_length"]),
    ("num_hidden_layers", &["block_count"]),
    ("num_attention_heads", &["attention.head_count"]),
    ("num_key_value_heads", &["attention.head_count_kv"]),
    ("head_dim", &["attention.key_length"]),
    ("intermediate_size", &["feed_forward_length"]),
    ("max_position_embeddings", &["context_length"]),
    ("sliding_window", &["attention.sliding_window"]),
    ("layer_norm_eps", &["attention.layer_norm_epsilon"]),
    ("rms_norm_eps", &["attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"]),
    ("q_lora_rank", &["attention.q_lora_rank"]),
    ("kv_lora_rank", &["attention.kv_lora_rank"]),
    // Files whose keys are split say how long heads were before that.
    ("qk_head_dim", &["attention.key_length_mla", "attention.key_length"]),
    ("qk_nope_head_dim", &["attention.key_length_mla", "attention.key_length"]),
    ("v_head_dim", &["attention.value_length_mla", "attention.value_length"]),
    ("qk_rope_head_dim", &["rope.dimension_count"]),
    ("num_experts", &["expert_count"]),
    ("num_experts_per_tok", &["expert_used_count"]),
    ("moe_intermediate_size", &["expert_feed_forward_length"]),
    ("shared_expert_intermediate_size", &["expert_shared_feed_forward_length"]),
    ("routed_scaling_factor", &["expert_weights_scale"]),
    ("n_group", &["expert_group_count"]),
    ("topk_group", &["expert_group_used_count"]),
    ("partial_rotary_factor", &["rope.dimension_count"]),
    ("rope_theta", &["rope.freq_base"]),
];

/// Fields of the architecture, by their usual names or their keys after the architecture's.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// All of the file's.
    pub metadata: &'a Metadata<'a>,
    /// `general.architecture`, with which keys begin.
    pub architecture: &'a str,
}

impl<'a> Keys<'a> {
    fn key(&self, name: &str) -> String {
        self.place(self.name(name))
    }

    /// The field, if it is there.
    ///
    /// # Errors
    /// If it is of another kind, or a number out of range.
    pub fn get<T: FromValue<'a>>(&self, name: &str) -> Result<Option<T>, Fault> {
        self.metadata.get(&self.key(name))
    }

    /// The field, which must be there.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if it is missing.
    pub fn require<T: FromValue<'a>>(&self, name: &str) -> Result<T, Fault> {
        self.metadata.require(&self.key(name))
    }

    /// A factor, if it is there.
    ///
    /// # Errors
    /// If it is no positive number.
    pub fn positive(&self, name: &str) -> Result<Option<f32>, Fault> {
        self.get(name)?.map(|value| self.check_positive(name, value)).transpose()
    }

    /// A factor, which must be there.
    ///
    /// # Errors
    /// If it is not, or no positive number.
    pub fn require_positive(&self, name: &str) -> Result<f32, Fault> {
        self.check_positive(name, self.require(name)?)
    }
}

impl Fields for Keys<'_> {
    fn called(&self) -> Called {
        CALLED
    }

    fn value(&self, name: &str) -> Option<String> {
        match is_tensor(name) {
            true => Some(String::new()),
            false => self.metadata.text(&self.place(name)),
        }
    }

    fn place(&self, name: &str) -> String {
        match is_tensor(name) {
            true => name.to_owned(),
            false => format!("{}.{name}", self.architecture),
        }
    }
}
