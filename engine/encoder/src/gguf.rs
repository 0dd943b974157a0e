//! Encoders in GGUF files, as llama.cpp's converter writes them.
//!
//! Invariant: which tensors there are decides on biases, gates and tables; metadata decides on the
//! rest. Embeddings are normalised, as llama.cpp's server does: the file does not say.

use std::path::Path;

use engine_core::{Activation as ToScores, EncoderOutput};
use engine_weights::{
    Fault, LoadError, Tensor, Weights,
    fields::Fields,
    gguf::{GgufFile, Keys},
    mmap,
    names::in_gguf,
};

use crate::{
    families,
    files::Model,
    spec::{
        Activation, AttentionSpec, BlockSpec, DenseSpec, EmbeddingSpec, EncoderSpec,
        FeedForwardSpec, Function, LayerSpec, NormSpec, OutputSpec, Pooling, PositionsSpec,
        StackSpec, Stage,
    },
};

/// The names of the architectures that are known.
pub const KNOWN: [&str; 2] = ["bert", "nomic-bert"];

/// Opens the encoder in the file; `None` if it is something else.
pub(crate) fn open(path: &Path) -> Result<Option<Model>, LoadError> {
    let bytes = mmap::map(path)?;
    let at_path = |fault: Fault| fault.at(path);
    let file = GgufFile::parse(&bytes).map_err(at_path)?;
    let name: &str = file.metadata.require("general.architecture").map_err(at_path)?;
    let Some(family) = KNOWN.into_iter().find(|known| *known == name) else { return Ok(None) };
    let keys = Keys { metadata: &file.metadata, architecture: name };
    let gguf = Gguf { keys, tensors: &file.tensors, family };
    let spec = gguf.spec().map_err(at_path)?;
    let (output, meaning) = gguf.output(spec.stack.hidden_size).map_err(at_path)?;
    families::check_output(spec.stack.hidden_size, &output).map_err(at_path)?;
    let mut tensors = Vec::with_capacity(file.tensors.len());
    let split = |tensor: Tensor| families::split(&spec, tensor, &mut tensors);
    let weights = (file.tensors.into_iter().try_for_each(split))
        .and_then(|()| Weights::exactly(tensors, &spec.tensor_sizes(&output)))
        .map_err(|error| error.told(&keys, in_gguf))?;
    let architecture = name.to_owned();
    Ok(Some(Model { architecture, spec, output, meaning, include_prompt: true, weights }))
}

/// A file's metadata and tensors.
struct Gguf<'a> {
    keys: Keys<'a>,
    tensors: &'a [Tensor],
    /// `general.architecture`.
    family: &'static str,
}

impl Gguf<'_> {
    /// Rows of a tensor, if it is there.
    fn rows(&self, name: &str) -> Option<usize> {
        let found = self.tensors.iter().find(|tensor| tensor.name() == name)?;
        found.shape().first().copied()
    }

    fn spec(&self) -> Result<EncoderSpec, Fault> {
        let keys = &self.keys;
        let num_layers = keys.require("num_hidden_layers")?;
        families::check_num_layers(num_layers).map_err(|fault| keys.told(fault))?;
        let has = |role: &str| self.rows(&format!("blk.0.{role}")).is_some();
        let rows = self.rows("position_embd.weight");
        let context: usize = keys.require("max_position_embeddings")?;
        let gated = has("ffn_gate.weight");
        let (ropes, rope) = match rows {
            None => (vec![keys.positive("rope.freq_base")?.unwrap_or(1000.0)], Some(0)),
            Some(_) => (Vec::new(), None),
        };
        let stack = StackSpec {
            hidden_size: keys.require("hidden_size")?,
            max_input_len: context.min(rows.unwrap_or(context)),
            attention: AttentionSpec {
                num_heads: keys.require("num_attention_heads")?,
                bias: has("attn_q.bias") || has("attn_qkv.bias"),
                key_bias: has("attn_k.bias") || has("attn_qkv.bias"),
                output_bias: has("attn_output.bias"),
                relative: None,
            },
            norm: NormSpec { eps: keys.require("layer_norm_eps")?, bias: true },
            block: BlockSpec::PostNorm,
            ropes,
            layers: vec![LayerSpec { rope, window: None }; num_layers],
            feed_forward: FeedForwardSpec {
                width: keys.require("intermediate_size")?,
                gated,
                activation: if gated { Activation::Silu } else { Activation::Gelu },
                bias: has("ffn_up.bias"),
            },
        };
        let spec = EncoderSpec {
            family: self.family,
            vocab_size: self.rows("token_embd.weight").unwrap_or_default(),
            embedding: EmbeddingSpec {
                positions: rows.map(|rows| PositionsSpec { rows, pad: None }),
                token_types: self.rows("token_types.weight").unwrap_or_default(),
            },
            stack,
        };
        families::check(&spec).map_err(|fault| keys.told(fault))?;
        Ok(spec)
    }

    fn output(&self, hidden: usize) -> Result<(OutputSpec, EncoderOutput), Fault> {
        const POOLING: &str = "pooling_type";
        let pooling = match self.keys.get::<u32>(POOLING)? {
            None | Some(0 | 1) => Pooling::Mean,
            Some(2) => Pooling::Cls,
            Some(3) => Pooling::Last,
            Some(4) => return self.ranks(hidden),
            Some(other) => {
                return Err(self.keys.fault(POOLING, format!("{other}; 0 to 4 are known")));
            }
        };
        let output = OutputSpec { poolings: vec![pooling], stages: vec![Stage::Normalize] };
        let meaning = EncoderOutput::Embedding { dim: hidden, normalized: true, truncatable: None };
        Ok((output, meaning))
    }

    /// A reranker.
    fn ranks(&self, hidden: usize) -> Result<(OutputSpec, EncoderOutput), Fault> {
        let labels = self.rows("cls.output.weight").unwrap_or_default();
        let named = self.keys.get::<Vec<String>>("classifier.output_labels")?;
        let named = named.filter(|named| named.len() == labels);
        let dense = |name: &str, rows, function| {
            let bias = self.rows(&format!("{name}.bias")).is_some();
            Stage::Dense(DenseSpec { name: name.to_owned(), rows, cols: hidden, bias, function })
        };
        let mut stages = Vec::new();
        if self.rows("cls.weight").is_some() {
            stages.push(dense("cls", hidden, Function::Tanh));
        }
        stages.push(dense("cls.output", labels, Function::Identity));
        let activation = if labels == 1 { ToScores::Sigmoid } else { ToScores::Softmax };
        let labels = named.unwrap_or_else(|| (0..labels).map(|i| format!("LABEL_{i}")).collect());
        let output = OutputSpec { poolings: vec![Pooling::Cls], stages };
        Ok((output, EncoderOutput::Logits { labels, activation }))
    }
}
