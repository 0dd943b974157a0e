//! From a Hugging Face folder to a described model, its tensors in place in a memory map.
//!
//! Invariant: a [`Model`] is complete and consistent: every tensor that the spec needs is there in
//! the right shape, and none is there that computing by it would leave out. Files are not trusted;
//! whatever they contain, the answer is a model or an error, soon.

use engine_weights::{
    DType, Fault, Files, LoadError, Size, Tensor, Weights, WeightsError,
    config::Config,
    hugging_face::{self, CONFIG},
    names::{Names, Roles},
};
use serde_json::{Map, Value};

use crate::{
    alignment::Alignment,
    spec::{KERNEL, WhisperSpec},
    vocabulary::Vocabulary,
};

/// The class of transformers.
pub const ARCHITECTURE: &str = "WhisperForConditionalGeneration";
const GENERATION: &str = "generation_config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// All that is needed to run a model of speech.
#[derive(Clone, Debug)]
pub struct Model {
    /// What to compute.
    pub spec: WhisperSpec,
    /// Which tokens mean what.
    pub vocabulary: Vocabulary,
    /// What times of tokens are found by.
    pub(crate) alignment: Alignment,
    /// The encoder's layers, by canonical names, and the convolutions before them.
    pub encoder: Weights,
    /// The decoder's tensors.
    pub decoder: Weights,
}

/// Names within a layer of the encoder.
const ENCODER_ROLES: Roles = &[
    ("self_attn_layer_norm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.out_proj", "attn_output"),
    ("final_layer_norm", "ffn_norm"),
    ("fc1", "ffn_up"),
    ("fc2", "ffn_down"),
];
/// What a layer of the decoder has beside them.
const CROSS_ROLES: Roles = &[
    ("encoder_attn_layer_norm", "cross_norm"),
    ("encoder_attn.q_proj", "cross_q"),
    ("encoder_attn.k_proj", "cross_k"),
    ("encoder_attn.v_proj", "cross_v"),
    ("encoder_attn.out_proj", "cross_output"),
];
const ENCODER: Names = Names {
    layers: "layers.",
    top: &[
        ("conv1", "conv1"),
        ("conv2", "conv2"),
        ("embed_positions", "position_embd"),
        ("layer_norm", "output_norm"),
    ],
    roles: &[ENCODER_ROLES],
    fields: &[
        ("hidden_size", &["d_model"]),
        ("num_hidden_layers", &["encoder_layers"]),
        ("intermediate_size", &["encoder_ffn_dim"]),
    ],
};
const DECODER: Names = Names {
    layers: "layers.",
    top: &[
        ("embed_tokens", "token_embd"),
        ("embed_positions", "position_embd"),
        ("layer_norm", "output_norm"),
    ],
    roles: &[ENCODER_ROLES, CROSS_ROLES],
    fields: &[("num_hidden_layers", &["decoder_layers"])],
};

/// Opens the model of speech that `files` (path by name) hold: `config.json` of Whisper's class,
/// `generation_config.json` and `*.safetensors`. `None` if they are of another class.
///
/// # Errors
/// [`LoadError`] naming the file and the field or tensor.
pub fn open(files: &Files) -> Result<Option<Model>, LoadError> {
    let Some(path) = files.get(CONFIG) else { return Ok(None) };
    let fields = hugging_face::read_object(path)?;
    let config = Config::new(&fields);
    let at_config = |fault: Fault| fault.at(path);
    let classes = config.get::<Vec<String>>("architectures").map_err(at_config)?;
    if classes.unwrap_or_default() != [ARCHITECTURE] {
        return Ok(None);
    }
    let spec = WhisperSpec::read(&config).map_err(at_config)?;
    let generation_path = hugging_face::require(files, GENERATION)?;
    let generation = hugging_face::read_object(generation_path)?;
    let vocabulary = Vocabulary::read(&Config::new(&generation), &config, spec.vocab_size);
    let vocabulary = vocabulary.map_err(|fault| fault.at(generation_path))?;
    let alignment = Alignment::heads(&Config::new(&generation), &spec);
    let alignment = alignment.map_err(|fault| fault.at(generation_path))?;
    let alignment = alignment.with_median(&config).map_err(at_config)?;
    if let Some(path) = files.get(PREPROCESSOR) {
        let object = hugging_face::read_object(path)?;
        spec.check_features(&Config::new(&object)).map_err(|fault| fault.at(path))?;
    }
    let (encoder, decoder) = weights(files, &fields, &spec)?;
    Ok(Some(Model { spec, vocabulary, alignment, encoder, decoder }))
}

