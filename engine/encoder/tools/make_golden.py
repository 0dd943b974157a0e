#!/usr/bin/env python3
"""Writes tiny random encoders of each family, and what they must answer, computed by transformers
and sentence-transformers in F32 on a CPU.

    pip install torch==2.13.0 transformers==5.23.0 sentence-transformers==6.2.0 gguf==0.19.0
    engine/encoder/tools/make_golden.py [NAME ...]

Each goes to testdata/NAME: a Hugging Face folder with what sentence-transformers puts beside it,
and golden.json: {inputs: [{tokens: [id], type_ids: [id] (if not all 0), not_pooled: n}],
rows: [[f]]}, one row for each input: its embedding, or its logits. Inputs are computed one by one.
Some have model.gguf in a folder of their own beside them, NAME-gguf, under the names and with the
fields that the gguf package has for them.
"""
import json
import pathlib
import sys

import torch
import transformers as T
from safetensors.torch import save_file
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sentence_transformer.modules.layer_norm import LayerNorm

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "testdata"
VOCAB_SIZE = 200
SIZES = dict(vocab_size=VOCAB_SIZE, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
             intermediate_size=48, max_position_embeddings=256, initializer_range=0.2,
             pad_token_id=0)
WIDE = dict(hidden_size=64, num_attention_heads=2)  # heads of whole tiles of the matrix unit
ROBERTA = dict(pad_token_id=1, type_vocab_size=1, max_position_embeddings=258)
MODERN = dict(num_hidden_layers=4, local_attention=8, pad_token_id=0, eos_token_id=1,
              bos_token_id=2, cls_token_id=2, sep_token_id=1)
SHORT = dict(num_hidden_layers=1, max_position_embeddings=72)
DECODER = dict(num_key_value_heads=2, head_dim=16, num_attention_heads=2)
DISTIL = dict(vocab_size=VOCAB_SIZE, dim=32, n_layers=2, n_heads=4, hidden_dim=48,
              max_position_embeddings=256, initializer_range=0.2, pad_token_id=0)


def sizes(*others):
    all_sizes = dict(SIZES)
    for other in others:
        all_sizes |= other
    return all_sizes


def labels(*names):
    return dict(id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})


def st_dense(rows, cols, function):
    return Dense(in_features=cols, out_features=rows, activation_function=function)


