//! What lies between an image's bytes and a model that sees: the trait that reads images, and the
//! pieces that an encoder gets.
//!
//! Invariant: what an image becomes depends on its bytes and the model alone; errors say what is
//! wrong with the bytes and repeat none of them.

use std::fmt;

use crate::{EncodeInput, TokenId};

/// Reads images for one model.
pub trait ImageReader: Send + Sync {
    /// How the model's prompts tell of images.
    fn marks(&self) -> &ImageMarks;

    /// What an image will be in a prompt, from its head alone: nothing is decoded.
    ///
    /// # Errors
    /// If it is no image of a form that is read, or over a limit.
    fn plan(&self, bytes: &[u8]) -> Result<ImagePlan, ImageError>;

    /// The image as the model's encoder takes it: as many tokens as rows come of it. Takes long.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan), or if it cannot be decoded.
    fn read(&self, bytes: &[u8]) -> Result<EncodeInput, ImageError>;
}

/// Words and tokens that stand for images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageMarks {
    /// What chat templates write where an image is.
    pub text: String,
    /// The token that stands for one row of an image.
    pub token: TokenId,
    /// Numbers of a row.
    pub width: usize,
}

/// An image in a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// The text that takes the mark's place.
    pub text: String,
    /// How often that has the token of a row.
    pub num_rows: usize,
}

/// Why an image is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Another form, or none.
    #[error("it is no PNG, JPEG, WebP or GIF image")]
    Format,
    /// More than is read.
    #[error("it has {found} {what}, the limit is {max}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How much it has.
        found: u64,
        /// How much it may have.
        max: u64,
    },
    /// It ends early, or contradicts itself.
    #[error("it is damaged and cannot be decoded")]
    Damaged,
}

/// Square pieces of an image, all of one size, as a model sees them.
#[derive(Clone, PartialEq, Eq)]
pub struct Tiles {
    /// Pixels of a side.
    pub side: usize,
    /// Red, green and blue of each pixel, row by row, piece after piece.
    pub pixels: Vec<u8>,
}

impl Tiles {
    /// Bytes of one piece.
    pub fn tile_bytes(&self) -> usize {
        3 * self.side * self.side
    }
}

impl fmt::Debug for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What they show is the client's.
        write!(f, "Tiles({} bytes, side {})", self.pixels.len(), self.side)
    }
}
