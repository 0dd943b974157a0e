#!/usr/bin/env python3
"""Writes kernels/testdata/quantize/{numbers.f32,errors.txt}: numbers, and how far they are from
what others make of them.

    pip install gguf==0.19.0 numpy
    kernels/tools/make_quantize_golden.py path/to/llama-quantize

Errors are root mean squares: of the `gguf` package where it can write the format, of llama.cpp's
tool (without an importance matrix, `--pure`) for all. The numbers are normal, in rows of different
sizes, every eighth row with heavy tails.
"""
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

OUT = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "quantize"
PACKAGE = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
TOOL = [*PACKAGE, Type.Q4_K, Type.Q5_K, Type.Q6_K]
SIZE = 256


def make_numbers():
    rng = np.random.default_rng(20261127)
    numbers = rng.standard_normal((16, SIZE)) * rng.uniform(0.01, 0.1, (16, 1))
    numbers[::8] = rng.standard_t(4, (2, SIZE)) * 0.03
    return numbers.astype(np.float32)


def write_model(path, numbers):
    """A Llama whose matrices are all these numbers."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(SIZE)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(1)
    writer.add_feed_forward_length(SIZE)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(SIZE)])
    writer.add_token_types([1] * SIZE)
    writer.add_token_merges(["t 0"])
    matrix = np.tile(numbers, (SIZE // len(numbers), 1))
    roles = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    for name in ["token_embd", "output", *(f"blk.0.{role}" for role in roles)]:
        writer.add_tensor(f"{name}.weight", matrix)
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"]:
        writer.add_tensor(f"{name}.weight", np.ones(SIZE, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    numbers = make_numbers()
    numbers.tofile(OUT / "numbers.f32")
    lines = ["# format, by whom, root mean square of the errors"]

    def add(kind, whose, stored):
        back = gguf.quants.dequantize(stored, kind).astype(np.float64)
        error = np.sqrt(np.mean((back.reshape(-1, SIZE)[:len(numbers)] - numbers) ** 2))
        lines.append(f"{kind.name} {whose} {error:.9f}")

    for kind in PACKAGE:
        add(kind, "gguf", gguf.quants.quantize(numbers, kind))
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "source.gguf"
        write_model(source, numbers)
        for kind in TOOL:
            made = source.with_name(f"{kind.name}.gguf")
            subprocess.run([sys.argv[1], "--pure", source, made, kind.name, "1"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(made).tensors}
            tensor = tensors["blk.0.ffn_up.weight"]
            assert tensor.tensor_type == kind
            add(kind, "llama.cpp", tensor.data)
    (OUT / "errors.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
