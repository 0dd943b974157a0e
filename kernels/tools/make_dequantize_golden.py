#!/usr/bin/env python3
"""Writes kernels/testdata/dequantize/FORMAT.{blocks,f32}: stored blocks and what they mean.

    pip install gguf==0.19.0 numpy && kernels/tools/make_dequantize_golden.py

The meaning is that of the `gguf` Python package. Formats that it can make are quantised from
normally distributed numbers; blocks of random bits are added for every format (and are all
there is of the K-quants, which it cannot make), with scales that are finite halves.
Deterministic: the same package version writes the same bytes.
"""
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES

OUT = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "dequantize"
# Byte offsets of the half-precision scales within a block.
SCALES = {
    Type.F32: [], Type.F16: [0], Type.BF16: [], Type.Q8_0: [0], Type.Q4_0: [0],
    Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2], Type.Q6_K: [208],
}
MADE = {Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1}
NUM_ELEMENTS = 512  # of either kind, at least
NUM_BLOCKS = 8  # likewise


def random_blocks(kind, rng):
    block_len, block_bytes = GGML_QUANT_SIZES[kind]
    num_blocks = max(NUM_ELEMENTS // block_len, NUM_BLOCKS)
    blocks = rng.integers(0, 256, (num_blocks, block_bytes), dtype=np.uint8)
    for at in SCALES[kind]:
        halves = rng.integers(0, 1 << 16, len(blocks), dtype=np.uint16)
        halves[(halves & 0x7C00) == 0x7C00] ^= 0x4000  # no infinities and NaN
        blocks[:, at:at + 2] = halves.astype("<u2").view(np.uint8).reshape(-1, 2)
    if kind in (Type.F32, Type.BF16):
        top = blocks[:, -1] & 0x7F
        blocks[:, -1][top == 0x7F] ^= 0x40
    return blocks.reshape(-1)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20261123)
    for kind in SCALES:
        stored = random_blocks(kind, rng)
        if kind in MADE:
            numbers = rng.standard_normal((1, NUM_ELEMENTS)).astype(np.float32)
            made = quants.quantize(numbers, kind).reshape(-1).view(np.uint8)
            stored = np.concatenate([made, stored])
        typed = stored.view({Type.F32: np.float32, Type.F16: np.float16}.get(kind, np.uint8))
        meaning = quants.dequantize(typed.reshape(1, -1), kind).astype("<f4").reshape(-1)
        assert np.isfinite(meaning).all()
        stored.tofile(OUT / f"{kind.name}.blocks")
        meaning.tofile(OUT / f"{kind.name}.f32")


if __name__ == "__main__":
    main()