# name → (model, modules after it, what the inputs have)
MODELS = {
    "bert": (lambda: T.BertModel(T.BertConfig(**sizes(dict(num_attention_heads=1)))),
             lambda: [Pooling(32, "mean"), Normalize()], "types"),
    "bert-classifier": (lambda: T.BertForSequenceClassification(T.BertConfig(
        **sizes(labels("good", "bad", "odd")), hidden_act="gelu_new")), None, "types"),
    "bert-relu": (lambda: T.BertModel(T.BertConfig(**sizes(), hidden_act="relu")),
                  lambda: [Pooling(32, "max")], "types"),
    "bert-reranker": (lambda: T.BertForSequenceClassification(T.BertConfig(
        **sizes(WIDE, labels("LABEL_0")))), None, "types"),
    "bert-poolings": (lambda: T.BertModel(T.BertConfig(**sizes())),
                      lambda: [Pooling(32, ("cls", "max", "mean", "mean_sqrt_len_tokens",
                                            "weightedmean", "lasttoken"), include_prompt=False),
                               st_dense(24, 192, torch.nn.GELU()), LayerNorm(24),
                               st_dense(20, 24, torch.nn.Identity())], "prompts"),
    "roberta": (lambda: T.RobertaModel(T.RobertaConfig(**sizes(ROBERTA))),
                lambda: [Pooling(32, "cls"), st_dense(40, 32, torch.nn.Tanh()), Normalize()],
                "pads"),
    "xlm-roberta-reranker": (lambda: T.XLMRobertaForSequenceClassification(T.XLMRobertaConfig(
        **sizes(WIDE, ROBERTA, labels("LABEL_0")))), None, ""),
    "mpnet": (lambda: T.MPNetModel(T.MPNetConfig(**sizes(ROBERTA))),
              lambda: [Pooling(32, "mean"), Normalize()], "pads"),
    "mpnet-classifier": (lambda: T.MPNetForSequenceClassification(T.MPNetConfig(
        **sizes(ROBERTA, WIDE, labels("a", "b")))), None, ""),
    "distilbert": (lambda: T.DistilBertModel(T.DistilBertConfig(**DISTIL)),
                   lambda: [Pooling(32, "lasttoken")], ""),
    "distilbert-classifier": (lambda: T.DistilBertForSequenceClassification(T.DistilBertConfig(
        **DISTIL, **labels("NEGATIVE", "POSITIVE"))), None, ""),
    "modernbert": (lambda: T.ModernBertModel(T.ModernBertConfig(**sizes(MODERN))),
                   lambda: [Pooling(32, "mean"), Normalize()], ""),
    "modernbert-classifier": (lambda: T.ModernBertForSequenceClassification(T.ModernBertConfig(
        **sizes(WIDE, MODERN, labels("a", "b", "c"), dict(
            classifier_pooling="mean", attention_bias=True, mlp_bias=True, norm_bias=True,
            classifier_bias=True)), problem_type="multi_label_classification")), None, ""),
    "nomic-bert": (lambda: T.NomicBertModel(T.NomicBertConfig(**sizes(WIDE))),
                   lambda: [Pooling(64, "mean"), Normalize()], "types"),
    # Decoders: with and without an output head, which embedding leaves out.
    "qwen3": (lambda: T.Qwen3Model(T.Qwen3Config(**sizes(DECODER))),
              lambda: [Pooling(32, "lasttoken"), Normalize()], "prompts"),
    "llama": (lambda: T.LlamaForCausalLM(T.LlamaConfig(**sizes(DECODER))),
              lambda: [Pooling(32, "mean", include_prompt=False), Normalize()], "prompts"),
    # Other names of the same, other heads, and classes of the training with modules beside them.
    "roberta-classifier": (lambda: T.RobertaForSequenceClassification(T.RobertaConfig(
        **sizes(ROBERTA, SHORT, labels("a", "b", "c")))), None, "pads"),
    "camembert": (lambda: T.CamembertModel(T.CamembertConfig(**sizes(ROBERTA, SHORT))),
                  lambda: [Pooling(32, "mean")], "pads"),
    "camembert-classifier": (lambda: T.CamembertForSequenceClassification(T.CamembertConfig(
        **sizes(ROBERTA, SHORT, labels("oui", "non")))), None, ""),
    "xlm-roberta": (lambda: T.XLMRobertaModel(T.XLMRobertaConfig(**sizes(ROBERTA, SHORT))),
                    lambda: [Pooling(32, "cls"), Normalize()], "pads"),
    "nomic-bert-classifier": (lambda: T.NomicBertForSequenceClassification(T.NomicBertConfig(
        **sizes(WIDE, SHORT, labels("a", "b", "c")))), None, "types"),
    "bert-masked": (lambda: T.BertForMaskedLM(T.BertConfig(**sizes(SHORT))),
                    lambda: [Pooling(32, "mean")], "types"),
    "bert-pretraining": (lambda: T.BertForPreTraining(T.BertConfig(**sizes(SHORT))),
                         lambda: [Pooling(32, "cls")], "types"),
    "roberta-masked": (lambda: T.RobertaForMaskedLM(T.RobertaConfig(**sizes(ROBERTA, SHORT))),
                       lambda: [Pooling(32, "mean"), Normalize()], "pads"),
    "xlm-roberta-masked": (lambda: T.XLMRobertaForMaskedLM(T.XLMRobertaConfig(
        **sizes(ROBERTA, SHORT))), lambda: [Pooling(32, "max")], "pads"),
    "camembert-masked": (lambda: T.CamembertForMaskedLM(T.CamembertConfig(
        **sizes(ROBERTA, SHORT))), lambda: [Pooling(32, "mean"), Normalize()], "pads"),
    "mpnet-masked": (lambda: T.MPNetForMaskedLM(T.MPNetConfig(**sizes(ROBERTA, SHORT))),
                     lambda: [Pooling(32, "mean"), Normalize()], "pads"),
    "distilbert-masked": (lambda: T.DistilBertForMaskedLM(T.DistilBertConfig(
        **DISTIL | dict(n_layers=1, max_position_embeddings=72))),
        lambda: [Pooling(32, "mean")], ""),
    "modernbert-masked": (lambda: T.ModernBertForMaskedLM(T.ModernBertConfig(
        **sizes(MODERN, SHORT, dict(num_hidden_layers=2)))), lambda: [Pooling(32, "cls")], ""),
    "nomic-bert-masked": (lambda: T.NomicBertForMaskedLM(T.NomicBertConfig(
        **sizes(WIDE, SHORT))), lambda: [Pooling(64, "mean"), Normalize()], "types"),
}
IN_GGUF = {"bert", "xlm-roberta-reranker", "nomic-bert"}
# Stored in F32; the others in bfloat16.
IN_F32 = {"bert", "distilbert-classifier"}


def randomise(modules, dtype):
    """Norms and biases start as constants, which would hide mistakes; then rounds as stored."""
    with torch.no_grad():
        for module in modules:
            for name, parameter in module.named_parameters():
                if "norm" in name.lower() and name.endswith("weight"):
                    parameter.uniform_(0.5, 1.5)
                elif name.endswith("bias"):
                    parameter.normal_(0, 0.3)
                elif "relative_attention_bias" in name:
                    parameter.normal_(0, 1.0)
                parameter.copy_(parameter.to(dtype).float())


