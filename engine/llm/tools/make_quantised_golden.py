#!/usr/bin/env python3
"""Writes quantised Hugging Face folders, and what their dequantised weights must answer.

    pip install torch==2.13.0 transformers==5.23.0 gguf==0.19.0 safetensors numpy \\
        compressed-tensors
    engine/llm/tools/make_quantised_golden.py [NAME ...]

testdata/quantised/NAME: config.json, model.safetensors, golden.json and logits.f32 as
`make_golden.py` has them. The model is a random Llama, in gpt-oss-mxfp4 a random gpt-oss; its
matrices (there those of experts) are quantised here by the published layouts, and dequantised from the integers before they are packed, or by the reference
named at each. transformers computes in F32 on those. No tokenizer: the tests take another's.
"""
import argparse
import json

import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from make_golden import TESTDATA, VOCAB_SIZE, dump, greedy, logits_of, randomise
from safetensors.torch import save_file
from transformers import GptOssConfig, GptOssForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

OUT = TESTDATA / "quantised"
SIZES = dict(vocab_size=VOCAB_SIZE, hidden_size=64, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, intermediate_size=96, max_position_embeddings=64,
             bos_token_id=0, eos_token_id=1, initializer_range=0.15, tie_word_embeddings=True)


# ------------------------------------------------------------------ integers and scales
def affine(weight, bits, group, symmetric):
    """Integers from 0, zero points and half-precision scales, [outputs, groups, …]."""
    outputs, inputs = weight.shape
    parts = weight.reshape(outputs, -1, group or inputs).double()
    most = (1 << bits) - 1
    low, high = parts.amin(-1, keepdim=True), parts.amax(-1, keepdim=True)
    if symmetric:
        high = torch.maximum(high, -low)
        low = -high
    scale = ((high - low) / most).to(torch.float16)
    zero = (-low / scale.double()).round().clamp(1, most)  # GPTQ's first version stores one less
    if symmetric:
        zero = torch.full_like(zero, (most + 1) // 2)
    q = (parts / scale.double() + zero).round().clamp(0, most)
    return q.long(), zero.long(), scale


def meaning(q, zero, scale):
    return (scale.float() * (q - zero).float()).reshape(len(q), -1)


def words(numbers, bits, order=None):
    """Consecutive numbers of the last dimension in words of 32 bits, the first lowest."""
    per = 32 // bits
    numbers = numbers.numpy().astype(np.uint64).reshape(*numbers.shape[:-1], -1, per)
    numbers = numbers[..., order if order else range(per)]
    shifts = np.arange(per, dtype=np.uint64) * np.uint64(bits)
    packed = (numbers << shifts).sum(-1).astype(np.uint32)
    return torch.from_numpy(packed.view(np.int32))


# ------------------------------------------------------------------ published layouts
def awq(name, weight, tensors):
    """AutoAWQ's `WQLinear_GEMM.from_linear`."""
    q, zero, scale = affine(weight, 4, 32, symmetric=False)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    tensors[f"{name}.qweight"] = words(q.reshape(len(q), -1).T.contiguous(), 4, order)
    tensors[f"{name}.qzeros"] = words(zero[..., 0].T.contiguous(), 4, order)
    tensors[f"{name}.scales"] = scale[..., 0].T.contiguous()
    return meaning(q, zero, scale)


def gptq(bits, group, symmetric, version, shuffled):
    """AutoGPTQ's and GPTQModel's `QuantLinear.pack`."""
    def store(name, weight, tensors):
        inputs = weight.shape[1]
        order = torch.randperm(inputs) if shuffled else torch.arange(inputs)
        q, zero, scale = affine(weight[:, order], bits, group, symmetric)
        back = torch.argsort(order)
        q_inputs = q.reshape(len(q), -1)[:, back].T.contiguous()
        stored_zero = zero[..., 0].T.contiguous() - (1 if version == 1 else 0)
        tensors[f"{name}.qweight"] = words(q_inputs.T.contiguous(), bits).T.contiguous()
        tensors[f"{name}.qzeros"] = words(stored_zero, bits)
        tensors[f"{name}.scales"] = scale[..., 0].T.contiguous()
        tensors[f"{name}.g_idx"] = (back // (group or inputs)).int()
        return meaning(q, zero, scale)[:, back]
    return store


def fp8_blocks(block):
    """DeepSeek-V3's `weight_dequant`: a scale for each block, called an inverse."""
    def store(name, weight, tensors):
        scale = torch.zeros(*(-(-size // of) for size, of in zip(weight.shape, block)))
        full = torch.zeros_like(weight)
        for i in range(scale.shape[0]):
            for j in range(scale.shape[1]):
                at = (slice(i * block[0], (i + 1) * block[0]),
                      slice(j * block[1], (j + 1) * block[1]))
                scale[i, j] = weight[at].abs().max() / 448
                full[at] = scale[i, j]
        q = (weight / full).to(torch.float8_e4m3fn)
        tensors[f"{name}.weight"] = q
        tensors[f"{name}.weight_scale_inv"] = scale
        return q.float() * full
    return store


def fp8_scaled(name, weight, tensors):
    """compressed-tensors' "float-quantized": a scale for the tensor, or for each output."""
    of_tensor = "mlp" in name
    most = weight.abs().max() if of_tensor else weight.abs().amax(1, keepdim=True)
    scale = (most / 448).to(torch.bfloat16)
    q = (weight / scale.float()).clamp(-448, 448).to(torch.float8_e4m3fn)
    tensors[f"{name}.weight"] = q
    tensors[f"{name}.weight_scale"] = scale
    tensors[f"{name}.input_scale"] = torch.tensor(0.5)
    return q.float() * scale.float()


def int8(name, weight, tensors):
    """compressed-tensors' "int-quantized": a scale for each output."""
    scale = (weight.abs().amax(1, keepdim=True) / 127).to(torch.bfloat16)
    q = (weight / scale.float()).round().clamp(-128, 127).to(torch.int8)
    tensors[f"{name}.weight"] = q
    tensors[f"{name}.weight_scale"] = scale
    return q.float() * scale.float()


def int4(name, weight, tensors):
    """compressed-tensors' "pack-quantized", packed by itself: signed, with zero points."""
    q, zero, scale = affine(weight, 4, 32, symmetric=False)
    signed = (q - 8).reshape(len(q), -1).to(torch.int8)
    zero8 = (zero[..., 0] - 8).to(torch.int8)
    tensors[f"{name}.weight_packed"] = pack_to_int32(signed, 4)
    tensors[f"{name}.weight_zero_point"] = pack_to_int32(zero8, 4, packed_dim=0).contiguous()
    tensors[f"{name}.weight_scale"] = scale[..., 0].contiguous()
    tensors[f"{name}.weight_shape"] = torch.tensor(list(weight.shape))
    return meaning(q, zero, scale)


def mxfp4_blocks(weight):
    """gpt-oss' blocks of 32, and their powers of two."""
    parts = weight.reshape(*weight.shape[:-1], -1, 32)
    exponent = torch.floor(torch.log2(parts.abs().amax(-1))) - 2
    numbers = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6])
    numbers = torch.cat([numbers, -numbers])
    q = ((parts / 2 ** exponent[..., None])[..., None] - numbers).abs().argmin(-1)
    return (q[..., 0::2] | q[..., 1::2] << 4).to(torch.uint8), (exponent + 127).to(torch.uint8)


def mxfp4(name, weight, tensors):
    """Read back by transformers' `convert_moe_packed_tensors`."""
    if "mlp" not in name:
        tensors[f"{name}.weight"] = weight.bfloat16()
        return weight.bfloat16().float()
    blocks, scales = mxfp4_blocks(weight)
    tensors[f"{name}.weight_blocks"], tensors[f"{name}.weight_scales"] = blocks, scales
    back = convert_moe_packed_tensors(blocks[None], scales[None], dtype=torch.float32)
    return back[0].T.contiguous()


def compressed(form, **weights):
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return dict(quant_method="compressed-tensors", format=form, config_groups=groups,
                ignore=["lm_head"], quantization_status="compressed")


GPTQ = dict(quant_method="gptq", group_size=32)
FOLDERS = {
    "awq": (awq, dict(quant_method="awq", bits=4, group_size=32, version="gemm", zero_point=True)),
    "gptq-4": (gptq(4, 32, True, 1, False), dict(GPTQ, bits=4, sym=True, desc_act=False)),
    "gptq-4-shuffled": (gptq(4, 32, False, 2, True), dict(
        GPTQ, bits=4, sym=False, desc_act=True, checkpoint_format="gptq_v2")),
    "gptq-8": (gptq(8, None, True, 1, False), dict(GPTQ, bits=8, group_size=-1, sym=True)),
    "fp8-blocks": (fp8_blocks((48, 32)), dict(quant_method="fp8", weight_block_size=[48, 32],
                                             activation_scheme="dynamic")),
    "fp8-scaled": (fp8_scaled, compressed("float-quantized", num_bits=8, type="float")),
    "int8": (int8, compressed("int-quantized", num_bits=8, type="int", strategy="channel")),
    "int4": (int4, compressed("pack-quantized", num_bits=4, type="int", strategy="group",
                              group_size=32, symmetric=False)),
    "mxfp4": (mxfp4, dict(quant_method="mxfp4")),
}
GPT_OSS = "gpt-oss-mxfp4"


def make(name, seed, store, quantization):
    out = OUT / name
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
    model.set_attn_implementation("eager")
    randomise(model, torch.bfloat16)
    tensors = {}
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            module = path.removesuffix(".weight")
            if module.endswith("_proj"):
                parameter.copy_(store(module, parameter.clone(), tensors))
            else:
                tensors[path] = parameter.bfloat16()
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=False))
    config = {key: config[key] for key in [*SIZES, "rms_norm_eps", "hidden_act"]}
    config |= {"architectures": ["LlamaForCausalLM"], "rope_theta": 10000.0,
               "quantization_config": quantization}
    write_rest(out, (model, config), seed)


def make_gpt_oss(name, seed):
    """As OpenAI publishes it: experts in MXFP4, each output's inputs together, and read back as
    transformers does for want of a GPU, to be multiplied from the other side."""
    out = OUT / name
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = GptOssForCausalLM(GptOssConfig(
        **SIZES | dict(intermediate_size=64, head_dim=16, num_local_experts=4, sliding_window=8,
                       num_experts_per_tok=2, num_hidden_layers=2, swiglu_limit=7.0,
                       rope_parameters=dict(rope_type="default", rope_theta=10000.0)))).eval()
    model.set_attn_implementation("eager")
    randomise(model, torch.bfloat16)
    tensors = {}
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if path.endswith(("sinks", "_bias")):
                parameter.copy_(parameter.normal_(0, 0.5).bfloat16().float())
            if not path.endswith(("experts.gate_up_proj", "experts.down_proj")):
                tensors[path] = parameter.bfloat16()
                continue
            blocks, scales = mxfp4_blocks(parameter.transpose(1, 2).contiguous())
            tensors[f"{path}_blocks"], tensors[f"{path}_scales"] = blocks, scales
            parameter.copy_(convert_moe_packed_tensors(blocks, scales, dtype=torch.float32))
    tensors.pop("lm_head.weight", None)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string())
    config |= {"architectures": ["GptOssForCausalLM"],
               "quantization_config": {"quant_method": "mxfp4",
                                       "modules_to_not_convert": ["model.layers.*.self_attn"]}}
    write_rest(out, (model, config), seed)


def write_rest(out, model_and_config, seed):
    model, config = model_and_config
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    rng = np.random.default_rng(seed)
    margins = [0.0]
    while min(margins) < 0.02:  # a prompt whose greedy choices rounding cannot change
        prompt = [0] + [int(t) for t in rng.integers(2, VOCAB_SIZE, 15)]
        tokens, margins = greedy(model, prompt, 8)
    logits_of(model, prompt).numpy().astype("<f4").tofile(out / "logits.f32")
    dump(out / "golden.json", {"prompt": prompt, "greedy": tokens, "margins": margins,
                               "vocab_size": VOCAB_SIZE})
    for file in out.iterdir():
        file.chmod(0o644)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    torch.set_num_threads(1)  # one order of summation
    for seed, (name, (store, quantization)) in enumerate(FOLDERS.items()):
        if not names or name in names:
            make(name, 200 + seed, store, quantization)
    if not names or GPT_OSS in names:
        make_gpt_oss(GPT_OSS, 300)


if __name__ == "__main__":
    main()
