//! Which tensors an encoder has: canonical names (GGUF's) and shapes, with the usual names of the
//! fields that decide on them.
//!
//! Invariant: executors read these tensors and no others.

use engine_weights::Size;

use super::{BlockSpec, EncoderSpec, FeedForwardSpec, OutputSpec, StackSpec, Stage};

fn size(num: usize, by: &'static [&'static str]) -> Size {
    Size { num, by }
}

/// Names and shapes so far.
struct Tensors(Vec<(String, Vec<Size>)>);

impl Tensors {
    fn linear(&mut self, name: &str, [rows, cols]: [Size; 2], bias: bool) {
        self.0.push((format!("{name}.weight"), vec![rows, cols]));
        if bias {
            self.0.push((format!("{name}.bias"), vec![rows]));
        }
    }

    fn norm(&mut self, name: &str, width: Size, bias: bool) {
        self.0.push((format!("{name}.weight"), vec![width]));
        if bias {
            self.0.push((format!("{name}.bias"), vec![width]));
        }
    }
}

impl OutputSpec {
    /// Names and shapes of the tensors of all stages.
    pub(crate) fn tensor_sizes(&self) -> Vec<(String, Vec<Size>)> {
        let mut all = Tensors(Vec::new());
        for stage in &self.stages {
            match stage {
                Stage::Dense(dense) => {
                    // Fields of other files than the encoder's.
                    all.linear(&dense.name, [dense.rows.into(), dense.cols.into()], dense.bias);
                }
                Stage::Norm { name, width, norm } => all.norm(name, (*width).into(), norm.bias),
                Stage::Normalize => {}
            }
        }
        all.0
    }
}

impl EncoderSpec {
    /// Names and shapes of all tensors that the encoder and what comes after it are computed with.
    pub(crate) fn tensor_sizes(&self, output: &OutputSpec) -> Vec<(String, Vec<Size>)> {
        let hidden = self.stack.hidden();
        let mut all = Tensors(Vec::new());
        all.linear("token_embd", [size(self.vocab_size, &["vocab_size"]), hidden], false);
        if let Some(positions) = &self.embedding.positions {
            let rows = size(positions.rows, &["max_position_embeddings"]);
            all.linear("position_embd", [rows, hidden], false);
        }
        if self.embedding.token_types > 0 {
            let types = size(self.embedding.token_types, &["type_vocab_size"]);
            all.linear("token_types", [types, hidden], false);
        }
        all.norm("token_embd_norm", hidden, self.stack.norm.bias);
        all.0.extend(self.stack.tensor_sizes());
        all.0.extend(output.tensor_sizes());
        all.0
    }
}

impl StackSpec {
    fn hidden(&self) -> Size {
        size(self.hidden_size, &["hidden_size"])
    }

    /// Names and shapes of all tensors that the layers are computed with.
    pub fn tensor_sizes(&self) -> Vec<(String, Vec<Size>)> {
        let mut all = Tensors(Vec::new());
        if let Some(relative) = &self.attention.relative {
            let buckets = size(relative.buckets, &["relative_attention_num_buckets"]);
            let heads = size(self.attention.num_heads, &["num_attention_heads"]);
            all.linear("attn_rel_b", [buckets, heads], false);
        }
        for i in 0..self.layers.len() {
            self.layer(i, &mut all);
        }
        if self.block != BlockSpec::PostNorm {
            all.norm("output_norm", self.hidden(), self.norm.bias);
        }
        all.0
    }

    fn layer(&self, i: usize, all: &mut Tensors) {
        let (hidden, norm_bias) = (self.hidden(), self.norm.bias);
        let name = |role: &str| format!("blk.{i}.{role}");
        let FeedForwardSpec { width, gated, bias, .. } = self.feed_forward;
        let width = size(width, &["intermediate_size"]);
        let (bias_qv, bias_k) = (self.attention.bias, self.attention.key_bias);
        for (role, bias) in [("attn_q", bias_qv), ("attn_k", bias_k), ("attn_v", bias_qv)] {
            all.linear(&name(role), [hidden, hidden], bias);
        }
        all.linear(&name("attn_output"), [hidden, hidden], self.attention.output_bias);
        if gated {
            all.linear(&name("ffn_gate"), [width, hidden], bias);
        }
        all.linear(&name("ffn_up"), [width, hidden], bias);
        all.linear(&name("ffn_down"), [hidden, width], bias);
        let norms: &[&str] = match self.block {
            BlockSpec::PostNorm => &["attn_output_norm", "layer_output_norm"],
            BlockSpec::PreNorm { .. } if self.has_attn_norm(i) => &["attn_norm", "ffn_norm"],
            BlockSpec::PreNorm { .. } => &["ffn_norm"],
        };
        norms.iter().for_each(|role| all.norm(&name(role), hidden, norm_bias));
    }
}
