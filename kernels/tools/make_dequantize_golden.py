#!/usr/bin/env python3
"""Writes kernels/testdata/dequantize/FORMAT.{blocks,f32}: stored blocks and what they mean.

    pip install gguf==0.19.0 numpy && kernels/tools/make_dequantize_golden.py

The meaning is that of the `gguf` Python package. Formats that it can make are quantised from
normally distributed numbers; blocks of random bits are added for every format (and are all
there is of those that it cannot make), with scales that are finite. What it does not know is
spelled out here: bare numbers as safetensors files have them, and F8_SCALED, a block of our own.
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
    Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.Q2_K: [80, 82], Type.Q3_K: [108],
    Type.IQ1_S: [0], Type.IQ1_M: [], Type.IQ2_XXS: [0], Type.IQ2_XS: [0], Type.IQ2_S: [0],
    Type.IQ3_XXS: [0], Type.IQ3_S: [0], Type.IQ4_NL: [0], Type.IQ4_XS: [0], Type.TQ1_0: [52],
    Type.TQ2_0: [64], Type.MXFP4: [], Type.NVFP4: [],
}
MADE = {Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.TQ1_0,
        Type.TQ2_0, Type.MXFP4}
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
    if kind == Type.MXFP4:  # nothing that is over the largest number
        blocks[:, 0][blocks[:, 0] > 250] -= 128
    if kind == Type.IQ1_M:  # the scale's exponent begins with the top bits of the last word
        blocks[:, -1][(blocks[:, -1] & 0x70) == 0x70] ^= 0x40
    return blocks.reshape(-1)


def float8(q, bits):
    """Numbers of a sign, `bits` of exponent and the rest mantissa; where the exponent is zero, the
    leading one is missing."""
    rest = 7 - bits
    exponent, mantissa, bias = q >> rest & (1 << bits) - 1, q & (1 << rest) - 1, (1 << bits - 1) - 1
    number = np.where(exponent == 0, mantissa * 2.0 ** (1 - bias - rest),
                      (1 + mantissa * 2.0 ** -rest) * 2.0 ** (exponent - bias))
    return np.where(q < 128, number, -number).astype("<f4")


def make_bare(rng):
    def write(name, stored, meaning):
        stored.tofile(OUT / f"{name}.blocks")
        meaning.astype("<f4").tofile(OUT / f"{name}.f32")

    q = rng.permutation(np.arange(512, dtype=np.int32) % 256)
    e4m3 = np.where(q & 0x7F == 0x7F, q ^ 1, q)  # without what is no number
    e5m2 = np.where(q & 0x7C == 0x7C, q ^ 0x40, q)  # nor infinite
    write("F8_E4M3", e4m3.astype(np.uint8), float8(e4m3, 4))
    write("F8_E5M2", e5m2.astype(np.uint8), float8(e5m2, 5))
    write("U8", q.astype(np.uint8), q)
    write("I8", q.astype(np.uint8), q.astype(np.uint8).view(np.int8))
    for name, kind in [("I32", "<i4"), ("I64", "<i8")]:
        whole = rng.integers(-(1 << 31), 1 << 31, 512).astype(kind)
        write(name, whole, whole)
    # A scale in single precision, then 32 numbers of `e4m3`.
    blocks = e4m3.reshape(-1, 32)
    scale = rng.standard_normal((len(blocks), 1)).astype("<f4") * np.float32(0.01)
    stored = np.concatenate([scale.view(np.uint8), blocks.astype(np.uint8)], axis=1)
    write("F8_SCALED", stored, scale * float8(blocks, 4))


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
    make_bare(rng)


if __name__ == "__main__":
    main()
