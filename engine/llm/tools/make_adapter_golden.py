#!/usr/bin/env python3
"""Writes LoRA adapters on top of the tiny models of `make_golden.py` and `make_family_golden.py`,
and what a model with each must answer, computed by transformers and PEFT in F32 on a CPU.

    pip install torch==2.13.0 transformers==5.23.0 peft==0.21.2 numpy
    engine/llm/tools/make_adapter_golden.py [NAME ...]

Each goes to testdata/adapters/NAME, as PEFT saves it: adapter_config.json and
adapter_model.safetensors in F32, all matrices random; with golden.json {base: folder in testdata,
prompt: [id], vocab_size: n} and logits.f32 (little-endian, [len(prompt), vocab_size]). The weights
of a base's model.gguf are those of its folder, so what is written here holds for both.
"""
import argparse
import json
import shutil

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from make_golden import TESTDATA, VOCAB_SIZE, dump, logits_of

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LINEAR = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]
PROMPT_LEN = 20

# name → (base, settings)
ADAPTERS = {
    "llama-attention": ("tiny/llama", dict(r=4, lora_alpha=8, target_modules=ATTENTION)),
    "llama-rslora": ("tiny/llama", dict(r=9, lora_alpha=3, use_rslora=True,
                                        target_modules="all-linear")),
    "llama-patterns": ("tiny/llama", dict(
        r=3, lora_alpha=6, target_modules=r".*\.(q_proj|v_proj|up_proj|down_proj)",
        rank_pattern={"up_proj": 17, r"layers\.1\.self_attn\.q_proj": 1},
        alpha_pattern={"down_proj": 1.5, "layers.0.mlp.up_proj": 40})),
    "llama-layer": ("tiny/llama", dict(r=2, lora_alpha=4, target_modules=["gate_proj"],
                                       layers_to_transform=[1])),
    # Queries, keys and values in one matrix, gate and up projection in another.
    "phi3": ("families/phi3", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    # Heads' queries, keys and values in turn.
    "gpt-neox": ("families/gpt-neox", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "falcon-new": ("families/falcon-new", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    # Matrices for multiplying from the other side.
    "gpt2": ("families/gpt2", dict(r=4, lora_alpha=8, fan_in_fan_out=True,
                                   target_modules=["c_attn", "c_proj", "c_fc"])),
    # Whose GGUF files hold queries and keys in another order.
    "granite": ("families/granite", dict(r=4, lora_alpha=8, target_modules=LINEAR)),
    "smollm3": ("families/smollm3", dict(r=4, lora_alpha=8, target_modules=LINEAR)),
    # Norms after both branches; a norm for all heads; both branches beside each other.
    "gemma3": ("families/gemma3", dict(r=4, lora_alpha=8, target_modules=LINEAR)),
    "olmo2": ("families/olmo2", dict(r=4, lora_alpha=8, target_modules=LINEAR)),
    "command-r": ("families/command-r", dict(r=4, lora_alpha=8, target_modules=LINEAR)),
    # Only attention of a mixture of experts.
    "qwen3-moe": ("families/qwen3-moe", dict(r=4, lora_alpha=8, target_modules=ATTENTION)),
}


def make(name, seed):
    base, settings = ADAPTERS[name]
    out = TESTDATA / "adapters" / name
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(TESTDATA / base, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    rng = np.random.default_rng(seed)
    prompt = [0] + [int(t) for t in rng.integers(2, VOCAB_SIZE, PROMPT_LEN - 1)]
    plain = logits_of(model, prompt)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.1,
                                             **settings)).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.normal_(0, 0.2)
    logits = logits_of(model, prompt)
    moved = float((logits - plain).abs().mean() / plain.abs().mean())
    assert moved > 0.05, f"{name} changes next to nothing: {moved}"
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    config = json.loads((out / "adapter_config.json").read_text())
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT writes a set
    dump(out / "adapter_config.json", config)
    logits.numpy().astype("<f4").tofile(out / "logits.f32")
    dump(out / "golden.json", {"base": base, "prompt": prompt, "vocab_size": VOCAB_SIZE})
    for file in out.iterdir():
        file.chmod(0o644)
    print(name, sum(file.stat().st_size for file in out.iterdir()), f"{moved:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)  # one order of summation
    for seed, name in enumerate(ADAPTERS):
        if not args.names or name in args.names:
            make(name, 3000 + seed)


if __name__ == "__main__":
    main()
