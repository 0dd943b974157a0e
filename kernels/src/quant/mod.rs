//! Number formats of stored weights, and how to read them back as `f32`.
//!
//! Invariant: a row of `k` elements takes exactly [`DType::row_bytes`]`(k)` bytes, `k` being a
//! multiple of [`DType::block_len`]; layouts are those of the GGUF v3 specification.
