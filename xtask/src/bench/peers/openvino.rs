//! OpenVINO GenAI in a Python environment of its own.
//!
//! Invariant: all packages that matter are pinned; it runs `benches/openvino_genai_bench.py`.

use std::path::PathBuf;

use anyhow::Result;

const PACKAGES: [&str; 5] = [
    "openvino-genai==2026.4.1.0",
    "openvino-tokenizers==2026.4.1.0",
    "openvino==2026.4.1",
    // Reads GGUF files, for `benches/gguf_to_safetensors.py`.
    "gguf==0.19.0",
    "numpy==2.4.6",
];

/// The environment's Python, made when it is missing.
pub(crate) fn obtain() -> Result<PathBuf> {
    let uses = "import openvino_genai, gguf";
    super::environment("openvino", "OpenVINO GenAI", uses, &PACKAGES)
}
