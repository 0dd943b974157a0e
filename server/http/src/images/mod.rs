//! Images in chats, for models that see: from a message's parts to rows in place of embeddings.
//!
//! Where each step happens: `parts` (out of the messages) → `data_url`, `fetch` (bytes) → here
//! (plans, before anything is decoded) → `marks` (prompt) → `rows` (decoded, encoded, kept).
//!
//! Invariant: what a text says is never an image, whatever it says; what one tenant's images became
//! is never used for another's; nothing of an image is logged.

mod cache;
mod data_url;
mod fetch;
mod marks;
mod parts;
mod rows;

use std::sync::Arc;

use engine_core::{ImageError, ImageMarks, ImagePlan, ImageReader};
use scheduler_batching::{EncoderHandle, Shutdown};
use server_api::ChatMessage;

use self::cache::RowCache;
pub use self::fetch::{ImageUrls, NoImageUrls};
pub(crate) use self::marks::{Sight, Wrong, escape, tokens};
pub(crate) use self::parts::{IMAGE, unsupported};
use crate::blocking::run_sized;
use crate::{ApiError, AppState, ServedModel};

/// What a model sees with.
pub struct Vision {
    reader: Arc<dyn ImageReader>,
    handle: EncoderHandle,
    cache: RowCache,
}

impl Vision {
    /// `handle` is the way to the driver of what `reader` reads for; rows of up to `max_bytes` are
    /// kept.
    pub fn new(reader: Arc<dyn ImageReader>, handle: EncoderHandle, max_bytes: usize) -> Self {
        Self { reader, handle, cache: RowCache::new(max_bytes) }
    }

    pub(crate) fn marks(&self) -> &ImageMarks {
        self.reader.marks()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.handle.is_alive()
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        self.handle.shutdown(how);
    }
}

/// The images of a chat, in order.
pub(crate) struct Images {
    vision: Arc<Vision>,
    all: Vec<Image>,
}

/// One image, of which only the head was read so far.
struct Image {
    /// The field that it came in, for errors.
    place: String,
    bytes: Arc<[u8]>,
    /// Names the contents.
    id: [u8; 32],
    plan: ImagePlan,
}

impl Images {
    /// How many there are.
    pub(crate) fn num(&self) -> u64 {
        self.all.len() as u64
    }

    /// What the prompt must be told.
    pub(crate) fn sight(&self) -> Sight {
        let plans = self.all.iter().map(|image| image.plan.clone()).collect();
        Sight { marks: self.vision.marks().clone(), plans }
    }
}

/// Takes the images out of a chat's messages, and reads their heads; `None` where the model does
/// not see, which refuses any.
pub(crate) async fn gather(
    state: &AppState,
    model: &ServedModel,
    messages: &mut [ChatMessage],
) -> Result<Option<Images>, ApiError> {
    let asked = parts::take(messages)?;
    let Some(vision) = model.vision.clone() else {
        return match asked.first() {
            None => Ok(None),
            Some(first) => {
                let message = format!("The model `{}` cannot see images: send text.", model.id);
                Err(ApiError::unsupported(&first.place, message))
            }
        };
    };
    let max = state.limits().max_images;
    if let Some(first_over) = asked.get(max) {
        let message = format!("{} images are too many: at most {max} are read.", asked.len());
        return Err(ApiError::invalid(Some(&first_over.place), message));
    }
    let mut all = Vec::with_capacity(asked.len());
    for parts::Asked { place, url } in asked {
        let bytes: Arc<[u8]> = Box::pin(fetch::bytes(state, &place, &url)).await?.into();
        let (reader, to_read) = (Arc::clone(&vision.reader), Arc::clone(&bytes));
        let head = move || (*blake3::hash(&to_read).as_bytes(), reader.plan(&to_read));
        let (id, plan) = run_sized(state, bytes.len(), head).await?;
        let plan = plan.map_err(|error| refused(&error, &place))?;
        all.push(Image { place, bytes, id, plan });
    }
    Ok(Some(Images { vision, all }))
}

/// 400 for an image that is not read.
fn refused(error: &ImageError, place: &str) -> ApiError {
    let code = match error {
        ImageError::TooLarge { .. } => "image_too_large",
        ImageError::Format | ImageError::Damaged => "invalid_image",
    };
    let message = format!("The image in '{place}' is not read: {error}.");
    ApiError::invalid(Some(place), message).code(code)
}
