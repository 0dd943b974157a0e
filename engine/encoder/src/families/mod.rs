//! Model families: from a `config.json` to an [`EncoderSpec`], and from a family's names and forms
//! of tensors to the canonical ones.
//!
//! Invariant: a family is a parser. What it cannot express in a spec it refuses, naming the
//! field; a spec returned from here has sizes in range that fit each other.

mod base;
mod bert;
mod check;
mod distilbert;
mod modernbert;
mod mpnet;
mod nomic;
mod roberta;

use engine_weights::{
    Fault, Size, Tensor, Weights, WeightsError, config::Config, fields::Fields, names::Names,
};

pub(crate) use self::check::{check, check_output, num_layers as check_num_layers};
use crate::spec::{DenseSpec, EncoderSpec, Function, OutputSpec, Pooling, Stage};

/// Canonical names of what comes before a classifier's last layer, of a norm between them, and of
/// that layer.
const HEAD: [&str; 3] = ["cls", "cls.norm", "cls.output"];

/// How a family's files are read.
pub(crate) struct Family {
    /// The class of transformers that gives rows of tokens.
    embedder: &'static [&'static str],
    /// The one that gives logits.
    classifier: &'static [&'static str],
    /// The one of the training: an embedder where its modules say so, without what predicts words.
    masked: &'static [&'static str],
    from_config: fn(&Config<'_>) -> Result<EncoderSpec, Fault>,
    /// What makes logits, for so many labels.
    head: fn(&Config<'_>, &EncoderSpec, usize) -> Result<OutputSpec, Fault>,
    /// What a class with a head puts before names.
    prefix: &'static str,
    names: &'static Names,
    /// Beginnings of names of tensors that neither rows of tokens nor logits are computed with.
    ignored: &'static [&'static str],
}

const ALL: [&Family; 6] = [
    &bert::FAMILY,
    &roberta::FAMILY,
    &mpnet::FAMILY,
    &distilbert::FAMILY,
    &modernbert::FAMILY,
    &nomic::FAMILY,
];

/// What a class of transformers gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rows of tokens.
    Embedder,
    /// The same, if modules beside it make an embedding of them.
    Masked,
    /// Logits.
    Classifier,
}

/// Names of the classes that are known.
pub fn known() -> impl Iterator<Item = &'static str> {
    let of = |family: &'static Family| {
        family.embedder.iter().chain(family.classifier).chain(family.masked).copied()
    };
    ALL.into_iter().flat_map(of)
}

/// The family of a class of transformers.
pub(crate) fn find(class: &str) -> Option<(&'static Family, Kind)> {
    ALL.into_iter().find_map(|family| {
        let kinds = [
            (family.embedder, Kind::Embedder),
            (family.classifier, Kind::Classifier),
            (family.masked, Kind::Masked),
        ];
        let (_, kind) = kinds.into_iter().find(|(classes, _)| classes.contains(&class))?;
        Some((family, kind))
    })
}

impl Family {
    /// What the configuration describes.
    pub(crate) fn spec(&self, config: &Config<'_>) -> Result<EncoderSpec, Fault> {
        let config = config.of_family(self.names.fields);
        let spec = (self.from_config)(&config)?;
        check(&spec).map_err(|fault| config.told(fault))?;
        Ok(spec)
    }

    /// What makes logits of rows of tokens.
    pub(crate) fn head(
        &self,
        config: &Config<'_>,
        spec: &EncoderSpec,
        labels: usize,
    ) -> Result<OutputSpec, Fault> {
        (self.head)(&config.of_family(self.names.fields), spec, labels)
    }

    /// The tensors of a folder and of its modules, held against what is computed.
    pub(crate) fn assemble(
        &self,
        config: &Config<'_>,
        (spec, output, kind): (&EncoderSpec, &OutputSpec, Kind),
        (tensors, of_modules): (Vec<Tensor>, &[Tensor]),
    ) -> Result<Weights, WeightsError> {
        let prefixed = tensors.iter().any(|tensor| tensor.name().starts_with(self.prefix));
        let theirs = |ours: &str| {
            let name = self.names.theirs(ours)?;
            let prefixed = prefixed && !is_of_head(ours);
            Some(if prefixed { format!("{}{name}", self.prefix) } else { name })
        };
        let weights = self.adopt((spec, kind), tensors).and_then(|mut tensors| {
            tensors.extend_from_slice(of_modules);
            Weights::exactly(tensors, &spec.tensor_sizes(output))
        });
        weights.map_err(|error| error.told(&config.of_family(self.names.fields), theirs))
    }

    /// Gives tensors of a folder their canonical names and forms.
    fn adopt(
        &self,
        (spec, kind): (&EncoderSpec, Kind),
        tensors: Vec<Tensor>,
    ) -> Result<Vec<Tensor>, WeightsError> {
        let mut adopted = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let theirs = tensor.name();
            let stem = theirs.strip_prefix(self.prefix).unwrap_or(theirs);
            if self.ignored.iter().any(|ignored| stem.starts_with(ignored)) {
                continue;
            }
            let Some(name) = self.names.canonical(&today(stem)) else {
                return Err(WeightsError::unknown(theirs));
            };
            if !is_of_head(&name) || kind == Kind::Classifier {
                split(spec, tensor.renamed(name), &mut adopted)?;
            }
        }
        Ok(adopted)
    }
}

/// Whether a canonical name is of what makes logits.
fn is_of_head(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, _)| HEAD.contains(&stem))
}

/// The name that transformers gives today to weights and biases of norms in old files.
fn today(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, "gamma")) => format!("{stem}.weight"),
        Some((stem, "beta")) => format!("{stem}.bias"),
        _ => name.to_owned(),
    }
}

/// Takes apart what files keep in one.
pub(crate) fn split(
    spec: &EncoderSpec,
    tensor: Tensor,
    to: &mut Vec<Tensor>,
) -> Result<(), WeightsError> {
    let name = tensor.name().to_owned();
    let of = |num, by| Size { num, by };
    let (fused, parts, each): (_, &[&str], _) = if name.contains(".attn_qkv.") {
        ("attn_qkv", &["attn_q", "attn_k", "attn_v"], of(spec.stack.hidden_size, &["hidden_size"]))
    } else if name.contains(".ffn_gate_up.") {
        let width = of(spec.stack.feed_forward.width, &["intermediate_size"]);
        ("ffn_gate_up", &["ffn_gate", "ffn_up"], width)
    } else {
        to.push(tensor);
        return Ok(());
    };
    tensor.check_outer(of(parts.len() * each.num, each.by))?;
    for (i, part) in parts.iter().enumerate() {
        to.push(tensor.part(&name.replace(fused, part), i * each.num, each.num)?);
    }
    Ok(())
}

/// The head that most families have: of the first token's row, a dense layer and the last one.
fn head(spec: &EncoderSpec, function: Function, labels: usize) -> OutputSpec {
    let hidden = spec.stack.hidden_size;
    let dense = |name: &str, rows, function| {
        let name = name.to_owned();
        Stage::Dense(DenseSpec { name, rows, cols: hidden, bias: true, function })
    };
    let stages = vec![dense(HEAD[0], hidden, function), dense(HEAD[2], labels, Function::Identity)];
    OutputSpec { poolings: vec![Pooling::Cls], stages }
}
