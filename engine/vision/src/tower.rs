//! The tower of vision on our own CPU kernels: patches as one matrix product, the encoder's layers,
//! and the connector to the language model.
//!
//! Invariant: the rows of a piece are the same, bit for bit, whatever pieces are beside it; an
//! image allocates nothing but the rows that it becomes.

use std::sync::Arc;

use engine_core::{EncodeInput, Encoder, EncoderInfo, EncoderOutput, EngineError, Tiles};
use engine_encoder::{EncoderError, EncoderOptions, Precision, Stack};
use engine_weights::linear::{Linear, pack_all, project, vector};
use kernels::packed::{Activations, convert_rows};

use crate::{Model, VisionSpec};

/// What a model sees with, and buffers in memory.
pub struct Tower {
    info: EncoderInfo,
    spec: VisionSpec,
    side: usize,
    stack: Stack,
    patches: Linear,
    projection: Linear,
    /// What is added to the rows of a piece's patches.
    positions: Vec<f32>,
    /// What each byte of a channel becomes.
    values: Box<[[f32; 256]; 3]>,
    buffers: Buffers,
}

/// Of one piece.
struct Buffers {
    /// Patches as rows.
    pixels: Vec<f32>,
    pixels_in: Activations,
    /// Residual stream.
    x: Vec<f32>,
    /// Patches side by side as they become one row.
    shuffled: Vec<f32>,
    shuffled_in: Activations,
}

impl Tower {
    /// Takes the tensors of `model`; of `options` how many rows a batch has is the tower's own.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen, memory for weights is not to be had, or threads cannot
    /// be started.
    pub fn new(model: &Model, options: EncoderOptions) -> Result<Self, EncoderError> {
        let Model { spec, weights, rules, image_token } = model;
        let hidden = spec.stack.hidden_size;
        let options = EncoderOptions { max_batch_tokens: spec.patches(), ..options };
        let widest = spec.patch_len().max(spec.shuffled_len());
        let mut stack = Stack::new(&spec.stack, weights, &options, widest)?;
        let mut patch_embd = Linear::load(weights, "patch_embd", [hidden, spec.patch_len()], true)?;
        let shape = [spec.width, spec.shuffled_len()];
        let mut projection = Linear::load(weights, "projection", shape, false)?;
        if options.precision == Precision::Fast {
            let (_, pool, _) = stack.parallel();
            let all = vec![&mut patch_embd, &mut projection];
            // Small beside the layers, so they are packed at every start.
            pack_all(all, None, pool).map_err(EncoderError::Packing)?;
        }
        let learned = spec.learned_grid * spec.learned_grid;
        let table = vector(weights, "position_embd.weight", &[learned, hidden])?;
        let row = |place: usize| &table[place * hidden..(place + 1) * hidden];
        let positions = spec.positions().into_iter().flat_map(row).copied().collect();
        let max_len = rules.max_tiles() * spec.rows_per_tile();
        let info = EncoderInfo {
            max_input_len: max_len,
            max_batch_tokens: max_len,
            vocab_size: *image_token as usize + 1,
            output: EncoderOutput::Rows { width: spec.width },
        };
        Ok(Self {
            info,
            side: rules.tile,
            buffers: Buffers::new(spec, [&patch_embd, &projection]),
            spec: spec.clone(),
            stack,
            patches: patch_embd,
            projection,
            positions,
            values: Box::new(rules.values()),
        })
    }

    /// The rows of all patches after the layers, before the connector; for tests that compare with
    /// a reference.
    ///
    /// # Errors
    /// If the pieces are not such as the tower sees.
    pub fn states(&mut self, tiles: &Tiles) -> Result<Vec<f32>, EngineError> {
        self.check_tiles(tiles).map_err(EngineError::InvalidStep)?;
        let mut all = Vec::new();
        for tile in tiles.pixels.chunks_exact(tiles.tile_bytes()) {
            self.layers(tile);
            all.extend_from_slice(&self.buffers.x);
        }
        Ok(all)
    }

    /// What pixels become before they are seen, patch by patch, channel by channel; for tests.
    ///
    /// # Errors
    /// As [`states`](Self::states).
    pub fn pixel_values(&mut self, tiles: &Tiles) -> Result<Vec<f32>, EngineError> {
        self.check_tiles(tiles).map_err(EngineError::InvalidStep)?;
        let mut all = Vec::new();
        for tile in tiles.pixels.chunks_exact(tiles.tile_bytes()) {
            self.set_pixels(tile);
            all.extend_from_slice(&self.buffers.pixels);
        }
        Ok(all)
    }

    fn check_tiles(&self, tiles: &Tiles) -> Result<(), String> {
        let (len, tile) = (tiles.pixels.len(), tiles.tile_bytes());
        if tiles.side != self.side || len == 0 || !len.is_multiple_of(tile) {
            let side = tiles.side;
            return Err(format!("{len} bytes in pieces of {side} pixels, not {}", self.side));
        }
        Ok(())
    }

