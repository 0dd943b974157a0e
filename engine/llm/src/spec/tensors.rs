//! Which tensors a decoder has: canonical names (GGUF's, with experts and latent heads one by one)
//! and shapes, with the usual names of the fields that decide on them.
//!
//! Invariant: executors read these tensors and no others.

use engine_weights::Size;

use super::{
    AttentionSpec, DecoderSpec, ExpertsSpec, FeedForwardSpec, LatentSpec, LayerSpec, NormSpec,
    QkNormOver,
};

const fn size(num: usize, by: &'static [&'static str]) -> Size {
    Size { num, by }
}

/// Names and shapes so far.
struct Tensors {
    all: Vec<(String, Vec<Size>)>,
    hidden: Size,
}

impl Tensors {
    fn add(&mut self, name: String, shape: &[Size]) {
        self.all.push((name, shape.into()));
    }

    /// `NAME.weight`, and `NAME.bias` if there is one.
    fn linear(&mut self, name: &str, [rows, cols]: [Size; 2], bias: bool) {
        self.add(format!("{name}.weight"), &[rows, cols]);
        if bias {
            self.add(format!("{name}.bias"), &[rows]);
        }
    }

    fn norm(&mut self, name: &str, norm: &NormSpec) {
        self.add(format!("{name}.weight"), &[self.hidden]);
        if norm.bias {
            self.add(format!("{name}.bias"), &[self.hidden]);
        }
    }

    fn attention(&mut self, layer: &str, spec: &AttentionSpec) {
        let hidden = self.hidden;
        let q = size(spec.q_width(), &["num_attention_heads", "head_dim"]);
        let kv = size(spec.kv_width(), &["num_key_value_heads", "head_dim"]);
        let mut out = size(spec.out_width(), q.by);
        let name = |role: &str| format!("{layer}.{role}");
        if let Some(latent) = &spec.latent {
            out.by = &["num_attention_heads", "v_head_dim"];
            self.latent(layer, (spec, latent));
        } else {
            self.linear(&name("attn_q"), [q, hidden], spec.bias);
            self.linear(&name("attn_k"), [kv, hidden], spec.bias);
            self.linear(&name("attn_v"), [kv, hidden], spec.bias);
        }
        self.linear(&name("attn_output"), [hidden, out], spec.output_bias);
        if let Some(norm) = spec.qk_norm {
            for (role, heads, by) in
                [("attn_q_norm", spec.num_heads, q.by), ("attn_k_norm", spec.num_kv_heads, kv.by)]
            {
                let by = if norm.over == QkNormOver::All { by } else { &["head_dim"] };
                for (suffix, width) in norm.weights(heads, spec.head_dim) {
                    self.add(name(&format!("{role}{suffix}.weight")), &[size(width, by)]);
                }
            }
        }
        if spec.sinks {
            let heads = size(spec.num_heads, &["num_attention_heads"]);
            self.add(name("attn_sinks.weight"), &[heads]);
        }
    }

    fn latent(&mut self, layer: &str, (spec, latent): (&AttentionSpec, &LatentSpec)) {
        let hidden = self.hidden;
        let name = |role: &str| format!("{layer}.{role}");
        let q = size(
            spec.num_heads * (latent.nope_dim + latent.rope_dim),
            &["num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim"],
        );
        match latent.q_rank {
            Some(rank) => {
                let rank = size(rank, &["q_lora_rank"]);
                self.linear(&name("attn_q_a"), [rank, hidden], spec.bias);
                self.add(name("attn_q_a_norm.weight"), &[rank]);
                self.linear(&name("attn_q_b"), [q, rank], false);
            }
            None => self.linear(&name("attn_q"), [q, hidden], false),
        }
        let rank = size(latent.kv_rank, &["kv_lora_rank"]);
        let kv = size(latent.kv_rank + latent.rope_dim, &["kv_lora_rank", "qk_rope_head_dim"]);
        self.linear(&name("attn_kv_a_mqa"), [kv, hidden], spec.bias);
        self.add(name("attn_kv_a_norm.weight"), &[rank]);
        let nope = size(latent.nope_dim, &["qk_nope_head_dim"]);
        let value = size(latent.value_dim, &["v_head_dim"]);
        for head in 0..spec.num_heads {
            let name = |role: &str| format!("{layer}.{role}.{head}");
            self.linear(&name("attn_k_b"), [rank, nope], false);
            self.linear(&name("attn_v_b"), [value, rank], false);
        }
    }

    /// `suffix` comes after the roles: an expert's number, or nothing; `by` decides on the width.
    fn feed_forward(
        &mut self,
        (layer, suffix): (&str, &str),
        spec: &FeedForwardSpec,
        by: &'static [&'static str],
    ) {
        let (hidden, width) = (self.hidden, size(spec.width, by));
        let name = |role: &str| format!("{layer}.{role}{suffix}");
        if spec.gated {
            self.linear(&name("ffn_gate"), [width, hidden], spec.bias);
        }
        self.linear(&name("ffn_up"), [width, hidden], spec.bias);
        self.linear(&name("ffn_down"), [hidden, width], spec.bias);
    }

    fn experts(&mut self, layer: &str, spec: &ExpertsSpec) {
        let num = size(spec.num_experts, &["num_experts"]);
        self.linear(&format!("{layer}.ffn_gate_inp"), [num, self.hidden], spec.router.bias);
        if spec.router.choice_bias {
            self.add(format!("{layer}.exp_probs_b.bias"), &[num]);
        }
        for expert in 0..spec.num_experts {
            let suffix = format!(".{expert}");
            self.feed_forward((layer, &suffix), &spec.expert, &["moe_intermediate_size"]);
        }
        if let Some(shared) = spec.shared() {
            let by = &["shared_expert_intermediate_size"];
            self.feed_forward((layer, "_shexp"), &shared, by);
        }
        if spec.shared_gate {
            self.add(format!("{layer}.ffn_gate_inp_shexp.weight"), &[self.hidden]);
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
            Some(experts) if spec.experts => to.experts(layer, experts),
            _ => to.feed_forward((layer, ""), &self.feed_forward, &["intermediate_size"]),
        }
    }

    /// Every tensor of the decoder: its canonical name, and its sizes, outermost first.
    pub(crate) fn tensor_sizes(&self) -> Vec<(String, Vec<Size>)> {
        let hidden = size(self.hidden_size, &["hidden_size"]);
        let vocab = size(self.vocab_size, &["vocab_size"]);
        let mut all = Tensors { all: Vec::new(), hidden };
        all.linear("token_embd", [vocab, hidden], false);
        if let Some(positions) = self.embedding.learned_positions {
            let positions = size(positions, &["max_position_embeddings"]);
            all.linear("position_embd", [positions, hidden], false);
        }
        all.norm("output_norm", &self.norm);
        if !self.head.tied {
            all.linear("output", [vocab, hidden], false);
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
                all.norm(&format!("{name}.{role}"), &self.norm);
            }
            all.attention(&name, &self.attention);
            self.add_feed_forward(&mut all, &name, layer);
        }
        all.all
    }

    /// Every tensor of the decoder: its canonical name, and its shape, outermost first.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let shape = |sizes: Vec<Size>| sizes.iter().map(|size| size.num).collect();
        self.tensor_sizes().into_iter().map(|(name, sizes)| (name, shape(sizes))).collect()
    }
}
