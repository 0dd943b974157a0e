//! ONNX Runtime and OpenVINO in a Python environment of their own, for encoders.
//!
//! Invariant: all packages that matter are pinned; it runs `benches/embeddings_bench.py`, and
//! `benches/minilm_to_onnx.py`, which makes both peers' file from the weights that ours reads.

use std::path::PathBuf;

use anyhow::Result;

const PACKAGES: [&str; 6] = [
    "onnxruntime==1.32.0",
    "openvino==2026.4.1",
    "onnx==1.23.2",
    "safetensors==0.8.0",
    "numpy==2.4.6",
    // Of ONNX Runtime's optimizer for BERT.
    "sympy==1.14.0",
];

/// The environment's Python, made when it is missing.
pub(crate) fn obtain() -> Result<PathBuf> {
    let uses = "import onnx, onnxruntime, openvino, safetensors, sympy";
    super::environment("embeddings", "ONNX Runtime and OpenVINO", uses, &PACKAGES)
}