def make_inputs(generator, has, longest):
    def ids(low, high, num):
        return torch.randint(low, high, (num,), generator=generator).tolist()

    inputs = []
    for length in [length for length in [1, 2, 7, 16, 17, 40, 65, 200] if length <= longest]:
        one = {"tokens": ids(3, VOCAB_SIZE, length)}
        if has == "types" and length > 2:
            one["type_ids"] = [0] * (length // 2) + [1] * (length - length // 2)
        if has == "prompts" and length > 2:
            one["not_pooled"] = length // 3
        if has == "pads" and length > 6:
            one["tokens"][5] = 1  # the padding token, which has no position of its own
        inputs.append(one)
    return inputs


def answer(model, modules, one):
    tokens = torch.tensor([one["tokens"]])
    mask = torch.ones_like(tokens)
    kwargs = {"token_type_ids": torch.tensor([one["type_ids"]])} if "type_ids" in one else {}
    with torch.no_grad():
        # Of a class with a head that no module is, what is below it.
        model = model.base_model if modules else model
        output = model(input_ids=tokens, attention_mask=mask, **kwargs)
        if not modules:
            return output.logits[0]
        features = {"token_embeddings": output.last_hidden_state, "attention_mask": mask,
                    "prompt_length": one.get("not_pooled", 0)}
        for module in modules:
            features = module(features)
        return features["sentence_embedding"][0]


def save_modules(out, modules):
    kind = "sentence_transformers.models."
    listed = [{"idx": 0, "name": "0", "path": "", "type": kind + "Transformer"}]
    for i, module in enumerate(modules, 1):
        path = f"{i}_{type(module).__name__}"
        listed.append({"idx": i, "name": str(i), "path": path,
                       "type": kind + type(module).__name__})
        folder = out / path
        folder.mkdir(exist_ok=True)
        if not isinstance(module, Normalize):
            module.save(str(folder))
    (out / "modules.json").write_text(json.dumps(listed, indent=2) + "\n")


def make(name, seed):
    make_model, make_modules, has = MODELS[name]
    out = TESTDATA / name
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = make_model().eval()
    model.set_attn_implementation("eager")
    modules = [module.eval() for module in make_modules()] if make_modules else []
    dtype = torch.float32 if name in IN_F32 else torch.bfloat16
    randomise([model], dtype)
    randomise(modules, torch.float32)
    # RoBERTa's positions begin after the padding token's.
    longest = min(200, model.config.max_position_embeddings - 2)
    inputs = make_inputs(torch.Generator().manual_seed(seed), has, longest)
    rows = [answer(model, modules, one).tolist() for one in inputs]
    rows = [[float(f"{x:.8g}") for x in row] for row in rows]
    (out / "golden.json").write_text(json.dumps({"inputs": inputs, "rows": rows}) + "\n")
    model.to(dtype).save_pretrained(out)
    if name == "bert":
        old_form(out)
    if name in ("qwen3", "llama"):
        (out / "tokenizer.json").write_text("{}\n")  # a decoder's folder has one
    if modules:
        save_modules(out, modules)
    if name in IN_GGUF:
        write_gguf(name, model)
    for file in out.rglob("*"):
        if file.is_file():
            file.chmod(0o644)
    print(name, sum(file.stat().st_size for file in out.rglob("*") if file.is_file()), flush=True)


def old_form(out):
    """As old files are: norms by other names, and a count of positions among the tensors."""
    from safetensors.torch import load_file
    tensors = load_file(out / "model.safetensors")
    tensors = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"): tensor for name, tensor in tensors.items()}
    tensors["embeddings.position_ids"] = torch.arange(256)[None]
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def write_gguf(name, model):
    """The weights as llama.cpp's converter writes them, without a tokenizer."""
    import gguf
    arch = gguf.MODEL_ARCH.NOMIC_BERT if name == "nomic-bert" else gguf.MODEL_ARCH.BERT
    names = gguf.get_tensor_name_map(arch, model.config.num_hidden_layers)
    folder = TESTDATA / f"{name}-gguf"
    folder.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(folder / "model.gguf", gguf.MODEL_ARCH_NAMES[arch])
    config = model.config
    # Rows of positions up to the padding token's are left out.
    first = config.pad_token_id + 1 if name.startswith("xlm") else 0
    writer.add_context_length(config.max_position_embeddings - first)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    classifies = "Classification" in type(model).__name__
    writer.add_pooling_type(gguf.PoolingType.RANK if classifies else gguf.PoolingType.MEAN)
    if name == "nomic-bert":
        writer.add_rope_freq_base(1000.0)
    from safetensors.torch import load_file
    for key, tensor in load_file(TESTDATA / name / "model.safetensors").items():
        key = key.replace(".gamma", ".weight").replace(".beta", ".bias").removeprefix("roberta.")
        if key.endswith("position_ids") or (not classifies and key.startswith("pooler.")):
            continue
        ours = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert ours, key
        tensor = tensor[first:] if "position_embeddings" in key else tensor
        values, kind = tensor.float().numpy(), None
        if name not in IN_F32 and tensor.ndim == 2:
            kind = gguf.GGMLQuantizationType.BF16
            values = gguf.quants.quantize(values, kind)
        writer.add_tensor(ours, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "golden.json").write_text((TESTDATA / name / "golden.json").read_text())


def main():
    torch.set_num_threads(1)  # one order of summation
    names = sys.argv[1:] or list(MODELS)
    for seed, name in enumerate(MODELS):
        if name in names:
            make(name, 2000 + seed)


if __name__ == "__main__":
    main()
