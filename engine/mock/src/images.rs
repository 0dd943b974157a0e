//! Images that are texts, for tests of what lies around them.
//!
//! Invariant: what an image becomes is a function of its bytes.

use engine_core::{EncodeInput, ImageError, ImageMarks, ImagePlan, ImageReader, Tiles, TokenId};

/// Reads bytes of the form `image:ROWS:ANYTHING` as an image of so many rows, up to 100.
pub struct MockImageReader {
    marks: ImageMarks,
}

impl MockImageReader {
    /// For a model whose tokenizer calls `token` `text`, and whose rows are `width` numbers.
    pub fn new(text: &str, token: TokenId, width: usize) -> Self {
        Self { marks: ImageMarks { text: text.to_owned(), token, width } }
    }
}

fn num_rows(bytes: &[u8]) -> Result<usize, ImageError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ImageError::Format)?;
    let (num_rows, rest) = text
        .strip_prefix("image:")
        .and_then(|rest| rest.split_once(':'))
        .ok_or(ImageError::Format)?;
    if rest == "damaged" {
        return Err(ImageError::Damaged);
    }
    match num_rows.parse() {
        Ok(num_rows @ 1..=100) => Ok(num_rows),
        Ok(found) => Err(ImageError::TooLarge { what: "rows", found: found as u64, max: 100 }),
        Err(_) => Err(ImageError::Format),
    }
}

impl ImageReader for MockImageReader {
    fn marks(&self) -> &ImageMarks {
        &self.marks
    }

    fn plan(&self, bytes: &[u8]) -> Result<ImagePlan, ImageError> {
        let num_rows = num_rows(bytes)?;
        Ok(ImagePlan { text: format!("[{}]", self.marks.text.repeat(num_rows)), num_rows })
    }

    fn read(&self, bytes: &[u8]) -> Result<EncodeInput, ImageError> {
        let tokens = vec![self.marks.token; num_rows(bytes)?];
        let tiles = Tiles { side: 1, pixels: bytes.to_vec() };
        Ok(EncodeInput { tokens, tiles: Some(tiles), ..EncodeInput::default() })
    }
}
