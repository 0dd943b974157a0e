//! One safetensors file: a JSON header, then the tensors back to back.
//!
//! Invariant: every tensor returned has bytes of its own inside the file. Read by own code
//! because the `safetensors` crate does not name the tensor whose size is wrong, adds unchecked
//! offsets, and lets a repeated name replace the first.

use std::fmt;

use bytes::Bytes;
use kernels::quant::DType;
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, Visitor},
};

use crate::error::{Fault, Quoted};
use crate::tensor::{Tensor, num_bytes};

/// Bytes of the longest header read: 100 MB is what the format's own reader accepts, but the
/// header of a model with 10,000 tensors takes 1.5 MB.
const MAX_HEADER_BYTES: u64 = 16 << 20;
const MAX_DIMENSIONS: usize = 4;

/// One entry of the header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorInfo {
    dtype: String,
    shape: Vec<usize>,
    /// Start and end in the data section.
    data_offsets: [usize; 2],
}

/// The header's entries in order of the file, so that repeated names are seen.
struct Header(Vec<(String, TensorInfo)>);

/// Reads the header of `file` and cuts the tensors out of it; names are those of the file. Only
/// where they are to be restored (`quantised`) are numbers read that mean nothing by themselves.
pub(super) fn parse(file: &Bytes, quantised: bool) -> Result<Vec<Tensor>, Fault> {
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(Fault::file("truncated: no room for the header's length"));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        let what = format!("a header of {length} bytes; {MAX_HEADER_BYTES} are accepted");
        return Err(Fault::file(what));
    }
    let Some(header) = rest.get(..length as usize) else {
        let what = format!("truncated: a header of {length} bytes where {} are left", rest.len());
        return Err(Fault::file(what));
    };
    let Header(mut infos) = serde_json::from_slice(header)
        .map_err(|error| Fault::file(format!("the header is not as specified: {error}")))?;
    let data = file.slice(8 + header.len()..);

    infos.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    let mut tensors = Vec::with_capacity(infos.len());
    for (name, info) in &infos {
        let tensor = cut(name, (info, quantised || is_count(name)), end, &data)?;
        if !is_count(name) {
            tensors.push(tensor);
        }
        end = info.data_offsets[1];
    }
    let mut names: Vec<_> = tensors.iter().map(Tensor::name).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Fault::tensor(pair[0], "is there twice"));
    }
    if end != data.len() {
        let what = format!("{} bytes of data, but the tensors take {end}", data.len());
        return Err(Fault::file(what));
    }
    Ok(tensors)
}

/// Whether it is a buffer that counts positions, as older BERTs have: nothing is computed with it.
fn is_count(name: &str) -> bool {
    name.rsplit('.').next() == Some("position_ids")
}

/// The tensor that `info` describes; tensors lie back to back.
fn cut(
    name: &str,
    (info, quantised): (&TensorInfo, bool),
    previous_end: usize,
    data: &Bytes,
) -> Result<Tensor, Fault> {
    let fault = |what| Err(Fault::tensor(name, what));
    let [start, end] = info.data_offsets;
    let dtype = match info.dtype.as_str() {
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "F8_E4M3" if quantised => DType::F8E4M3,
        "F8_E5M2" if quantised => DType::F8E5M2,
        "I8" if quantised => DType::I8,
        "U8" if quantised => DType::U8,
        "I32" if quantised => DType::I32,
        "I64" if quantised => DType::I64,
        other => return fault(format!("dtype {other:?}; F32, F16 and BF16 are read")),
    };
    if info.shape.len() > MAX_DIMENSIONS {
        return fault(format!("{} dimensions", info.shape.len()));
    }
    // A scale of a whole tensor has no dimension.
    let shape = if quantised && info.shape.is_empty() { &vec![1] } else { &info.shape };
    let Some(num_bytes) = num_bytes(dtype, shape) else {
        return fault(format!("shape {shape:?} has no elements or is not addressable"));
    };
    if start != previous_end {
        let what = if start < previous_end { "overlaps" } else { "leaves a hole after" };
        return fault(format!(
            "{what} the one before: it starts at {start}, that ends at {previous_end}"
        ));
    }
    if end.checked_sub(start) != Some(num_bytes) {
        let dtype = dtype.name();
        return fault(format!(
            "offsets {start} to {end}, but shape {shape:?} in {dtype} takes {num_bytes} bytes"
        ));
    }
    if end > data.len() {
        let len = data.len();
        return fault(format!(
            "ends at {end}, past the {len} bytes of the data section (a truncated download?)"
        ));
    }
    Tensor::new(name, dtype, shape, data.slice(start..end))
        .map_err(|error| Fault::tensor(name, error.to_string()))
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut infos = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        let info = map.next_value().map_err(|error| {
                            let what = format!("tensor {}: {error}", Quoted(&name));
                            serde::de::Error::custom(what)
                        })?;
                        infos.push((name, info));
                    }
                }
                Ok(Header(infos))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
