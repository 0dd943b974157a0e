//! The declared tower: what `config.json` says of how a model sees.
//!
//! Sources: transformers' `modeling_idefics3.py`, `modeling_smolvlm.py` and the defaults of their
//! configurations.
//!
//! Invariant: sizes of a spec are in range and fit each other; what it cannot express is refused
//! by the name of the field.

use engine_encoder::{
    StackSpec,
    spec::{Activation, AttentionSpec, BlockSpec, FeedForwardSpec, LayerSpec, NormSpec},
};
use engine_weights::{Fault, Size, config::Config, fields::Fields};

use crate::Preprocessing;

const MAX_LAYERS: usize = 1 << 10;
const MAX_HEAD_DIM: usize = 1 << 10;
/// How wide the rows of the language model are.
const TEXT_WIDTH: &str = "text_config.hidden_size";
/// Pieces of patches on a side that a table of positions, or a piece, may have.
const MAX_GRID: usize = 128;

/// Patches, layers over them, and the connector to a language model. Sizes are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionSpec {
    /// The layers; an input is the patches of one piece.
    pub stack: StackSpec,
    /// Pixels of a side of a patch.
    pub patch: usize,
    /// Patches on a side of a piece.
    pub grid: usize,
    /// Patches on a side of the images that positions were learned with.
    pub learned_grid: usize,
    /// So many patches a side become one row.
    pub scale: usize,
    /// Numbers of a row for the language model.
    pub width: usize,
}

impl VisionSpec {
    /// Reads a `config.json`, for pieces as `rules` cut them.
    pub(crate) fn from_config(config: &Config<'_>, rules: &Preprocessing) -> Result<Self, Fault> {
        for part in ["vision_config", "text_config"] {
            config.require_object(part)?;
        }
        let get =
            |field: &str, default: usize| Ok::<_, Fault>(config.get(field)?.unwrap_or(default));
        config.only("num_channels", 3)?;
        let (patch, image) = (get("patch_size", 32)?, get("image_size", 224)?);
        let layers = get("num_hidden_layers", 12)?;
        let scale = get("scale_factor", 2)?;
        let told = |fault| config.told(fault);
        Fault::check_sizes(&[
            ("patch_size", patch, rules.tile),
            ("image_size", image, 1 << 14),
            ("num_hidden_layers", layers, MAX_LAYERS),
            ("scale_factor", scale, MAX_GRID),
        ])
        .map_err(told)?;
        let grid = rules.tile / patch;
        let this = Self {
            stack: stack(config, (layers, grid * grid))?,
            patch,
            grid,
            learned_grid: image / patch,
            scale,
            width: get(TEXT_WIDTH, 4096)?,
        };
        this.check(rules).map_err(told)?;
        Ok(this)
    }

    fn check(&self, rules: &Preprocessing) -> Result<(), Fault> {
        let (hidden, heads) = (self.stack.hidden_size, self.stack.attention.num_heads);
        Fault::check_sizes(&[
            ("hidden_size", hidden, 1 << 16),
            ("num_attention_heads", heads, 1 << 11),
            ("intermediate_size", self.stack.feed_forward.width, 1 << 20),
            (TEXT_WIDTH, self.width, 1 << 17),
        ])?;
        let grids =
            [("patch_size", "piece", self.grid), ("image_size", "image", self.learned_grid)];
        for (field, of, grid) in grids {
            if !(1..=MAX_GRID).contains(&grid) {
                let what = format!("{grid} patches on a side of each {of}: not 1 to {MAX_GRID}");
                return Err(Fault::field(field, what));
            }
        }
        let dim = self.stack.head_dim();
        if dim * heads != hidden || !dim.is_multiple_of(2) || dim > MAX_HEAD_DIM {
            let what = format!("{heads} heads do not make up the hidden size, {hidden}");
            return Err(Fault::field("num_attention_heads", what));
        }
        if !(0.0..1.0).contains(&self.stack.norm.eps) {
            let what = format!("{} is not between 0 and 1", self.stack.norm.eps);
            return Err(Fault::field("layer_norm_eps", what));
        }
        if !self.grid.is_multiple_of(self.scale) {
            let what =
                format!("{} does not divide the {} patches of a side", self.scale, self.grid);
            return Err(Fault::field("scale_factor", what));
        }
        match rules.seq_len {
            Some(len) if len != self.rows_per_tile() => {
                let rows = self.rows_per_tile();
                let what = format!("{}: a piece makes {rows} rows, not {len}", self.scale);
                Err(Fault::field("scale_factor", what))
            }
            _ => Ok(()),
        }
    }

