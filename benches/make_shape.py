"""Writes a GGUF file with the shape of a known model and made-up weights, for `cargo xtask bench cpu`.

Speed does not depend on what the weights are, only on their sizes and number format; so families
whose real weights no package registry carries are timed on files of their shape. The vocabulary is
byte-level BPE: all bytes, then pairs and triples of them.

    python make_shape.py SHAPE FILE
"""

import sys

import gguf
import numpy as np

WEIGHTS = gguf.GGMLQuantizationType.Q4_1
SEED = 6

SHAPES = {
    # Qwen2.5-0.5B
    "qwen2": {
        "arch": "qwen2", "layers": 24, "hidden": 896, "heads": 14, "kv_heads": 2, "head": 64,
        "ffn": 4864, "vocab": 151_936, "theta": 1e6, "bias": True,
    },
    # Gemma 3 270M
    "gemma3": {
        "arch": "gemma3", "layers": 18, "hidden": 640, "heads": 4, "kv_heads": 1, "head": 256,
        "ffn": 2048, "vocab": 262_144, "theta": 1e6, "window": 512, "qk_norm": True,
        "post_norms": True,
    },
    # Qwen3-MoE's layers in the size of a small model: 32 experts, 4 of them for a token
    "moe": {
        "arch": "qwen3moe", "layers": 12, "hidden": 768, "heads": 12, "kv_heads": 4, "head": 64,
        "ffn": 384, "vocab": 49_152, "theta": 1e6, "qk_norm": True, "experts": 32, "active": 4,
        "untied": True,
    },
}


def bytes_as_characters():
    """GPT-2's printable stand-ins for the 256 bytes, in order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def vocabulary(size):
    """Tokens and the merges that make them; the last token ends a text."""
    tokens = bytes_as_characters()
    merges = []
    lefts = iter(list(tokens))
    left = next(lefts)
    pairs = len(tokens)
    made = tokens[:256]
    while len(tokens) < size - 1:
        for right in made:
            if len(tokens) == size - 1:
                break
            tokens.append(left + right)
            merges.append(f"{left} {right}")
        left = next(lefts, None)
        if left is None:
            lefts = iter(tokens[pairs : pairs + 65_536])
            left = next(lefts)
    return [*tokens, "<|end|>"], merges


def write_head(writer, shape):
    """What the file says of the model."""
    writer.add_name("made up")
    writer.add_context_length(32_768)
    writer.add_embedding_length(shape["hidden"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_key_length(shape["head"])
    writer.add_value_length(shape["head"])
    writer.add_rope_freq_base(shape["theta"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    if "window" in shape:
        writer.add_sliding_window(shape["window"])
    if "experts" in shape:
        writer.add_expert_count(shape["experts"])
        writer.add_expert_used_count(shape["active"])
        writer.add_expert_feed_forward_length(shape["ffn"])
    tokens, merges = vocabulary(shape["vocab"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * (len(tokens) - 1) + [gguf.TokenType.CONTROL])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_bos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)


class Tensors:
    """Puts made-up tensors into a file."""

    def __init__(self, writer):
        self.writer, self.random = writer, np.random.default_rng(SEED)

    def matrix(self, name, *sizes):
        """Numbers as a trained model's: each row adds up to about one."""
        values = self.random.standard_normal(sizes, dtype=np.float32) / np.sqrt(sizes[-1])
        blocks = gguf.quants.quantize(values.reshape(-1, sizes[-1]), WEIGHTS)
        blocks = blocks.reshape(*sizes[:-1], -1)
        self.writer.add_tensor(f"{name}.weight", blocks, raw_dtype=WEIGHTS)

    def vector(self, name, size, value):
        """One number for all."""
        self.writer.add_tensor(name, np.full(size, value, dtype=np.float32))


def write_layer(tensors, shape, name):
    """Attention and feed-forward of one layer."""
    hidden, head, ffn = shape["hidden"], shape["head"], shape["ffn"]
    outputs = {"q": shape["heads"] * head, "k": shape["kv_heads"] * head}
    outputs["v"] = outputs["k"]
    norms = ["attn_norm", "ffn_norm"]
    norms += ["post_attention_norm", "post_ffw_norm"] if "post_norms" in shape else []
    for norm in norms:
        tensors.vector(f"{name}.{norm}.weight", hidden, 1)
    for part, size in outputs.items():
        tensors.matrix(f"{name}.attn_{part}", size, hidden)
        if "bias" in shape:
            tensors.vector(f"{name}.attn_{part}.bias", size, 0.01)
    if "qk_norm" in shape:
        tensors.vector(f"{name}.attn_q_norm.weight", head, 1)
        tensors.vector(f"{name}.attn_k_norm.weight", head, 1)
    tensors.matrix(f"{name}.attn_output", hidden, outputs["q"])
    if "experts" in shape:
        experts = shape["experts"]
        router = tensors.random.standard_normal((experts, hidden), dtype=np.float32)
        router /= np.sqrt(hidden, dtype=np.float32)
        tensors.writer.add_tensor(f"{name}.ffn_gate_inp.weight", router)
        tensors.matrix(f"{name}.ffn_gate_exps", experts, ffn, hidden)
        tensors.matrix(f"{name}.ffn_up_exps", experts, ffn, hidden)
        tensors.matrix(f"{name}.ffn_down_exps", experts, hidden, ffn)
    else:
        tensors.matrix(f"{name}.ffn_gate", ffn, hidden)
        tensors.matrix(f"{name}.ffn_up", ffn, hidden)
        tensors.matrix(f"{name}.ffn_down", hidden, ffn)


def main():
    """Writes the file."""
    _, name, path = sys.argv
    shape = SHAPES[name]
    writer = gguf.GGUFWriter(path, shape["arch"])
    write_head(writer, shape)
    tensors = Tensors(writer)
    tensors.matrix("token_embd", shape["vocab"], shape["hidden"])
    for layer in range(shape["layers"]):
        write_layer(tensors, shape, f"blk.{layer}")
    tensors.vector("output_norm.weight", shape["hidden"], 1)
    if "untied" in shape:
        tensors.matrix("output", shape["vocab"], shape["hidden"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
