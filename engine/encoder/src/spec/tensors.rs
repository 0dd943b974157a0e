//! Which tensors an encoder has: canonical names (GGUF's) and shapes.
//!
//! Invariant: executors read these tensors and no others.

use super::{BlockSpec, EncoderSpec, FeedForwardSpec, OutputSpec, StackSpec, Stage};

/// Names and shapes so far.
struct Tensors(Vec<(String, Vec<usize>)>);

impl Tensors {
    fn linear(&mut self, name: &str, [rows, cols]: [usize; 2], bias: bool) {
        self.0.push((format!("{name}.weight"), vec![rows, cols]));
        if bias {
            self.0.push((format!("{name}.bias"), vec![rows]));
        }
    }

    fn norm(&mut self, name: &str, width: usize, bias: bool) {
        self.0.push((format!("{name}.weight"), vec![width]));
        if bias {
            self.0.push((format!("{name}.bias"), vec![width]));
        }
    }
}

impl OutputSpec {
    /// Names and shapes of the tensors of all stages.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Tensors(Vec::new());
        for stage in &self.stages {
            match stage {
                Stage::Dense(dense) => {
                    all.linear(&dense.name, [dense.rows, dense.cols], dense.bias);
                }
                Stage::Norm { name, width, norm } => all.norm(name, *width, norm.bias),
                Stage::Normalize => {}
            }
        }
        all.0
    }
}

impl EncoderSpec {
    /// Names and shapes of all tensors that the encoder and what comes after it are computed with.
    pub fn tensor_shapes(&self, output: &OutputSpec) -> Vec<(String, Vec<usize>)> {
        let hidden = self.stack.hidden_size;
        let mut all = Tensors(Vec::new());
        all.linear("token_embd", [self.vocab_size, hidden], false);
        if let Some(positions) = &self.embedding.positions {
            all.linear("position_embd", [positions.rows, hidden], false);
        }
        if self.embedding.token_types > 0 {
            all.linear("token_types", [self.embedding.token_types, hidden], false);
        }
        all.norm("token_embd_norm", hidden, self.stack.norm.bias);
        all.0.extend(self.stack.tensor_shapes());
        all.0.extend(output.tensor_shapes());
        all.0
    }
}

impl StackSpec {
    /// Names and shapes of all tensors that the layers are computed with.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Tensors(Vec::new());
        if let Some(relative) = &self.attention.relative {
            all.linear("attn_rel_b", [relative.buckets, self.attention.num_heads], false);
        }
        for i in 0..self.layers.len() {
            self.layer(i, &mut all);
        }
        if self.block != BlockSpec::PostNorm {
            all.norm("output_norm", self.hidden_size, self.norm.bias);
        }
        all.0
    }

    fn layer(&self, i: usize, all: &mut Tensors) {
        let (hidden, norm_bias) = (self.hidden_size, self.norm.bias);
        let name = |role: &str| format!("blk.{i}.{role}");
        let FeedForwardSpec { width, gated, bias, .. } = self.feed_forward;
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