    fn check(&self, input: &EncodeInput) -> Result<(), String> {
        let Some(tiles) = &input.tiles else { return Err("there is nothing to see".into()) };
        self.check_tiles(tiles)?;
        let rows = tiles.pixels.len() / tiles.tile_bytes() * self.spec.rows_per_tile();
        match input.tokens.len() == rows {
            true => Ok(()),
            false => Err(format!("{} tokens for {rows} rows", input.tokens.len())),
        }
    }

    /// Lays the patches of a piece out as rows.
    fn set_pixels(&mut self, tile: &[u8]) {
        let (VisionSpec { patch, grid, .. }, side) = (&self.spec, self.side);
        let mut to = self.buffers.pixels.chunks_exact_mut(*patch);
        for place in 0..grid * grid {
            let (top, left) = (place / grid * patch, place % grid * patch);
            for (channel, values) in self.values.iter().enumerate() {
                for y in top..top + patch {
                    let first = 3 * (y * side + left);
                    let pixels = tile[first..first + 3 * patch].chunks_exact(3);
                    let Some(to) = to.next() else { continue };
                    for (x, pixel) in to.iter_mut().zip(pixels) {
                        *x = values[usize::from(pixel[channel])];
                    }
                }
            }
        }
    }

    /// Leaves the rows of a piece's patches after the layers in `x`.
    fn layers(&mut self, tile: &[u8]) {
        self.set_pixels(tile);
        let (len, rows) = (self.spec.patch_len(), self.spec.patches());
        let Buffers { pixels, pixels_in, x, .. } = &mut self.buffers;
        let (isa, pool, scratch) = self.stack.parallel();
        convert_rows((isa, &mut *pool), pixels, len, rows, pixels_in);
        project((isa, pool, scratch), pixels_in, rows, [(&self.patches, &mut x[..], false)]);
        x.iter_mut().zip(&self.positions).for_each(|(x, position)| *x += position);
        self.stack.run(x, &[rows]);
    }

    /// Appends the rows that a piece becomes.
    fn see(&mut self, tile: &[u8], to: &mut Vec<f32>) {
        self.layers(tile);
        let VisionSpec { scale, grid, width, .. } = self.spec;
        let (rows, across) = (self.spec.rows_per_tile(), grid / scale);
        let Buffers { x, shuffled, shuffled_in, .. } = &mut self.buffers;
        // Patches of a square become one row: those of a line of it lie side by side already.
        let line = scale * self.spec.stack.hidden_size;
        for (i, cell) in shuffled.chunks_exact_mut(line).enumerate() {
            let (row, y) = (i / scale, i % scale);
            let first = (row / across * scale + y) * grid / scale + row % across;
            cell.copy_from_slice(&x[first * line..(first + 1) * line]);
        }
        let len = self.spec.shuffled_len();
        let (isa, pool, scratch) = self.stack.parallel();
        convert_rows((isa, &mut *pool), shuffled, len, rows, shuffled_in);
        let start = to.len();
        to.resize(start + rows * width, 0.0);
        let out = [(&self.projection, &mut to[start..], false)];
        project((isa, pool, scratch), shuffled_in, rows, out);
    }
}

impl Buffers {
    fn new(spec: &VisionSpec, [patches, projection]: [&Linear; 2]) -> Self {
        let (rows, shuffled) = (spec.patches(), spec.rows_per_tile());
        Self {
            pixels: vec![0.0; rows * spec.patch_len()],
            pixels_in: Activations::new(rows, spec.patch_len(), &[patches.kind()]),
            x: vec![0.0; rows * spec.stack.hidden_size],
            shuffled: vec![0.0; shuffled * spec.shuffled_len()],
            shuffled_in: Activations::new(shuffled, spec.shuffled_len(), &[projection.kind()]),
        }
    }
}

impl Encoder for Tower {
    fn info(&self) -> &EncoderInfo {
        &self.info
    }

    fn encode(&mut self, inputs: &[Arc<EncodeInput>]) -> Result<Vec<Vec<f32>>, EngineError> {
        for (i, input) in inputs.iter().enumerate() {
            let refuse = |what| EngineError::InvalidStep(format!("input {i}: {what}"));
            self.check(input).map_err(refuse)?;
        }
        let mut all = Vec::with_capacity(inputs.len());
        for tiles in inputs.iter().filter_map(|input| input.tiles.as_ref()) {
            let mut rows = Vec::new();
            for tile in tiles.pixels.chunks_exact(tiles.tile_bytes()) {
                self.see(tile, &mut rows);
            }
            all.push(rows);
        }
        Ok(all)
    }
}
