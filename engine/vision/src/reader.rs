//! [`ImageReader`] for Idefics3 and SmolVLM: what an image is in a prompt, and its pieces.
//!
//! Source: transformers' `Idefics3Processor.replace_image_token`.
//!
//! Invariant: the text of an image has the mark as often as rows come of the image, piece after
//! piece, and the image itself is not decoded to know it.

use std::fmt::Write;

use engine_core::{EncodeInput, ImageError, ImageMarks, ImagePlan, ImageReader, Tiles, TokenId};

use crate::{Model, Preprocessing, decode, layout::Layout};

/// What chat templates of these models write for an image.
const MARK: &str = "<image>";
/// Around and between pieces.
const BORDER: &str = "<fake_token_around_image>";
/// Before the whole image.
const WHOLE: &str = "<global-img>";

/// Reads images for one model.
pub struct Reader {
    rules: Preprocessing,
    marks: ImageMarks,
    rows_per_tile: usize,
}

impl Reader {
    /// For this model.
    pub fn new(model: &Model) -> Self {
        let token: TokenId = model.image_token;
        Self {
            rules: model.rules.clone(),
            marks: ImageMarks { text: MARK.into(), token, width: model.spec.width },
            rows_per_tile: model.spec.rows_per_tile(),
        }
    }

    fn layout(&self, bytes: &[u8]) -> Result<Layout, ImageError> {
        Ok(Layout::of(&self.rules, decode::size(bytes)?))
    }

    fn text(&self, layout: &Layout) -> String {
        let rows = MARK.repeat(self.rows_per_tile);
        let mut text = String::new();
        for row in 1..=layout.rows {
            for col in 1..=layout.cols {
                // Writing to a text does not fail.
                let _ = write!(text, "{BORDER}<row_{row}_col_{col}>{rows}");
            }
            text.push('\n');
        }
        if layout.rows > 0 {
            text.push('\n');
        }
        let _ = write!(text, "{BORDER}{WHOLE}{rows}{BORDER}");
        text
    }
}

impl ImageReader for Reader {
    fn marks(&self) -> &ImageMarks {
        &self.marks
    }

    fn plan(&self, bytes: &[u8]) -> Result<ImagePlan, ImageError> {
        let layout = self.layout(bytes)?;
        let num_rows = layout.num_tiles() * self.rows_per_tile;
        Ok(ImagePlan { text: self.text(&layout), num_rows })
    }

    fn read(&self, bytes: &[u8]) -> Result<EncodeInput, ImageError> {
        let layout = self.layout(bytes)?;
        let pixels = layout.tiles(&decode::decode(bytes)?);
        let tokens = vec![self.marks.token; layout.num_tiles() * self.rows_per_tile];
        let tiles = Tiles { side: self.rules.tile, pixels };
        Ok(EncodeInput { tokens, tiles: Some(tiles), ..EncodeInput::default() })
    }
}
