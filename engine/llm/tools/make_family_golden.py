#!/usr/bin/env python3
"""Writes a tiny random model of each family, and what it must answer, computed by transformers in
F32 on a CPU.

    pip install torch==2.13.0 transformers==5.23.0 gguf==0.19.0 numpy
    engine/llm/tools/make_family_golden.py [--llama-cpp SOURCE_TREE] [NAME ...]

Each goes to testdata/families/NAME: a Hugging Face folder whose weights are bfloat16, golden.json
and logits.f32 as make_golden.py writes them, and, where llama.cpp knows the family, model.gguf:
the same weights as its own convert_hf_to_gguf.py writes them, but for the tokenizer, which is
written as byte-level BPE for all.
"""
import argparse
import json
import pathlib
import sys

if "--llama-cpp" in sys.argv:  # its own gguf package comes before the installed one
    TREE = pathlib.Path(sys.argv[sys.argv.index("--llama-cpp") + 1])
    sys.path[:0] = [str(TREE), str(TREE / "gguf-py")]

import torch
import transformers as T
from make_golden import TESTDATA, VOCAB_SIZE, randomise, tiny_tokenizer, write_golden

SIZES = dict(vocab_size=VOCAB_SIZE, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, intermediate_size=48, max_position_embeddings=128,
             bos_token_id=0, eos_token_id=1, pad_token_id=None, initializer_range=0.2)
THETA = dict(rope_type="default", rope_theta=10000.0)


def sizes(**other):
    return SIZES | other


def moe(**other):
    return sizes(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24) | other


def gpt2():
    return T.GPT2LMHeadModel(T.GPT2Config(
        vocab_size=VOCAB_SIZE, n_embd=32, n_layer=2, n_head=4, n_positions=128, bos_token_id=0,
        eos_token_id=1, initializer_range=0.2, n_ctx=128))


def falcon(**other):
    return T.FalconForCausalLM(T.FalconConfig(
        vocab_size=VOCAB_SIZE, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=128, bos_token_id=0, eos_token_id=1, initializer_range=0.2,
        alibi=False, **other))


def long_rope(max_len):
    return dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.2],
                long_factor=[1.0, 2.0, 4.0], original_max_position_embeddings=32,
                factor=max_len / 32, partial_rotary_factor=0.75)


def deepseek(**other):
    return sizes(num_key_value_heads=4, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=4,
                 v_head_dim=12, n_routed_experts=8, num_experts_per_tok=2, n_shared_experts=1,
                 moe_intermediate_size=24, first_k_dense_replace=1, num_hidden_layers=3,
                 topk_group=2, n_group=4, routed_scaling_factor=1.5) | other


def llama4(**other):
    """Chunks, temperatures and the long wavelengths are within a prompt's 48 tokens."""
    return sizes(head_dim=8, num_hidden_layers=5, intermediate_size=24, intermediate_size_mlp=40,
                 num_local_experts=4, num_experts_per_tok=1, interleave_moe_layer_step=2,
                 attention_chunk_size=16, floor_scale=8, attn_scale=0.5, rope_parameters=dict(
                     rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                     high_freq_factor=4.0, original_max_position_embeddings=64)) | other


def llama4_multimodal():
    """As published: no wavelengths between kept and stretched ones, and what llama.cpp takes for
    granted: chunks of 8192, temperatures from there on."""
    text = llama4(interleave_moe_layer_step=1, attention_chunk_size=8192, floor_scale=8192,
                  attn_scale=0.1, num_experts_per_tok=2)
    text["rope_parameters"]["high_freq_factor"] = 1.0
    vision = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                  vision_output_dim=16, projector_input_dim=16, projector_output_dim=16,
                  image_size=28, patch_size=14)
    return T.Llama4ForConditionalGeneration(T.Llama4Config(
        text_config=text, vision_config=vision, tie_word_embeddings=False))


def idefics(model, config):
    """What it sees with is not looked at here."""
    vision = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                  image_size=28, patch_size=14)
    return model(config(text_config=dict(model_type="llama", **sizes(rms_norm_eps=1e-5)),
                        vision_config=vision, image_token_id=2))


YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0,
            mscale=1.0, mscale_all_dim=1.0, original_max_position_embeddings=32)

