//! What a model's files say of how images are scaled, cut and normalised.
//!
//! Sources: `preprocessor_config.json`, or `processor_config.json` where newer versions of
//! transformers write all of it; defaults are those of `Idefics3ImageProcessor`.
//!
//! Invariant: what it cannot do as the reference does is refused by the name of its field; sizes
//! are such that an image takes bounded memory.

use engine_weights::{
    Fault, Files, LoadError,
    config::Config,
    hugging_face::{CONFIG, read_object},
};
use serde_json::{Map, Value};

use crate::layout::MAX_SCALED;

const OWN: &str = "preprocessor_config.json";
const OF_ALL: &str = "processor_config.json";
/// PIL's number of Lanczos' filter.
const LANCZOS: u64 = 1;
/// Pieces on a side of the largest image.
const MAX_TILES_ACROSS: usize = 16;

/// The rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessing {
    /// The longer side is scaled to this.
    pub longest_edge: usize,
    /// Pixels of a side of a piece.
    pub tile: usize,
    /// Whether larger images are cut into pieces.
    pub splits: bool,
    /// Pixels are multiplied by this, ...
    pub rescale: f64,
    /// ... this is taken away by channel, ...
    pub mean: [f32; 3],
    /// ... and divided by this.
    pub std: [f32; 3],
    /// How many tokens stand for a piece, if that is said.
    pub(crate) seq_len: Option<usize>,
}

impl Preprocessing {
    /// Reads the rules of a model's files.
    ///
    /// # Errors
    /// If there are none, or they are not as could be followed; the error names file and field.
    pub fn read(files: &Files) -> Result<Self, LoadError> {
        let all = files.get(OF_ALL).map(|path| read_object(path).map(|object| (path, object)));
        let all = all.transpose()?;
        let seq_len = match &all {
            Some((path, all)) => {
                Config::new(all).get("image_seq_len").map_err(|fault| fault.at(path))?
            }
            None => None,
        };
        let (path, own) = match (files.get(OWN), all) {
            (Some(path), _) => (path, read_object(path)?),
            (None, Some((path, all))) => {
                let config = Config::new(&all);
                let own = config.object("image_processor").map_err(|fault| fault.at(path))?;
                (path, own.map(|own| own.fields().clone()).unwrap_or_default())
            }
            (None, None) => {
                let what = format!("{OWN} is missing: {CONFIG} is of a model that sees");
                return Err(LoadError::Files(what));
            }
        };
        let read = Self::from_config(&own).map_err(|fault| fault.at(path))?;
        Ok(Self { seq_len, ..read })
    }

    fn from_config(config: &Map<String, Value>) -> Result<Self, Fault> {
        let config = Config::new(config);
        for field in ["do_resize", "do_rescale", "do_normalize"] {
            config.only(field, true)?;
        }
        config.only("resample", LANCZOS)?;
        let edge = |field: &'static str, default| match config.object(field)? {
            Some(size) => size.require("longest_edge"),
            None => Ok(default),
        };
        let half = [0.5; 3];
        let this = Self {
            longest_edge: edge("size", 4 * 364)?,
            tile: edge("max_image_size", 364)?,
            splits: config.get("do_image_splitting")?.unwrap_or(true),
            rescale: config.get("rescale_factor")?.unwrap_or(1.0 / 255.0),
            mean: config.get("image_mean")?.unwrap_or(half),
            std: config.get("image_std")?.unwrap_or(half),
            seq_len: None,
        };
        this.check()?;
        Ok(this)
    }

    fn check(&self) -> Result<(), Fault> {
        Fault::check_sizes(&[
            ("size", self.longest_edge, 1 << 16),
            ("max_image_size", self.tile, 2048),
        ])?;
        let across = self.max_across();
        if across > MAX_TILES_ACROSS {
            let what = format!("{across} pieces on a side, at most {MAX_TILES_ACROSS} are cut");
            return Err(Fault::field("max_image_size", what));
        }
        let is_well = |x: f32| x.is_finite() && x.abs() < 1e6;
        if !(self.rescale.is_finite() && self.rescale > 0.0 && self.rescale < 1e6) {
            return Err(Fault::field("rescale_factor", "is not a positive number"));
        }
        if !self.mean.iter().all(|x| is_well(*x)) {
            return Err(Fault::field("image_mean", "is not three numbers"));
        }
        if !self.std.iter().all(|x| is_well(*x) && *x > 1e-6) {
            return Err(Fault::field("image_std", "is not three positive numbers"));
        }
        Ok(())
    }

    /// Pieces on a side of the largest image, whose shorter side is made even.
    fn max_across(&self) -> usize {
        (self.longest_edge.min(MAX_SCALED) + 1).div_ceil(self.tile)
    }

    /// The most pieces that an image makes.
    pub fn max_tiles(&self) -> usize {
        let across = self.max_across();
        if self.splits { across * across + 1 } else { 1 }
    }

    /// What each byte of a channel becomes.
    pub(crate) fn values(&self) -> [[f32; 256]; 3] {
        let value = |channel: usize, byte: usize| {
            let scaled = (byte as f64 * self.rescale) as f32;
            (scaled - self.mean[channel]) / self.std[channel]
        };
        std::array::from_fn(|channel| std::array::from_fn(|byte| value(channel, byte)))
    }
}
