//! What a language model sees with: images are decoded within limits, cut and scaled as the model
//! was trained, and made into rows that stand in place of embeddings.
//!
//! Where each step of an image happens: `decode` → `layout` (which pieces) → `resize` → `reader`
//! (prompt text, pieces) → `tower` (patches, layers, connector).
//!
//! Invariant: nothing here knows of requests, tenants or HTTP. Files and images are not trusted:
//! whatever they contain, the answer is rows or an error, in bounded memory.

mod decode;
mod files;
mod layout;
mod preprocessing;
mod reader;
mod resize;
mod spec;
mod tower;

pub use self::{
    decode::{MAX_BYTES, MAX_PIXELS, MAX_SIDE},
    files::{ARCHITECTURES, Model, open},
    preprocessing::Preprocessing,
    reader::Reader,
    spec::VisionSpec,
    tower::Tower,
};
