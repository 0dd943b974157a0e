//! Phi-3, 3.5 and 4.
//!
//! Sources: transformers' `modeling_phi3.py`; llama.cpp's `convert_hf_to_gguf.py`.

use super::{
    Family,
    base::{Defaults, from_config, set_windows},
    config::Config,
    gguf::{self, Gguf},
    names::{FIELDS, Names, PRE_NORMS, TOP},
    unchanged,
};
use engine_weights::Fault;

use crate::spec::{DecoderSpec, RopeStyle};

const NAMES: Names = Names {
    layers: "model.layers.",
    top: TOP,
    roles: &[
        PRE_NORMS,
        &[
            ("self_attn.qkv_proj", "attn_qkv"),
            ("self_attn.o_proj", "attn_output"),
            ("mlp.gate_up_proj", "ffn_gate_up"),
            ("mlp.down_proj", "ffn_down"),
        ],
    ],
    fields: FIELDS,
};

pub(super) const FAMILIES: [Family; 1] = [Family {
    architectures: &["Phi3ForCausalLM"],
    from_config: phi3,
    names: &NAMES,
    reform: unchanged,
    gguf: &["phi3"],
    gguf_reform: unchanged,
    from_gguf: phi3_gguf,
}];

fn phi3(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { eps: 1e-5, ..Defaults::LLAMA };
    let mut spec = from_config(config, "phi3", &defaults)?;
    let window = config.get("sliding_window")?;
    set_windows(&mut spec, window, |_| true);
    Ok(spec)
}

fn phi3_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    let window = file.get("sliding_window")?.filter(|size| *size > 0);
    set_windows(&mut spec, window, |_| true);
    Ok(spec)
}
