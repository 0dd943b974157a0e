//! Which tensors a decoder has: canonical names (GGUF's, with experts and latent heads one by one)
//! and shapes.
//!
//! Invariant: executors read these tensors and no others.

use super::{
    AttentionSpec, DecoderSpec, ExpertsSpec, FeedForwardSpec, LatentSpec, LayerSpec, NormSpec,
    QkNormOver,
};

/// Names and shapes so far.
struct Tensors(Vec<(String, Vec<usize>)>);

impl Tensors {
    fn add(&mut self, name: String, shape: &[usize]) {
        self.0.push((name, shape.into()));
    }

    /// `NAME.weight`, and `NAME.bias` if there is one.
    fn linear(&mut self, name: &str, [rows, cols]: [usize; 2], bias: bool) {
        self.add(format!("{name}.weight"), &[rows, cols]);
        if bias {
            self.add(format!("{name}.bias"), &[rows]);
        }
    }

    fn norm(&mut self, name: &str, width: usize, norm: &NormSpec) {
        self.add(format!("{name}.weight"), &[width]);
        if norm.bias {
            self.add(format!("{name}.bias"), &[width]);
        }
    }

    fn attention(&mut self, layer: &str, hidden: usize, spec: &AttentionSpec) {
        let (q, kv) = (spec.q_width(), spec.kv_width());
        let name = |role: &str| format!("{layer}.{role}");
        if let Some(latent) = &spec.latent {
            self.latent(layer, hidden, (spec, latent));
        } else {
            self.linear(&name("attn_q"), [q, hidden], spec.bias);
            self.linear(&name("attn_k"), [kv, hidden], spec.bias);
            self.linear(&name("attn_v"), [kv, hidden], spec.bias);
        }
        self.linear(&name("attn_output"), [hidden, spec.out_width()], spec.output_bias);
        if let Some(norm) = spec.qk_norm {
            for (role, heads) in
                [("attn_q_norm", spec.num_heads), ("attn_k_norm", spec.num_kv_heads)]
            {
                for (suffix, width) in norm.weights(heads, spec.head_dim) {
                    self.add(name(&format!("{role}{suffix}.weight")), &[width]);
                }
            }
        }
        if spec.sinks {
            self.add(name("attn_sinks.weight"), &[spec.num_heads]);
        }
    }

    fn latent(&mut self, layer: &str, hidden: usize, at: (&AttentionSpec, &LatentSpec)) {
        let (spec, latent) = at;
        let name = |role: &str| format!("{layer}.{role}");
        let q = spec.num_heads * (latent.nope_dim + latent.rope_dim);
        match latent.q_rank {
            Some(rank) => {
                self.linear(&name("attn_q_a"), [rank, hidden], spec.bias);
                self.add(name("attn_q_a_norm.weight"), &[rank]);
                self.linear(&name("attn_q_b"), [q, rank], false);
            }
            None => self.linear(&name("attn_q"), [q, hidden], false),
        }
        let kv = latent.kv_rank + latent.rope_dim;
        self.linear(&name("attn_kv_a_mqa"), [kv, hidden], spec.bias);
        self.add(name("attn_kv_a_norm.weight"), &[latent.kv_rank]);
        for head in 0..spec.num_heads {
            let name = |role: &str| format!("{layer}.{role}.{head}");
            self.linear(&name("attn_k_b"), [latent.kv_rank, latent.nope_dim], false);
            self.linear(&name("attn_v_b"), [latent.value_dim, latent.kv_rank], false);
        }
    }

    /// `suffix` comes after the roles: an expert's number, or nothing.
    fn feed_forward(&mut self, layer: &str, suffix: &str, hidden: usize, spec: &FeedForwardSpec) {
        let name = |role: &str| format!("{layer}.{role}{suffix}");
        if spec.gated {
            self.linear(&name("ffn_gate"), [spec.width, hidden], spec.bias);
        }
        self.linear(&name("ffn_up"), [spec.width, hidden], spec.bias);
        self.linear(&name("ffn_down"), [hidden, spec.width], spec.bias);
    }

    fn experts(&mut self, layer: &str, hidden: usize, spec: &ExpertsSpec) {
        let router = format!("{layer}.ffn_gate_inp");
        self.linear(&router, [spec.num_experts, hidden], spec.router.bias);
        if spec.router.choice_bias {
            self.add(format!("{layer}.exp_probs_b.bias"), &[spec.num_experts]);
        }
        for expert in 0..spec.num_experts {
            self.feed_forward(layer, &format!(".{expert}"), hidden, &spec.expert);
        }
        if let Some(shared) = spec.shared() {
            self.feed_forward(layer, "_shexp", hidden, &shared);
        }
        if spec.shared_gate {
            self.add(format!("{layer}.ffn_gate_inp_shexp.weight"), &[hidden]);
        }
    }
}

impl super::QkNormSpec {
    /// What comes after the roles of its tensors, and how long each is, for so many heads.
    pub fn weights(&self, num_heads: usize, head_dim: usize) -> Vec<(String, usize)> {
        match self.over {
            QkNormOver::Head => vec![(String::new(), head_dim)],
            QkNormOver::EachHead => (0..num_heads).map(|i| (format!(".{i}"), head_dim)).collect(),
            QkNormOver::All => vec![(String::new(), num_heads * head_dim)],
            QkNormOver::Unweighted => Vec::new(),
        }
    }
}

impl ExpertsSpec {
    /// The expert that every token goes to.
    pub fn shared(&self) -> Option<FeedForwardSpec> {
        self.shared_width.map(|width| FeedForwardSpec { width, ..self.expert })
    }
}

impl DecoderSpec {
    /// The feed-forward layer of a layer that is no mixture, or the mixture.
    fn add_feed_forward(&self, to: &mut Tensors, layer: &str, spec: &LayerSpec) {
        match &self.experts {
            Some(experts) if spec.experts => to.experts(layer, self.hidden_size, experts),
            _ => to.feed_forward(layer, "", self.hidden_size, &self.feed_forward),
        }
    }

    /// Every tensor of the decoder: its canonical name, and its shape, outermost first.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let hidden = self.hidden_size;
        let mut all = Tensors(Vec::new());
        all.linear("token_embd", [self.vocab_size, hidden], false);
        if let Some(positions) = self.embedding.learned_positions {
            all.linear("position_embd", [positions, hidden], false);
        }
        all.norm("output_norm", hidden, &self.norm);
        if !self.head.tied {
            all.linear("output", [self.vocab_size, hidden], false);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let name = format!("blk.{i}");
            let norms = [
                ("attn_norm", self.block.has_pre_norm()),
                ("post_attention_norm", self.block.has_post_norms()),
                ("ffn_norm", self.block.has_own_ffn_norm()),
                ("post_ffw_norm", self.block.has_post_norms()),
            ];
            for (role, _) in norms.iter().filter(|(_, there)| *there) {
                all.norm(&format!("{name}.{role}"), hidden, &self.norm);
            }
            all.attention(&name, hidden, &self.attention);
            self.add_feed_forward(&mut all, &name, layer);
        }
        all.0
    }
}
