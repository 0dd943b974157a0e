//! Activations of one step, in memory that lives as long as the executor.

use kernels::{
    Isa,
    packed::{Activations, Kind},
};

use super::{
    experts::ExpertsBuffers,
    feed_forward::FeedForwardBuffers,
    latent::LatentBuffers,
    linear::Linear,
    weights::{Attention, DecoderWeights, Ffn, LayerWeights},
};
use crate::spec::{BlockSpec, DecoderSpec};

/// Activations, each `max_rows` rows.
pub(super) struct Buffers {
    pub(super) max_rows: usize,
    /// Residual stream, `hidden_size` wide.
    pub(super) x: Vec<f32>,
    /// Its norm.
    pub(super) normed: Activations,
    /// The norm that feed-forward layers see, where that is taken before attention.
    pub(super) ffn_normed: Option<Activations>,
    /// What is done to a branch before it is added to the stream needs it apart.
    pub(super) branch: Vec<f32>,
    pub(super) attention: AttentionBuffers,
    pub(super) dense: FeedForwardBuffers,
    pub(super) experts: Option<ExpertsBuffers>,
    /// Rows that go to the output head, and their norm.
    pub(super) last: Vec<f32>,
    pub(super) last_normed: Activations,
    /// Their logits, `vocab_size` wide.
    pub(super) logits: Vec<f32>,
}

/// What attention needs.
pub(super) struct AttentionBuffers {
    /// Queries, `num_heads · head_dim` wide.
    pub(super) q: Vec<f32>,
    /// Keys, `num_kv_heads · head_dim` wide.
    pub(super) k: Vec<f32>,
    /// Values, likewise.
    pub(super) v: Vec<f32>,
    /// Attention's output, as wide as the queries.
    pub(super) attended: Vec<f32>,
    /// What goes into the projection out of attention.
    pub(super) attended_in: Activations,
    pub(super) latent: Option<LatentBuffers>,
}

impl AttentionBuffers {
    fn new(
        spec: &DecoderSpec,
        weights: &DecoderWeights,
        (max_rows, adapters): (usize, bool),
    ) -> Self {
        let spec = &spec.attention;
        let rows = |width: usize| vec![0.0; max_rows * width];
        let kinds = weights.layers.iter().map(|layer| layer.attn_output.kind());
        let kinds: Vec<_> = kinds.chain(adapters.then_some(Kind::F32)).collect();
        let latent: Vec<_> = (weights.layers.iter())
            .filter_map(|layer| match &layer.attention {
                Attention::Latent(latent) => Some(&**latent),
                Attention::Grouped(_) => None,
            })
            .collect();
        Self {
            q: rows(spec.q_width()),
            k: rows(spec.kv_width()),
            v: rows(spec.kv_width()),
            attended: rows(spec.q_width()),
            attended_in: Activations::new(max_rows, spec.out_width(), &kinds),
            latent: (spec.latent.as_ref())
                .map(|shape| LatentBuffers::new((spec, shape), &latent, max_rows)),
        }
    }
}

/// What reads a layer's normed stream first of all, and what reads it for the feed-forward layer.
fn readers(layer: &LayerWeights) -> (Vec<Kind>, Vec<Kind>) {
    let attention = layer.attention.inputs().into_iter().map(Linear::kind).collect();
    let ffn = match &layer.ffn {
        Ffn::Dense(ffn) => ffn.gate.iter().chain([&ffn.up]).map(Linear::kind).collect(),
        // Experts gather rows as they are, as the router reads them.
        Ffn::Experts(experts) => {
            let shared = experts.shared.iter();
            let shared = shared.flat_map(|ffn| ffn.gate.iter().chain([&ffn.up]));
            shared.map(Linear::kind).chain([Kind::F32]).collect()
        }
    };
    (attention, ffn)
}

impl Buffers {
    /// For at most `max_rows` input tokens, with `adapters` or without, `max_logit_rows` rows of
    /// logits, and so many threads.
    pub(super) fn new(
        spec: &DecoderSpec,
        weights: &DecoderWeights,
        (max_rows, adapters): (usize, bool),
        max_logit_rows: usize,
        parallel: (Isa, usize),
    ) -> Self {
        let width = spec.hidden_size;
        // Adapters read rows as they are.
        let plain = || adapters.then_some(Kind::F32).into_iter();
        let (mut normed, mut ffn_normed) = (Vec::from_iter(plain()), Vec::from_iter(plain()));
        for layer in &weights.layers {
            let (attention, ffn) = readers(layer);
            normed.extend(attention);
            ffn_normed.extend(ffn);
        }
        let apart = spec.block == BlockSpec::ParallelTwoNorms;
        if !apart {
            normed.append(&mut ffn_normed);
        }
        let experts: Vec<_> = (weights.layers.iter())
            .filter_map(|layer| match &layer.ffn {
                Ffn::Experts(experts) => Some(&**experts),
                Ffn::Dense(_) => None,
            })
            .collect();
        let dense = weights.layers.iter().filter_map(|layer| match &layer.ffn {
            Ffn::Dense(ffn) => Some(ffn),
            Ffn::Experts(_) => None,
        });
        let branch = spec.branches_apart() || spec.embedding.learned_positions.is_some();
        Self {
            max_rows,
            x: vec![0.0; max_rows * width],
            normed: Activations::new(max_rows, width, &normed),
            ffn_normed: apart.then(|| Activations::new(max_rows, width, &ffn_normed)),
            branch: vec![0.0; if branch { max_rows * width } else { 0 }],
            attention: AttentionBuffers::new(spec, weights, (max_rows, adapters)),
            dense: FeedForwardBuffers::new((max_rows, adapters), dense),
            experts: (spec.experts.as_ref())
                .map(|spec| ExpertsBuffers::new(spec, (max_rows, width), &experts, parallel)),
            last: vec![0.0; max_logit_rows * width],
            last_normed: Activations::new(max_logit_rows, width, &[weights.output.kind()]),
            logits: vec![0.0; max_logit_rows * spec.vocab_size],
        }
    }
}

impl DecoderSpec {
    /// Whether something is done to branches before they are added to the residual stream.
    fn branches_apart(&self) -> bool {
        self.block.has_post_norms() || self.residual_scale != 1.0 || self.experts.is_some()
    }
}
