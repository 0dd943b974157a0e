//! From files to a described tower: its spec, its tensors in place in a memory map, and the rules
//! that images are prepared by.
//!
//! Invariant: a [`Model`] is complete and consistent: every tensor that the spec needs is there in
//! the right shape, and none of what sees is there that computing would leave out. Files are not
//! trusted; whatever they contain, the answer is a model or an error, soon.

use engine_core::TokenId;
use engine_weights::{
    Fault, Files, LoadError, Size, Tensor, Weights, WeightsError,
    config::Config,
    hugging_face::{self, CONFIG},
    names::Names,
};

use crate::{Preprocessing, VisionSpec};

/// Classes of transformers that see so.
pub const ARCHITECTURES: [&str; 2] =
    ["Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration"];
/// Tensors of the language model begin so.
const OTHER_PARTS: [&str; 2] = ["model.text_model.", "lm_head."];

const NAMES: Names = Names {
    layers: "model.vision_model.encoder.layers.",
    top: &[
        ("model.vision_model.embeddings.patch_embedding", "patch_embd"),
        ("model.vision_model.embeddings.position_embedding", "position_embd"),
        ("model.vision_model.post_layernorm", "output_norm"),
        ("model.connector.modality_projection.proj", "projection"),
    ],
    roles: &[&[
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.out_proj", "attn_output"),
        ("layer_norm1", "attn_norm"),
        ("layer_norm2", "ffn_norm"),
        ("mlp.fc1", "ffn_up"),
        ("mlp.fc2", "ffn_down"),
    ]],
    fields: &[
        ("patch_size", &["vision_config.patch_size"]),
        ("image_size", &["vision_config.image_size"]),
        ("num_channels", &["vision_config.num_channels"]),
        ("hidden_size", &["vision_config.hidden_size"]),
        ("num_hidden_layers", &["vision_config.num_hidden_layers"]),
        ("num_attention_heads", &["vision_config.num_attention_heads"]),
        ("intermediate_size", &["vision_config.intermediate_size"]),
        ("layer_norm_eps", &["vision_config.layer_norm_eps"]),
        ("hidden_act", &["vision_config.hidden_act"]),
    ],
};

/// All that is needed to see with a model.
#[derive(Clone, Debug)]
pub struct Model {
    /// What to compute.
    pub spec: VisionSpec,
    /// With which numbers.
    pub weights: Weights,
    /// How images are prepared.
    pub rules: Preprocessing,
    /// The token that stands for a row of an image.
    pub image_token: TokenId,
}

/// Opens what the model in these files sees with, if it is one that does.
///
/// # Errors
/// [`LoadError`] naming the file and the field or tensor.
pub fn open(files: &Files) -> Result<Option<Model>, LoadError> {
    let Some(config_json) = files.get(CONFIG) else { return Ok(None) };
    let config = hugging_face::config(files)?;
    let fields = Config::new(&config).of_family(NAMES.fields);
    let classes: Option<Vec<String>> = fields.get("architectures").unwrap_or_default();
    match classes.as_deref() {
        Some([class]) if ARCHITECTURES.contains(&class.as_str()) => {}
        _ => return Ok(None),
    }
    let at_config = |fault: Fault| fault.at(config_json);
    let rules = Preprocessing::read(files)?;
    let spec = VisionSpec::from_config(&fields, &rules).map_err(at_config)?;
    let image_token = fields.get("image_token_id").map_err(at_config)?.unwrap_or(128_257);
    let tensors = hugging_face::tensors(files, &config)?;
    let weights = adopt(&spec, tensors)
        .and_then(|tensors| Weights::exactly(tensors, &spec.tensor_sizes()))
        .map_err(|error| error.told(&fields, |ours| NAMES.theirs(ours)))?;
    Ok(Some(Model { spec, weights, rules, image_token }))
}

/// Gives tensors their canonical names, and the patches' kernel the form of a matrix.
fn adopt(spec: &VisionSpec, tensors: Vec<Tensor>) -> Result<Vec<Tensor>, WeightsError> {
    let mut adopted = Vec::new();
    let hidden = Size { num: spec.stack.hidden_size, by: &["hidden_size"] };
    let side = Size { num: spec.patch, by: &["patch_size"] };
    let kernel = [hidden, 3.into(), side, side];
    for tensor in tensors {
        let theirs = tensor.name();
        if OTHER_PARTS.iter().any(|part| theirs.starts_with(part)) {
            continue;
        }
        let Some(name) = NAMES.canonical(theirs) else {
            return Err(WeightsError::unknown(theirs));
        };
        adopted.push(match name == "patch_embd.weight" {
            true => {
                tensor.check_shape(&kernel)?;
                let dtype = tensor.dtype();
                tensor.reread(&name, dtype, &[hidden.num, spec.patch_len()])?
            }
            false => tensor.renamed(name),
        });
    }
    Ok(adopted)
}
