#!/usr/bin/env python3
"""Writes models in GGUF files with the formats that `make_golden.py`'s has not: those that the
`gguf` package reads but cannot make.

    pip install torch==2.13.0 transformers==5.23.0 gguf==0.19.0 numpy
    engine/llm/tools/make_formats_golden.py [NAME ...]

testdata/tiny/gguf-formats is a Llama in those of few bits, gguf-k one in Q4_K, Q5_K and Q6_K, which
most published files have, and gguf-k-experts a Qwen3 of experts in these. Blocks are random bits
with scales that make the numbers as large as a random model's; what they mean to transformers is
what gguf's dequantiser makes of them.
"""
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from make_golden import (TESTDATA, VOCAB_SIZE, gguf_name, randomise, tiny_tokenizer, unpermute,
                         write_golden, write_tiny_metadata)
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

SIZES = dict(vocab_size=VOCAB_SIZE, hidden_size=256, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, head_dim=32, intermediate_size=256, initializer_range=0.08,
             max_position_embeddings=256, bos_token_id=0, eos_token_id=1,
             tie_word_embeddings=False)
LLAMA = (LlamaForCausalLM, LlamaConfig, "llama")
# name → (class, sizes, format of each matrix)
MODELS = {
    "gguf-formats": (LLAMA, SIZES, {
        "token_embd": Type.MXFP4, "output": Type.Q3_K,
        "blk.0.attn_q": Type.IQ2_XXS, "blk.0.attn_k": Type.IQ2_XS, "blk.0.attn_v": Type.IQ2_S,
        "blk.0.attn_output": Type.IQ4_NL, "blk.0.ffn_gate": Type.IQ1_S,
        "blk.0.ffn_up": Type.IQ1_M, "blk.0.ffn_down": Type.IQ3_XXS,
        "blk.1.attn_q": Type.IQ3_S, "blk.1.attn_k": Type.IQ4_XS, "blk.1.attn_v": Type.TQ1_0,
        "blk.1.attn_output": Type.NVFP4, "blk.1.ffn_gate": Type.TQ2_0, "blk.1.ffn_up": Type.Q2_K,
        "blk.1.ffn_down": Type.IQ2_XXS,
    }),
    # Heads as wide as the model, so that what comes of them has whole blocks too.
    "gguf-k": (LLAMA, SIZES | dict(num_hidden_layers=1, num_attention_heads=4, head_dim=64), {
        "token_embd": Type.Q4_K, "output": Type.Q6_K,
        "blk.0.attn_q": Type.Q4_K, "blk.0.attn_k": Type.Q5_K, "blk.0.attn_v": Type.Q6_K,
        "blk.0.attn_output": Type.Q5_K, "blk.0.ffn_gate": Type.Q4_K, "blk.0.ffn_up": Type.Q5_K,
        "blk.0.ffn_down": Type.Q6_K,
    }),
    "gguf-k-experts": (
        (Qwen3MoeForCausalLM, Qwen3MoeConfig, "qwen3moe"),
        SIZES | dict(num_hidden_layers=1, num_experts=2, num_experts_per_tok=1,
                     moe_intermediate_size=256, norm_topk_prob=True, decoder_sparse_step=1,
                     rope_parameters=dict(rope_type="default", rope_theta=10000.0),
                     tie_word_embeddings=True), {
            "token_embd": Type.Q6_K, "blk.0.attn_q": Type.Q5_K, "blk.0.attn_k": Type.Q4_K,
            "blk.0.attn_v": Type.Q6_K, "blk.0.attn_output": Type.Q8_0,
            "blk.0.ffn_gate_exps": Type.Q5_K, "blk.0.ffn_up_exps": Type.Q4_K,
            "blk.0.ffn_down_exps": Type.Q6_K,
        }),
}
# Byte offsets of half-precision scales within a block.
HALVES = {Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2],
          Type.Q6_K: [208], Type.TQ1_0: [52], Type.TQ2_0: [64]}
# Minima are half the range below.
MINIMA = {Type.Q2_K: 1.5, Type.Q4_K: 7.5, Type.Q5_K: 15.5}
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
        factor = MINIMA[kind] if i else 1
        blocks[:, at:at + 2] = (halves * np.float16(factor)).view(np.uint8).reshape(-1, 2)


def random_matrix(kind, shape, rng):
    """Stored rows, and what they mean."""
    block_len, block_bytes = GGML_QUANT_SIZES[kind]
    num_blocks = int(np.prod(shape)) // block_len
    blocks = rng.integers(0, 256, (num_blocks, block_bytes), dtype=np.uint8)

    def read():
        stored = blocks.reshape(*shape[:-1], -1)
        return stored, gguf.quants.dequantize(stored, kind).reshape(shape)

    if kind == Type.Q8_0:  # this one it can make
        stored = gguf.quants.quantize(rng.normal(0, DEVIATION, shape).astype(np.float32), kind)
        return stored, gguf.quants.dequantize(stored, kind).reshape(shape)
    set_scales(kind, blocks, np.ones(len(blocks)))
    deviation = read()[1].std()
    set_scales(kind, blocks, DEVIATION / deviation * rng.uniform(0.75, 1.25, len(blocks)))
    return read()


EXPERTS = {"mlp.gate.weight": "ffn_gate_inp", "self_attn.q_norm.weight": "attn_q_norm",
           "self_attn.k_norm.weight": "attn_k_norm"}


def parts(path, parameter):
    """Names of a parameter's tensors in the file, and which of its rows each is."""
    if path.endswith("mlp.experts.gate_up_proj"):  # [experts, 2 * width, hidden]
        layer, width = path.split(".")[2], parameter.shape[1] // 2
        yield f"blk.{layer}.ffn_gate_exps.weight", parameter[:, :width]
        yield f"blk.{layer}.ffn_up_exps.weight", parameter[:, width:]
    elif path.endswith("mlp.experts.down_proj"):
        yield f"blk.{path.split('.')[2]}.ffn_down_exps.weight", parameter
    else:
        ours = [name for theirs, name in EXPERTS.items() if path.endswith(theirs)]
        yield (f"blk.{path.split('.')[2]}.{ours[0]}.weight" if ours else gguf_name(path)), parameter


def make(name, seed):
    (kind, config_kind, arch), sizes, formats = MODELS[name]
    out = TESTDATA / "tiny" / name
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    config = config_kind(**sizes)
    model = kind(config).eval()
    model.set_attn_implementation("eager")
    randomise(model, torch.float32)
    writer = gguf.GGUFWriter(out / "model.gguf", arch)
    write_tiny_metadata(writer, config, tiny_tokenizer())
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    if arch == "qwen3moe":
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    # Only a Llama's rows of queries and keys are in another order.
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    heads = heads if arch == "llama" else {}
    with torch.no_grad():
        for path, whole in model.named_parameters():
            for name, part in parts(path, whole):
                stem = name.removesuffix(".weight")
                if stem not in formats:
                    writer.add_tensor(name, part.numpy())
                    continue
                stored, meaning = random_matrix(formats[stem], tuple(part.shape), rng)
                writer.add_tensor(name, stored, raw_dtype=formats[stem])
                role = stem.split(".")[-1]
                meaning = unpermute(meaning, heads[role]) if role in heads else meaning
                part.copy_(torch.from_numpy(meaning.copy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_golden(out, model, seed)


def main():
    torch.set_num_threads(1)  # one order of summation
    for seed, name in enumerate(MODELS, 101):
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, seed)


if __name__ == "__main__":
    main()
