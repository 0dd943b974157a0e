//! What attention is computed with.

use super::{Linear, NormWeights, vector};
use crate::{
    spec::{AttentionSpec, LatentSpec, LayerSpec, NormSpec, QkNormOver},
    weights::{Weights, WeightsError},
};

/// Queries, keys and values.
pub(in super::super) struct Grouped {
    pub(in super::super) q: Linear,
    pub(in super::super) k: Linear,
    pub(in super::super) v: Linear,
    /// Of queries, and of keys.
    pub(in super::super) norms: Option<[NormWeights; 2]>,
    pub(in super::super) sinks: Option<Vec<f32>>,
}

impl Grouped {
    pub(super) fn load(
        weights: &Weights,
        name: &dyn Fn(&str) -> String,
        hidden: usize,
        (spec, layer): (&AttentionSpec, &LayerSpec),
    ) -> Result<Self, WeightsError> {
        let linear = |role, rows| Linear::load(weights, &name(role), [rows, hidden], spec.bias);
        let norm = |role, heads| -> Result<Option<NormWeights>, WeightsError> {
            let Some(norm) = spec.qk_norm else { return Ok(None) };
            let unweighted = norm.over == QkNormOver::Unweighted;
            if unweighted && layer.rope.is_none() {
                return Ok(None);
            }
            let mut weight = vec![1.0; if unweighted { spec.head_dim } else { 0 }];
            for (suffix, width) in norm.weights(heads, spec.head_dim) {
                weight.extend(vector(weights, &name(&format!("{role}{suffix}.weight")), &[width])?);
            }
            let vector = match norm.over {
                QkNormOver::All => weight.len(),
                _ => spec.head_dim,
            };
            Ok(Some(NormWeights { kind: norm.kind, eps: norm.eps, weight, bias: None, vector }))
        };
        let q_norm = norm("attn_q_norm", spec.num_heads)?;
        let k_norm = norm("attn_k_norm", spec.num_kv_heads)?;
        let sinks = match spec.sinks {
            true => Some(vector(weights, &name("attn_sinks.weight"), &[spec.num_heads])?),
            false => None,
        };
        Ok(Self {
            q: linear("attn_q", spec.q_width())?,
            k: linear("attn_k", spec.kv_width())?,
            v: linear("attn_v", spec.kv_width())?,
            norms: q_norm.zip(k_norm).map(Into::into),
            sinks,
        })
    }
}

/// Keys and values out of a latent vector. What a head makes of it is moved to its query and to
/// its output, so that all heads attend to the latent vectors themselves.
pub(in super::super) struct Latent {
    /// To the latent vector of queries, and its norm.
    pub(in super::super) q_a: Option<(Linear, NormWeights)>,
    pub(in super::super) q: Linear,
    pub(in super::super) kv_a: Linear,
    pub(in super::super) kv_norm: NormWeights,
    /// For each head: from a query to latent vectors, and from them to its output.
    pub(in super::super) heads: Vec<(Linear, Linear)>,
}

impl Latent {
    pub(super) fn load(
        weights: &Weights,
        name: &dyn Fn(&str) -> String,
        hidden: usize,
        (spec, latent, norm): (&AttentionSpec, &LatentSpec, &NormSpec),
    ) -> Result<Self, WeightsError> {
        let linear = |role: &str, shape, bias| Linear::load(weights, &name(role), shape, bias);
        let norm = |role, width| NormWeights::load(weights, &name(role), width, norm);
        let q_width = spec.num_heads * (latent.nope_dim + latent.rope_dim);
        let (q_a, q) = match latent.q_rank {
            Some(rank) => {
                let q_a = linear("attn_q_a", [rank, hidden], spec.bias)?;
                let q_b = linear("attn_q_b", [q_width, rank], false)?;
                (Some((q_a, norm("attn_q_a_norm", rank)?)), q_b)
            }
            None => (None, linear("attn_q", [q_width, hidden], false)?),
        };
        let head = |i| {
            let k = [latent.kv_rank, latent.nope_dim];
            let v = [latent.value_dim, latent.kv_rank];
            let k = linear(&format!("attn_k_b.{i}"), k, false)?;
            Ok((k, linear(&format!("attn_v_b.{i}"), v, false)?))
        };
        let kv_width = latent.kv_rank + latent.rope_dim;
        Ok(Self {
            q_a,
            q,
            kv_a: linear("attn_kv_a_mqa", [kv_width, hidden], spec.bias)?,
            kv_norm: norm("attn_kv_a_norm", latent.kv_rank)?,
            heads: (0..spec.num_heads).map(head).collect::<Result<_, _>>()?,
        })
    }
}

/// One of the two kinds of attention.
pub(in super::super) enum Attention {
    Grouped(Box<Grouped>),
    Latent(Box<Latent>),
}

impl Attention {
    /// What reads the residual stream.
    pub(in super::super) fn inputs(&self) -> Vec<&Linear> {
        match self {
            Self::Grouped(w) => vec![&w.q, &w.k, &w.v],
            Self::Latent(w) => vec![w.q_a.as_ref().map_or(&w.q, |(q_a, _)| q_a), &w.kv_a],
        }
    }

    pub(super) fn for_each(&mut self, visit: &mut dyn FnMut(&mut Linear)) {
        match self {
            Self::Grouped(w) => [&mut w.q, &mut w.k, &mut w.v].into_iter().for_each(visit),
            Self::Latent(w) => {
                w.q_a.iter_mut().for_each(|(q_a, _)| visit(q_a));
                visit(&mut w.q);
                visit(&mut w.kv_a);
                for (k, v) in &mut w.heads {
                    visit(k);
                    visit(v);
                }
            }
        }
    }
}