MODELS = {
    "qwen2": lambda: T.Qwen2ForCausalLM(T.Qwen2Config(**sizes())),
    "qwen2-moe": lambda: T.Qwen2MoeForCausalLM(T.Qwen2MoeConfig(
        **moe(shared_expert_intermediate_size=40, decoder_sparse_step=1))),
    "qwen3": lambda: T.Qwen3ForCausalLM(T.Qwen3Config(**sizes(head_dim=16))),
    "qwen3-moe": lambda: T.Qwen3MoeForCausalLM(T.Qwen3MoeConfig(
        **moe(head_dim=16, norm_topk_prob=True, decoder_sparse_step=1))),
    "gemma2": lambda: T.Gemma2ForCausalLM(T.Gemma2Config(
        **sizes(head_dim=16, query_pre_attn_scalar=16, sliding_window=8, num_hidden_layers=3,
                attn_logit_softcapping=3.0, final_logit_softcapping=4.0))),
    "gemma3": lambda: T.Gemma3ForCausalLM(T.Gemma3TextConfig(
        **sizes(head_dim=16, query_pre_attn_scalar=16, sliding_window=8, num_hidden_layers=7,
                initializer_range=0.1))),
    "phi3": lambda: T.Phi3ForCausalLM(T.Phi3Config(**sizes(sliding_window=16))),
    "phi4": lambda: T.Phi3ForCausalLM(T.Phi3Config(
        **sizes(sliding_window=None, rope_parameters=long_rope(128),
                original_max_position_embeddings=32))),
    "mixtral": lambda: T.MixtralForCausalLM(T.MixtralConfig(
        **sizes(num_local_experts=4, num_experts_per_tok=2))),
    "gpt2": gpt2,
    "gpt-neox": lambda: T.GPTNeoXForCausalLM(T.GPTNeoXConfig(
        **sizes(rope_parameters=dict(THETA, partial_rotary_factor=0.5)))),
    "falcon": lambda: falcon(num_kv_heads=1),
    "falcon-new": lambda: falcon(new_decoder_architecture=True, num_kv_heads=2),
    "stablelm": lambda: T.StableLmForCausalLM(T.StableLmConfig(
        **sizes(rope_parameters=dict(THETA, partial_rotary_factor=0.25), use_qkv_bias=True))),
    "stablelm-parallel": lambda: T.StableLmForCausalLM(T.StableLmConfig(
        **sizes(rope_parameters=dict(THETA, partial_rotary_factor=0.25), qk_layernorm=True,
                use_parallel_residual=True))),
    "granite": lambda: T.GraniteForCausalLM(T.GraniteConfig(
        **sizes(embedding_multiplier=3.0, residual_multiplier=0.3, attention_multiplier=0.2,
                logits_scaling=2.0))),
    "olmo2": lambda: T.Olmo2ForCausalLM(T.Olmo2Config(**sizes())),
    "smollm3": lambda: T.SmolLM3ForCausalLM(T.SmolLM3Config(**sizes(num_hidden_layers=5))),
    "command-r": lambda: T.CohereForCausalLM(T.CohereConfig(
        **sizes(use_qk_norm=True, logit_scale=0.25))),
    "command-r7b": lambda: T.Cohere2ForCausalLM(T.Cohere2Config(
        **sizes(num_hidden_layers=5, sliding_window=8, logit_scale=0.25))),
    "deepseek2": lambda: T.DeepseekV2ForCausalLM(T.DeepseekV2Config(
        **deepseek(q_lora_rank=None, topk_method="group_limited_greedy"))),
    "deepseek3": lambda: T.DeepseekV3ForCausalLM(T.DeepseekV3Config(
        **deepseek(q_lora_rank=20, rope_parameters=YARN))),
    "gpt-oss": lambda: T.GptOssForCausalLM(T.GptOssConfig(
        **sizes(num_local_experts=4, num_experts_per_tok=2, head_dim=16, sliding_window=8,
                num_hidden_layers=3, swiglu_limit=7.0, rope_parameters=dict(
                    rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32.0,
                    beta_slow=1.0, truncate=False, original_max_position_embeddings=32)))),
    "llama4": lambda: T.Llama4ForCausalLM(T.Llama4TextConfig(**llama4())),
    "llama4-multimodal": llama4_multimodal,
    "idefics3": lambda: idefics(T.Idefics3ForConditionalGeneration, T.Idefics3Config),
    "smolvlm": lambda: idefics(T.SmolVLMForConditionalGeneration, T.SmolVLMConfig),
}
# What llama.cpp's converter stumbles over: it looks for as many norms of keys as of queries; and
# what its files cannot say: the size of chunks, and temperatures. Of Idefics3 it makes a Llama.
NO_GGUF = {"stablelm-parallel", "llama4", "idefics3", "smolvlm"}


# Fields that the converter reads and transformers does not write any more.
OLD_FIELDS = {"gpt-neox": {"rotary_pct": 0.5}, "command-r7b": {"rotary_pct": 1.0},
              "deepseek3": {"scoring_func": "sigmoid"}}


def write_vocab(writer):
    tokenizer = tiny_tokenizer()
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in ("<s>", "</s>") else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def convert(folder):
    """llama.cpp's own converter, with one tokenizer for all."""
    import conversion
    import gguf
    from conversion.base import ModelBase, TextModel
    config = json.loads((folder / "config.json").read_text())
    kind = conversion.get_model_class(config["architectures"][0])
    if not issubclass(kind, TextModel):
        raise SystemExit(f"{kind} is no language model")
    kind.set_vocab = lambda self: write_vocab(self.gguf_writer)
    with torch.inference_mode():
        model = kind(folder, gguf.LlamaFileType.MOSTLY_BF16, folder / "model.gguf",
                     hparams=ModelBase.load_hparams(folder, False)
                     | OLD_FIELDS.get(folder.name, {}))
        model.write()


def make(name, seed, llama_cpp):
    out = TESTDATA / "families" / name
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = MODELS[name]().eval()
    model.set_attn_implementation("eager")
    randomise(model, torch.bfloat16)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            # What starts as constants or nothing: sinks, biases of experts, norms by other names.
            stem = key.removesuffix(".weight").rsplit(".", 1)[-1]
            if stem.startswith("ln_") or ".norms." in key:
                parameter.copy_(parameter.uniform_(0.5, 1.5).bfloat16().float())
            if key.endswith(("sinks", "_bias")) and parameter.numel():
                parameter.copy_(parameter.normal_(0, 0.5).bfloat16().float())
        for key, buffer in model.named_buffers():
            if key.endswith("e_score_correction_bias"):
                buffer.copy_(buffer.normal_(0, 0.1).bfloat16().float())
    write_golden(out, model, seed)
    model.to(torch.bfloat16).save_pretrained(out)
    tiny_tokenizer().save_pretrained(out)
    if llama_cpp and name not in NO_GGUF:
        convert(out)
    for file in out.iterdir():
        file.chmod(0o644)
    print(name, sum(file.stat().st_size for file in out.iterdir()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-cpp", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)  # one order of summation
    for seed, name in enumerate(MODELS):
        if not args.names or name in args.names:
            make(name, 1000 + seed, args.llama_cpp)


if __name__ == "__main__":
    main()
