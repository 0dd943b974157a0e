"""Writes a Llama-like GGUF file as a Hugging Face folder in BF16, for `cargo xtask bench cpu`.

The bench compares the same weights in BF16, which is published as safetensors. Only what SmolLM2
needs is handled, and anything else is refused: architecture `llama`, byte-level BPE, one file.

    gguf_to_safetensors.py FILE.gguf FOLDER
"""

import json
import pathlib
import re
import struct
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

MATRICES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
CONTROL, NORMAL = 3, 1  # kinds of tokens


def published_name(name):
    """A tensor's name in Hugging Face's folders."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    layer, part = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name).groups()
    return f"model.layers.{layer}.{MATRICES[part]}.weight"


def weights(tensor, num_heads):
    """A tensor as F32, with the rows of queries and keys in their published order.

    GGUF files of this architecture keep the two halves of each head interleaved, row by row.
    """
    values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    values = values.reshape([int(size) for size in reversed(tensor.shape)])
    part = tensor.name.split(".")[-2]
    if part in num_heads:
        heads = num_heads[part]
        pairs = values.reshape(heads, -1, 2, values.shape[-1])
        values = pairs.transpose(0, 2, 1, 3).reshape(values.shape)
    return values


def as_bf16(values):
    """The upper halves of F32, rounded to nearest even; no weight is NaN."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_tensors(path, tensors, num_heads):
    """The safetensors file: length, JSON header, data."""
    named = sorted((published_name(tensor.name), tensor) for tensor in tensors)
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in named:
        shape = [int(size) for size in reversed(tensor.shape)]
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in named:
            out.write(as_bf16(weights(tensor, num_heads)).tobytes())


def config(meta, is_tied):
    """`config.json` of the `llama` architecture."""
    field = lambda name: meta["llama." + name]
    heads = field("attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": field("embedding_length"),
        "intermediate_size": field("feed_forward_length"),
        "num_hidden_layers": field("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": meta.get("llama.attention.head_count_kv", heads),
        "max_position_embeddings": field("context_length"),
        # The shortest text of the stored F32: 1e-05.
        "rms_norm_eps": float(str(np.float32(field("attention.layer_norm_rms_epsilon")))),
        "rope_theta": float(str(np.float32(meta.get("llama.rope.freq_base", 10_000.0)))),
        "vocab_size": len(meta["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": is_tied,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "torch_dtype": "bfloat16",
    }


def tokenizer(meta):
    """`tokenizer.json` of byte-level BPE with digits on their own, as SmolLM has it."""
    assert meta["tokenizer.ggml.model"] == "gpt2" and meta["tokenizer.ggml.pre"] == "smollm"
    tokens, kinds = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    assert set(kinds) <= {NORMAL, CONTROL}, set(kinds)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": i, "content": token, "special": True, **plain}
        for i, token in enumerate(tokens)
        if kinds[i] == CONTROL
    ]
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**byte_level, "use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in meta["tokenizer.ggml.merges"]],
        },
    }


def main():
    """Reads the file and writes the folder."""
    source, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    reader = GGUFReader(source)
    meta = {name: field.contents() for name, field in reader.fields.items()}
    assert meta["general.architecture"] == "llama", meta["general.architecture"]
    tensors = [tensor for tensor in reader.tensors if tensor.name != "rope_freqs.weight"]
    settings = config(meta, all(tensor.name != "output.weight" for tensor in tensors))
    num_heads = {
        "attn_q": settings["num_attention_heads"],
        "attn_k": settings["num_key_value_heads"],
    }
    tokens = meta["tokenizer.ggml.tokens"]
    texts = {
        "config.json": settings,
        "tokenizer.json": tokenizer(meta),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[settings["bos_token_id"]],
            "eos_token": tokens[settings["eos_token_id"]],
            "chat_template": meta.get("tokenizer.chat_template"),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in texts.items():
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    write_tensors(folder / "model.safetensors", tensors, num_heads)


if __name__ == "__main__":
    main()