fn weights(
    files: &Files,
    config: &Map<String, Value>,
    spec: &WhisperSpec,
) -> Result<(Weights, Weights), LoadError> {
    const WHOLE: &str = "model.";
    let (mut encoder, mut decoder) = (Vec::new(), Vec::new());
    let mut whole = "";
    for tensor in hugging_face::tensors(files, config)? {
        let theirs = tensor.name().to_owned();
        let unknown = || WeightsError::unknown(&theirs);
        // Logits are computed with the embedding; a copy of it is of no use.
        if theirs == "proj_out.weight" {
            continue;
        }
        if theirs.starts_with(WHOLE) {
            whole = WHOLE;
        }
        let stem = theirs.strip_prefix(WHOLE).unwrap_or(&theirs);
        let (to, names, stem) = if let Some(stem) = stem.strip_prefix("encoder.") {
            (&mut encoder, &ENCODER, stem)
        } else if let Some(stem) = stem.strip_prefix("decoder.") {
            (&mut decoder, &DECODER, stem)
        } else {
            return Err(unknown().into());
        };
        let name = names.canonical(stem).ok_or_else(unknown)?;
        let is_kernel = name.starts_with("conv") && name.ends_with(".weight");
        to.push(if is_kernel { unfolded(&tensor, &name)? } else { tensor.renamed(name) });
    }
    let exactly = |part: &str, names: &Names, tensors, wanted: &[_]| {
        let theirs = |ours: &str| Some(format!("{whole}{part}.{}", names.theirs(ours)?));
        let fields = Config::new(config).of_family(names.fields);
        Weights::exactly(tensors, wanted).map_err(|error| error.told(&fields, theirs))
    };
    let encoder = exactly("encoder", &ENCODER, encoder, &spec.encoder_tensors())?;
    let decoder = exactly("decoder", &DECODER, decoder, &spec.decoder_tensors())?;
    Ok((encoder, decoder))
}

/// A convolution's weights as a matrix over rows that lie one after another: from
/// `[out][in][kernel]` to `[out][kernel · in]`.
fn unfolded(tensor: &Tensor, name: &str) -> Result<Tensor, WeightsError> {
    let &[rows, cols, KERNEL] = tensor.shape() else {
        return Err(tensor.misshapen(&[0, 0, KERNEL].map(Size::from)));
    };
    let values = tensor.to_f32();
    let mut bytes = Vec::with_capacity(values.len() * 4);
    for row in values.chunks_exact(cols * KERNEL) {
        for step in 0..KERNEL {
            let column = row.iter().skip(step).step_by(KERNEL);
            bytes.extend(column.flat_map(|value| value.to_le_bytes()));
        }
    }
    tensor.reformed(name, DType::F32, &[rows, KERNEL * cols], bytes.into())
}

impl WhisperSpec {
    fn hidden(&self) -> Size {
        Size { num: self.hidden_size(), by: &["d_model"] }
    }

    /// Names and shapes of all tensors of the encoder, with the fields that decide on them.
    fn encoder_tensors(&self) -> Vec<(String, Vec<Size>)> {
        let hidden = self.hidden();
        let rows = |cols: usize, by| Size { num: KERNEL * cols, by };
        let positions = Size { num: self.positions(), by: &["max_source_positions"] };
        let mut all = self.encoder.tensor_sizes();
        let mut add = |name: &str, shape: &[Size]| all.push((name.to_owned(), shape.to_vec()));
        add("conv1.weight", &[hidden, rows(self.num_mels, &["num_mel_bins"])]);
        add("conv1.bias", &[hidden]);
        add("conv2.weight", &[hidden, rows(hidden.num, hidden.by)]);
        add("conv2.bias", &[hidden]);
        add("position_embd.weight", &[positions, hidden]);
        all
    }

    /// Those of the decoder.
    fn decoder_tensors(&self) -> Vec<(String, Vec<Size>)> {
        let hidden = self.hidden();
        let width = Size { num: self.decoder_width, by: &["decoder_ffn_dim"] };
        let vocab = Size { num: self.vocab_size, by: &["vocab_size"] };
        let positions = Size { num: self.max_tokens, by: &["max_target_positions"] };
        let mut all = vec![
            ("token_embd.weight".to_owned(), vec![vocab, hidden]),
            ("position_embd.weight".to_owned(), vec![positions, hidden]),
        ];
        let mut add = |name: String, shape: &[Size], bias: bool| {
            all.push((format!("{name}.weight"), shape.to_vec()));
            if bias {
                all.push((format!("{name}.bias"), shape[..1].to_vec()));
            }
        };
        add("output_norm".to_owned(), &[hidden], true);
        for i in 0..self.decoder_layers {
            let name = |role: &str| format!("blk.{i}.{role}");
            for norm in ["attn_norm", "cross_norm", "ffn_norm"] {
                add(name(norm), &[hidden], true);
            }
            for kind in ["attn", "cross"] {
                for role in ["q", "k", "v", "output"] {
                    add(name(&format!("{kind}_{role}")), &[hidden, hidden], role != "k");
                }
            }
            add(name("ffn_up"), &[width, hidden], true);
            add(name("ffn_down"), &[hidden, width], true);
        }
        all
    }
}
