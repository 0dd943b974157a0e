//! A model's tensors by canonical name, held against those that it is computed with.
//!
//! Invariant: what is missing, misshapen or over is told with the fields that decide on it, by
//! their usual names.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::{By, WeightsError},
    names::is_number,
    tensor::Tensor,
};

/// One size of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Elements.
    pub num: usize,
    /// The usual names of the fields that it follows from.
    pub by: &'static [&'static str],
}

impl From<usize> for Size {
    /// A size that no field decides.
    fn from(num: usize) -> Self {
        Self { num, by: &[] }
    }
}

/// A model's tensors by canonical name.
#[derive(Clone, Debug, Default)]
pub struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// Tensors that are just the `wanted` ones, by name and shape.
    ///
    /// # Errors
    /// If one is missing, has another shape, or is there beside them.
    pub fn exactly(
        tensors: Vec<Tensor>,
        wanted: &[(String, Vec<Size>)],
    ) -> Result<Self, WeightsError> {
        let weights: Self = tensors.into_iter().collect();
        let there: BTreeSet<_> = weights.names().collect();
        for (name, shape) in wanted {
            match weights.get(name) {
                Some(tensor) => tensor.check_shape(shape)?,
                None => {
                    let (tensor, by) = (name.clone(), counted_by(name, &there));
                    return Err(WeightsError::Missing { tensor, by });
                }
            }
        }
        let known: BTreeSet<_> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        if let Some((name, tensor)) = weights.0.iter().find(|(name, _)| !known.contains(&***name)) {
            let (tensor, by) = (tensor.theirs().into(), counted_by(name, &known));
            return Err(WeightsError::Unknown { tensor, by });
        }
        Ok(weights)
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// The tensor of this name and shape.
    ///
    /// # Errors
    /// If there is none, or it has another shape.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let missing = || WeightsError::Missing { tensor: name.into(), by: By::default() };
        let tensor = self.get(name).ok_or_else(missing)?;
        let shape: Vec<Size> = shape.iter().copied().map(Size::from).collect();
        tensor.check_shape(&shape)?;
        Ok(tensor.clone())
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromIterator<Tensor> for Weights {
    fn from_iter<I: IntoIterator<Item = Tensor>>(tensors: I) -> Self {
        Self(tensors.into_iter().map(|tensor| (tensor.name().to_owned(), tensor)).collect())
    }
}

/// What decides how many there are of a tensor whose name has a number, if that is why it is not
/// among `others`: the layer, or the expert or head within it.
fn counted_by(name: &str, others: &BTreeSet<&str>) -> By {
    let has =
        |start: &str| others.range(start..).next().is_some_and(|other| other.starts_with(start));
    let Some((layer, role)) = name.strip_prefix("blk.").and_then(|name| name.split_once('.'))
    else {
        return By::default();
    };
    if !has(&format!("blk.{layer}.")) {
        return By::new(&["num_hidden_layers"]);
    }
    let numbered =
        role.split_once('.').and_then(|(role, rest)| Some((role, rest.split_once('.')?.0)));
    match numbered {
        Some((role, i)) if is_number(i) => {
            let has = |i: &str| has(&format!("blk.{layer}.{role}.{i}."));
            match role {
                _ if has(i) || !has("0") => By::default(),
                "attn_k_norm" => By::new(&["num_key_value_heads"]),
                role if role.starts_with("attn_") => By::new(&["num_attention_heads"]),
                _ => By::new(&["num_experts"]),
            }
        }
        _ => By::default(),
    }
}

#[cfg(test)]
mod tests {
    use kernels::quant::DType;

    use super::*;

    fn tensor(name: &str) -> Tensor {
        Tensor::new(name, DType::F32, &[1], vec![0; 4].into()).expect("its bytes")
    }

    /// What holding the tensors of these names against those says is decided by.
    fn decided(there: &[&str], wanted: &[&str]) -> String {
        let tensors = there.iter().copied().map(tensor).collect();
        let wanted: Vec<_> =
            wanted.iter().map(|name| ((*name).to_owned(), vec![Size::from(1)])).collect();
        let error = Weights::exactly(tensors, &wanted).expect_err("they differ").to_string();
        error.rsplit_once("; ").map(|(_, by)| by.to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_number_that_one_side_lacks_names_what_counts() {
        let layers = ["blk.0.a.weight", "blk.1.a.weight"];
        let experts = ["blk.0.ffn_up.0.weight", "blk.0.ffn_up.1.weight"];
        let heads = ["blk.0.attn_q_norm.0.weight", "blk.0.attn_q_norm.1.weight"];
        let kv_heads = ["blk.0.attn_k_norm.0.weight", "blk.0.attn_k_norm.1.weight"];
        for (names, by) in [
            (layers, "num_hidden_layers"),
            (experts, "num_experts"),
            (heads, "num_attention_heads"),
            (kv_heads, "num_key_value_heads"),
            (["blk.0.a.weight", "blk.0.b.weight"], ""),
            (["output.weight", "token_embd.weight"], ""),
        ] {
            let missing = decided(&names[..1], &names);
            assert_eq!(missing, by, "{names:?}");
            let over = decided(&names, &names[..1]);
            assert!(over.ends_with("would be wrong") && by.is_empty() || over == by, "{names:?}");
        }
        // A layer that has experts on one side only has not too many of them.
        assert_eq!(decided(&["blk.0.ffn_up.weight"], &experts), "");
    }
}
