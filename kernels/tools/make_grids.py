#!/usr/bin/env python3
"""Writes kernels/src/quant/grids/FORMAT.u16: the sets that IQ formats point into.

    pip install gguf==0.19.0 && kernels/tools/make_grids.py

The tables are part of the formats' definition (ggml's `ggml-common.h`, MIT licence). The package
has them as the places of each entry's numbers among those that there are: two bits for each of
eight numbers, or four for each of four; so an entry is 16 bits, the first number lowest.
"""
import pathlib

from gguf import quants

OUT = pathlib.Path(__file__).resolve().parent.parent / "src" / "quant" / "grids"


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name in ["IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"]:
        packed = bytes.fromhex(getattr(quants, name).grid_hex.decode())
        (OUT / f"{name.lower()}.u16").write_bytes(packed)


if __name__ == "__main__":
    main()