    /// Patches of a piece.
    pub fn patches(&self) -> usize {
        self.grid * self.grid
    }

    /// Numbers of a patch.
    pub fn patch_len(&self) -> usize {
        3 * self.patch * self.patch
    }

    /// Rows that a piece becomes.
    pub fn rows_per_tile(&self) -> usize {
        self.patches() / (self.scale * self.scale)
    }

    /// Numbers of patches that become one row, one after another.
    pub fn shuffled_len(&self) -> usize {
        self.stack.hidden_size * self.scale * self.scale
    }

    /// The row of the table of positions of each patch. A patch's place is a fraction of the side,
    /// and the table has a row for each of as many equal parts: in `f32`, as the reference has it.
    pub fn positions(&self) -> Vec<usize> {
        let step = 1.0 / self.grid as f32;
        let part = 1.0 / self.learned_grid as f64;
        let bucket = |i: usize| {
            let at = (i as f32 * step).min(1.0 - 1e-6);
            let ends = (1..self.learned_grid).map(|end| (part + part * (end - 1) as f64) as f32);
            ends.take_while(|end| *end <= at).count()
        };
        let buckets: Vec<usize> = (0..self.grid).map(bucket).collect();
        let row = |y: &usize| buckets.iter().map(move |x| (*y, *x)).collect::<Vec<_>>();
        let places = buckets.iter().flat_map(row);
        places.map(|(y, x)| y * self.learned_grid + x).collect()
    }

    /// Names and shapes of all tensors.
    pub(crate) fn tensor_sizes(&self) -> Vec<(String, Vec<Size>)> {
        let size = |num, by| Size { num, by };
        let hidden = size(self.stack.hidden_size, &["hidden_size"]);
        let patch = size(self.patch_len(), &["patch_size"]);
        let learned = self.learned_grid * self.learned_grid;
        let learned = size(learned, &["image_size", "patch_size"]);
        let width = size(self.width, &[TEXT_WIDTH]);
        let shuffled = size(self.shuffled_len(), &["hidden_size", "scale_factor"]);
        let own = [
            ("patch_embd.weight", vec![hidden, patch]),
            ("patch_embd.bias", vec![hidden]),
            ("position_embd.weight", vec![learned, hidden]),
            ("projection.weight", vec![width, shuffled]),
        ];
        let own = own.into_iter().map(|(name, shape)| (name.to_owned(), shape));
        own.chain(self.stack.tensor_sizes()).collect()
    }
}

fn stack(config: &Config<'_>, (layers, patches): (usize, usize)) -> Result<StackSpec, Fault> {
    let name = config.get::<String>("hidden_act")?;
    let activation = match name.as_deref() {
        None | Some("gelu_pytorch_tanh" | "gelu_new" | "gelu_fast") => Activation::GeluTanh,
        Some("gelu") => Activation::Gelu,
        Some("silu" | "swish") => Activation::Silu,
        Some(other) => {
            return Err(config.fault("hidden_act", format!("{other:?} is not supported")));
        }
    };
    let size = |field: &str, default| Ok::<_, Fault>(config.get(field)?.unwrap_or(default));
    let heads: usize = size("num_attention_heads", 16)?;
    if heads == 0 {
        return Err(config.fault("num_attention_heads", "0 heads"));
    }
    Ok(StackSpec {
        hidden_size: size("hidden_size", 1152)?,
        max_input_len: patches,
        attention: AttentionSpec {
            num_heads: heads,
            bias: true,
            key_bias: true,
            output_bias: true,
            relative: None,
        },
        norm: NormSpec { eps: config.get("layer_norm_eps")?.unwrap_or(1e-6), bias: true },
        block: BlockSpec::PreNorm { first_norm: true },
        ropes: Vec::new(),
        layers: vec![LayerSpec { rope: None, window: None }; layers],
        feed_forward: FeedForwardSpec {
            width: size("intermediate_size", 3072)?,
            gated: false,
            activation,
            bias: true,
        },
    })
}
