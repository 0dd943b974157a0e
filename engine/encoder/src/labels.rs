//! What a classifier's logits are of, and what makes scores of them, as its configuration says.
//!
//! Invariant: there are as many labels as logits, each named once by its index.

use std::collections::BTreeMap;

use engine_core::Activation;
use engine_weights::{Fault, config::Config};

/// What transformers has where nothing is said.
const DEFAULT_NUM: usize = 2;
/// Far above any classifier known.
const MAX_NUM: usize = 1 << 16;

/// The labels' names by index.
pub(crate) fn labels(config: &Config<'_>) -> Result<Vec<String>, Fault> {
    const FIELD: &str = "id2label";
    let Some(by_id) = config.get::<BTreeMap<String, String>>(FIELD)? else {
        let num = config.get("num_labels")?.unwrap_or(DEFAULT_NUM);
        if !(1..=MAX_NUM).contains(&num) {
            let what = format!("{num} is not between 1 and {MAX_NUM}");
            return Err(Fault::field("num_labels", what));
        }
        return Ok((0..num).map(|i| format!("LABEL_{i}")).collect());
    };
    let num = by_id.len();
    if !(1..=MAX_NUM).contains(&num) {
        return Err(Fault::field(FIELD, format!("{num} labels; 1 to {MAX_NUM} are read")));
    }
    let mut labels = vec![None; num];
    for (id, label) in by_id {
        match id.parse::<usize>().ok().and_then(|id| labels.get_mut(id)) {
            Some(place @ None) => *place = Some(label),
            _ => {
                let what = format!("key {id:?} is not one of the numbers below {num}");
                return Err(Fault::field(FIELD, what));
            }
        }
    }
    // As many keys as places, and no place taken twice.
    Ok(labels.into_iter().flatten().collect())
}

/// What sentence-transformers was told, or else what transformers' pipelines do: one label, or
/// several that may hold together, each on its own; one of many over all.
pub(crate) fn activation(config: &Config<'_>, num_labels: usize) -> Result<Activation, Fault> {
    const TODAY: (&str, &str) = ("sentence_transformers", "activation_fn");
    const BEFORE: &str = "sbert_ce_default_activation_function";
    let nested = match config.object(TODAY.0)? {
        Some(object) => object.get::<String>(TODAY.1)?,
        None => None,
    };
    let told = match nested {
        Some(path) => Some((TODAY.1, path)),
        None => config.get::<String>(BEFORE)?.map(|path| (BEFORE, path)),
    };
    if let Some((field, path)) = told {
        return match path.rsplit('.').next() {
            Some("Identity") => Ok(Activation::Identity),
            Some("Sigmoid") => Ok(Activation::Sigmoid),
            Some("Softmax") => Ok(Activation::Softmax),
            _ => {
                let what = format!("{path:?}; supported are Identity, Sigmoid and Softmax");
                Err(Fault::field(field, what))
            }
        };
    }
    let kind = config.get::<String>("problem_type")?;
    Ok(match (kind.as_deref(), num_labels) {
        (Some("regression"), _) => Activation::Identity,
        (Some("multi_label_classification"), _) | (_, 1) => Activation::Sigmoid,
        _ => Activation::Softmax,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn labels_lie_by_their_numbers() {
        let of = |value| labels(&Config::new(&object(value)));
        let ten: Map<String, Value> =
            (0..10).map(|i| (format!("{i}"), json!(format!("label {i}")))).collect();
        assert_eq!(of(json!({"id2label": ten})).expect("labels")[9], "label 9");
        assert_eq!(of(json!({})).expect("labels"), ["LABEL_0", "LABEL_1"]);
        assert_eq!(of(json!({"num_labels": 1})).expect("labels"), ["LABEL_0"]);
        for wrong in [
            json!({"id2label": {}}),
            json!({"id2label": {"1": "a"}}),
            json!({"id2label": {"0": "a", "00": "b"}}),
            json!({"id2label": {"0": "a", "x": "b"}}),
            json!({"num_labels": u64::MAX}),
        ] {
            let error = of(wrong.clone()).expect_err("refused").to_string();
            assert!(error.contains("label"), "{wrong}: {error}");
        }
    }

    #[test]
    fn activations_are_those_of_sentence_transformers_and_pipelines() {
        let of = |value, num| activation(&Config::new(&object(value)), num);
        for (value, num, want) in [
            (json!({}), 1, Activation::Sigmoid),
            (json!({}), 3, Activation::Softmax),
            (json!({"problem_type": "regression"}), 1, Activation::Identity),
            (json!({"problem_type": "multi_label_classification"}), 3, Activation::Sigmoid),
            (json!({"problem_type": "single_label_classification"}), 3, Activation::Softmax),
            (
                json!({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}),
                1,
                Activation::Identity,
            ),
            (
                json!({"sentence_transformers":
                    {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}),
                2,
                Activation::Sigmoid,
            ),
        ] {
            assert_eq!(of(value.clone(), num), Ok(want), "{value}");
        }
        let odd = json!({"sentence_transformers": {"activation_fn": "mine.Odd"}});
        assert!(of(odd, 1).expect_err("refused").to_string().contains("mine.Odd"));
    }
}
