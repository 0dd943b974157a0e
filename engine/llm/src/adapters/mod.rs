//! Low-rank adapters (LoRA, Hu et al. 2021) on top of a model, from the folders that the PEFT
//! library writes.
//!
//! Invariant: files are not trusted: an adapter that is opened fits its base in every size, and one
//! that does not is refused by field or tensor, soon.

mod config;
mod lora;
mod parts;
mod store;

use std::{fmt, io};

use engine_weights::{Fault, Files, LoadError, hugging_face};

use self::{config::LoraConfig, parts::Part};
pub use self::{
    lora::Lora,
    store::{AdapterError, AdapterStore},
};
use crate::{families::Family, spec::DecoderSpec};

/// The file that describes an adapter.
pub const CONFIG: &str = "adapter_config.json";
/// Its tensors.
pub const TENSORS: &str = "adapter_model.safetensors";
/// The greatest rank that is taken.
pub const MAX_RANK: usize = 512;

/// The kinds of numbers that adapters are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As exact as the files.
    F32,
    /// Half of that, so that many adapters in one step are read twice as fast.
    Bf16,
}

impl Kept {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// A projection that adapters are computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Query,
    Key,
    Value,
    /// Out of attention.
    Out,
    Gate,
    Up,
    Down,
}

impl Role {
    pub(crate) const NUM: usize = 7;

    /// By its canonical name.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "attn_q" => Self::Query,
            "attn_k" => Self::Key,
            "attn_v" => Self::Value,
            "attn_output" => Self::Out,
            "ffn_gate" => Self::Gate,
            "ffn_up" => Self::Up,
            "ffn_down" => Self::Down,
            _ => return None,
        })
    }
}

/// The sizes that an adapter's matrices depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) num_layers: usize,
    hidden: usize,
    attention: [usize; 3],
    width: usize,
}

impl Shape {
    pub(crate) fn of(spec: &DecoderSpec) -> Self {
        let attention = &spec.attention;
        Self {
            num_layers: spec.num_layers(),
            hidden: spec.hidden_size,
            attention: [attention.q_width(), attention.kv_width(), attention.out_width()],
            width: spec.feed_forward.width,
        }
    }
}

/// What adapters for a model are held against: its sizes, names and forms of tensors.
#[derive(Clone)]
pub struct AdapterBase {
    spec: DecoderSpec,
    family: &'static Family,
    /// Whether it comes from a GGUF file, whose rows may be in another order.
    gguf: bool,
}

impl fmt::Debug for AdapterBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdapterBase").field("family", &self.spec.family).finish_non_exhaustive()
    }
}

impl AdapterBase {
    pub(crate) fn new(spec: &DecoderSpec, family: &'static Family, gguf: bool) -> Self {
        Self { spec: spec.clone(), family, gguf }
    }

    /// Opens the adapter that `files` (path by name) hold, without reading its numbers.
    ///
    /// # Errors
    /// [`LoadError`] naming the file and the field or tensor that is wrong, or does not fit this
    /// base.
    pub fn open(&self, files: &Files) -> Result<AdapterFiles, LoadError> {
        let config_json = hugging_face::require(files, CONFIG)?;
        let tensors = hugging_face::require(files, TENSORS)?;
        let config = hugging_face::read_object(config_json)?;
        let config = LoraConfig::read(&config).map_err(|fault| fault.at(config_json))?;
        let all = hugging_face::file(tensors)?;
        let parts = parts::parts(self, &config, all).map_err(|fault| match fault {
            Fault::Field { .. } => fault.at(config_json),
            fault => fault.at(tensors),
        })?;
        Ok(AdapterFiles { parts, shape: Shape::of(&self.spec) })
    }

    /// A made-up adapter with pairs of this rank for every projection, to measure with: its
    /// numbers are small and follow from `seed`.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn made_up(&self, rank: usize, seed: u64, kept: Kept) -> io::Result<Lora> {
        let shapes = self.spec.tensor_shapes();
        let parts = parts::made_up(&shapes, rank.clamp(1, MAX_RANK), seed);
        Lora::new(Shape::of(&self.spec), &parts, kept)
    }
}

/// An adapter's files, held against its base.
#[derive(Debug)]
pub struct AdapterFiles {
    parts: Vec<Part>,
    shape: Shape,
}

impl AdapterFiles {
    /// Bytes that it takes in memory.
    pub fn num_bytes(&self, kept: Kept) -> usize {
        lora::num_bytes(&self.parts, kept)
    }

    /// The greatest rank of its pairs.
    pub fn max_rank(&self) -> usize {
        self.parts.iter().map(Part::rank).max().unwrap_or(0)
    }

    /// Reads its numbers.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn load(&self, kept: Kept) -> io::Result<Lora> {
        Lora::new(self.shape.clone(), &self.parts, kept)
    }
}
