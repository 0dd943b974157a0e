#!/usr/bin/env python3
"""Writes testdata/tiny/gguf-formats: a Llama in a GGUF file with the formats that
`make_golden.py`'s has not: those of few bits, that the `gguf` package reads but cannot make.

    pip install torch==2.13.0 transformers==5.23.0 gguf==0.19.0 numpy
    engine/llm/tools/make_formats_golden.py

Blocks are random bits with scales that make the numbers as large as a random model's.
"""
import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from make_golden import (TESTDATA, VOCAB_SIZE, gguf_name, randomise, tiny_tokenizer, unpermute,
                         write_golden, write_tiny_metadata)
from transformers import LlamaConfig, LlamaForCausalLM

SIZES = dict(vocab_size=VOCAB_SIZE, hidden_size=256, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, head_dim=32, intermediate_size=256, initializer_range=0.08,
             max_position_embeddings=256, bos_token_id=0, eos_token_id=1,
             tie_word_embeddings=False)
KINDS = {
    "token_embd": Type.MXFP4, "output": Type.Q3_K,
    "blk.0.attn_q": Type.IQ2_XXS, "blk.0.attn_k": Type.IQ2_XS, "blk.0.attn_v": Type.IQ2_S,
    "blk.0.attn_output": Type.IQ4_NL, "blk.0.ffn_gate": Type.IQ1_S, "blk.0.ffn_up": Type.IQ1_M,
    "blk.0.ffn_down": Type.IQ3_XXS,
    "blk.1.attn_q": Type.IQ3_S, "blk.1.attn_k": Type.IQ4_XS, "blk.1.attn_v": Type.TQ1_0,
    "blk.1.attn_output": Type.NVFP4, "blk.1.ffn_gate": Type.TQ2_0, "blk.1.ffn_up": Type.Q2_K,
    "blk.1.ffn_down": Type.IQ2_XXS,
}
# Byte offsets of half-precision scales within a block.
HALVES = {Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.TQ1_0: [52], Type.TQ2_0: [64]}
DEVIATION = 0.08


def set_scales(kind, blocks, scales):
    """Writes scales, one for each block, where the format keeps its own."""
    if kind in (Type.MXFP4, Type.NVFP4):
        exponents = np.round(np.log2(scales)).astype(np.int64)
        if kind == Type.MXFP4:
            blocks[:, 0] = 127 + exponents
        else:
            blocks[:, :4] = 8 * (7 + exponents[:, None]) + blocks[:, :4] % 8
        return
    halves = scales.astype("<f2")
    if kind == Type.IQ1_M:  # four bits in each of four words
        words = blocks[:, 48:].copy().view("<u2")
        bits = halves.view("<u2")[:, None] >> np.array([0, 4, 8, 12], dtype="<u2") & 15
        blocks[:, 48:] = (words & 0x0FFF | bits << 12).astype("<u2").view(np.uint8)
        return
    for i, at in enumerate(HALVES.get(kind, [0])):
        factor = 1.5 if i else 1  # minima are half the range below
        blocks[:, at:at + 2] = (halves * np.float16(factor)).view(np.uint8).reshape(-1, 2)


def random_matrix(kind, shape, rng):
    """Stored rows, and what they mean."""
    block_len, block_bytes = GGML_QUANT_SIZES[kind]
    rows, cols = shape
    blocks = rng.integers(0, 256, (rows * cols // block_len, block_bytes), dtype=np.uint8)

    def read():
        stored = blocks.reshape(rows, -1)
        return stored, gguf.quants.dequantize(stored, kind).reshape(shape)

    set_scales(kind, blocks, np.ones(len(blocks)))
    deviation = read()[1].std()
    set_scales(kind, blocks, DEVIATION / deviation * rng.uniform(0.75, 1.25, len(blocks)))
    return read()


def main():
    torch.set_num_threads(1)  # one order of summation
    out = TESTDATA / "tiny" / "gguf-formats"
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(101)
    rng = np.random.default_rng(101)
    config = LlamaConfig(**SIZES)
    model = LlamaForCausalLM(config).eval()
    model.set_attn_implementation("eager")
    randomise(model, torch.float32)
    writer = gguf.GGUFWriter(out / "model.gguf", "llama")
    write_tiny_metadata(writer, config, tiny_tokenizer())
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            name = gguf_name(path)
            stem = name.removesuffix(".weight")
            if stem not in KINDS:
                writer.add_tensor(name, parameter.numpy())
                continue
            stored, meaning = random_matrix(KINDS[stem], parameter.shape, rng)
            writer.add_tensor(name, stored, raw_dtype=KINDS[stem])
            role = stem.split(".")[-1]
            meaning = unpermute(meaning, heads[role]) if role in heads else meaning
            parameter.copy_(torch.from_numpy(meaning.copy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_golden(out, model, 101)


if __name__ == "__main__":
    main()
