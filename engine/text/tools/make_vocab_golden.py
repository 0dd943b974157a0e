#!/usr/bin/env python3
"""Writes engine/text/testdata/pre.json and vocab_*.json: token ids by independent implementations.

    python3 -m venv .venv && .venv/bin/pip install gguf sentencepiece tokenizers
    LIBLLAMA=llama.cpp/build/bin/libllama.so .venv/bin/python make_vocab_golden.py

`pre.json`: for each rule of pre-tokenizing the ids that llama.cpp gives on SmolLM2's vocabulary
(`smollm2.txt`), where they differ from those of `gpt-2` in `smollm2.json`.

`vocab_NAME.json`: a small vocabulary of each kind, with its fields as GGUF has them and ids by
llama.cpp, for WordPiece by tokenizers; the script prints where the two, or sentencepiece for
unigram, do not agree.
"""

import json
import sys
import tempfile
from pathlib import Path

import gguf
import sentencepiece
import tokenizers
from llama import Vocab
from texts import TEXTS

OUT = Path(__file__).parent.parent / "testdata"
# One name of each rule that `smollm2.json` does not have.
PRE = ["deepseek-llm", "deepseek-coder", "bloom", "viking", "chameleon", "superbpe", "kimi-k2",
       "seed-coder", "bailingmoe", "exaone-moe", "tiny_aya", "youtu", "afmoe", "laguna", "jais-2",
       "minicpm5", "spark2_5", "ufakzeka", "granite-embed-multi-97m", "glm5", "dbrx", "command-r"]
TYPE = {"tokens": gguf.GGUFValueType.STRING, "merges": gguf.GGUFValueType.STRING,
        "scores": gguf.GGUFValueType.FLOAT32, "token_type": gguf.GGUFValueType.INT32,
        "precompiled_charsmap": gguf.GGUFValueType.UINT8}


def write_gguf(path, fields):
    """A file with nothing but a vocabulary."""
    writer = gguf.GGUFWriter(path, arch="llama")
    writer.add_name(fields.get("name", "tiny"))
    for key, value in fields.items():
        key = f"tokenizer.ggml.{key}"
        if key.endswith(".name"):
            continue
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, bytes):
            writer.add_key_value(key, list(value), gguf.GGUFValueType.ARRAY,
                                 sub_type=gguf.GGUFValueType.UINT8)
        else:
            kind = TYPE[key.removeprefix("tokenizer.ggml.")]
            writer.add_key_value(key, value, gguf.GGUFValueType.ARRAY, sub_type=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def with_llama(fields, use):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.gguf"
        write_gguf(path, fields)
        with Vocab(path) as vocab:
            return use(vocab)


def write_json(name, value):
    """One line for each key."""
    dump = lambda part: json.dumps(part, ensure_ascii=True, separators=(",", ":"))
    lines = [f"{dump(key)}:{dump(part)}" for key, part in value.items()]
    (OUT / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def write_vocab(name, fields, texts, ids, decoded=None):
    fields = {key: list(value) if isinstance(value, bytes) else value
              for key, value in fields.items()}
    golden = {"fields": fields, "texts": texts, "ids": ids}
    if decoded:
        golden["decoded"] = decoded
    write_json(f"vocab_{name}.json", golden)


def smollm2():
    first, merges = (OUT / "smollm2.txt").read_text().split("\n\n", 1)
    count, *first = first.split("\n")
    merges = merges.split("\n")[:-1]
    tokens = first + [merge.replace(" ", "", 1) for merge in merges]
    types = [3 if id < int(count) else 1 for id in range(len(tokens))]
    return {"model": "gpt2", "tokens": tokens, "merges": merges, "token_type": types,
            "bos_token_id": 1, "eos_token_id": 2}


def pre():
    fields, ids = smollm2(), {}
    usual = json.loads((OUT / "smollm2.json").read_text())["ids"]["gpt-2"]
    assert json.loads((OUT / "smollm2.json").read_text())["texts"] == TEXTS
    for name in PRE:
        given = with_llama(fields | {"pre": name}, lambda v: [v.encode(text) for text in TEXTS])
        ids[name] = {i: own for i, (own, other) in enumerate(zip(given, usual)) if own != other}
    write_json("pre.json", ids)


def trained(**settings):
    """A SentencePiece model of these texts; they come without the characters it cannot hold."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join(text for text in TEXTS if "\0" not in text) * 3)
        prefix = str(Path(folder) / "spm")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=prefix, hard_vocab_limit=False, **settings)
        return sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")


def fields_of(model, name):
    kind = lambda id: (6 if model.is_byte(id) else 3 if model.is_control(id)
                       else 2 if model.is_unknown(id) else 1)
    ids = range(model.get_piece_size())
    return {"model": name, "tokens": [model.id_to_piece(id) for id in ids],
            "scores": [model.get_score(id) for id in ids], "token_type": [kind(id) for id in ids],
            "bos_token_id": model.bos_id(), "eos_token_id": model.eos_id(),
            "unknown_token_id": model.unk_id()}


def differing(name, fields, texts, ids):
    """llama.cpp's ids; prints where they are not the given ones."""
    given = with_llama(fields, lambda v: [v.encode(text) for text in texts])
    for text, own, other in zip(texts, ids, given):
        if own != other:
            print(f"{text!r}: {name} {own}, llama.cpp {other}", file=sys.stderr)
    return given


RULES = [("\uff37", "W"), ("\uff29", "I"), ("\uff24", "D"), ("\ufb01", "fi"), ("\xa0", " "), ("\u3000", " "),
         ("\t", " "), ("\n", " "), ("\r", " "), ("\u200b", " "), ("\xbd", "1/2"), ("e\u0301", "\xe9"),
         ("\x1f", ""), ("\u2026", "...")]


def unigram():
    """XLM-R's and T5's kind, with a map of a few characters."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in RULES:
            code = lambda text: " ".join(f"{ord(c):X}" for c in text)
            rules.write(f"{code(source)}\t{code(target)}\n")
        rules.flush()
        model = trained(model_type="unigram", vocab_size=400, character_coverage=0.98,
                        normalization_rule_tsv=rules.name, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    import sentencepiece.sentencepiece_model_pb2 as pb
    proto = pb.ModelProto.FromString(model.serialized_model_proto())
    spec = proto.normalizer_spec
    fields = fields_of(model, "t5") | {
        "precompiled_charsmap": spec.precompiled_charsmap, "add_space_prefix": spec.add_dummy_prefix,
        "remove_extra_whitespaces": spec.remove_extra_whitespaces}
    del fields["bos_token_id"]
    texts = [text for text in TEXTS if "\0" not in text]
    # sentencepiece adds in single precision, and decides otherwise where ways are alike.
    ids = differing("sentencepiece", fields, texts, [model.encode(text) for text in texts])
    decoded = [model.decode(given).replace(" \u2047 ", "<unk>") for given in ids]
    write_vocab("t5", fields, texts, ids, decoded)


def wordpiece():
    """BERT's kind, small letters without accents."""
    wordpiece = tokenizers.BertWordPieceTokenizer(lowercase=True)
    wordpiece.train_from_iterator(TEXTS, vocab_size=500, min_frequency=1, show_progress=False)
    words = wordpiece.get_vocab()
    vocab = sorted(words, key=words.get)
    special = [token for token in vocab if token.startswith("[") and token.endswith("]") and len(token) > 2]
    model = tokenizers.models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=10_000)
    wordpiece._tokenizer.model = model
    name = lambda token: (token if token in special else token[2:] if token.startswith("##") and
                          len(token) > 2 else "\u2581" + token)
    fields = {"model": "bert", "tokens": [name(token) for token in vocab],
              "token_type": [3 if token in special else 1 for token in vocab],
              "bos_token_id": words["[CLS]"], "unknown_token_id": words["[UNK]"],
              "seperator_token_id": words["[SEP]"]}
    ids = [wordpiece.encode(text, add_special_tokens=False).ids for text in TEXTS]
    # llama.cpp leaves out what it cannot decompose into one character, as most of Hangul.
    differing("tokenizers", fields, TEXTS, ids)
    write_vocab("bert", fields, TEXTS, ids)


def gemma4():
    """BPE on characters with merges and bytes."""
    model = trained(model_type="bpe", vocab_size=700, byte_fallback=True, split_digits=True,
                    normalization_rule_name="identity", add_dummy_prefix=False,
                    remove_extra_whitespaces=False, character_coverage=0.98)
    fields = fields_of(model, "gemma4")
    normal = [token for token, kind in zip(fields["tokens"], fields["token_type"]) if kind == 1]
    normal = set(normal)
    score = dict(zip(fields["tokens"], fields["scores"]))
    merges = [(token[:cut], token[cut:]) for token in sorted(normal, key=lambda t: -score[t])
              for cut in range(1, len(token)) if token[:cut] in normal and token[cut:] in normal]
    fields["merges"] = [" ".join(merge) for merge in merges]
    for text in ["\n", "\n\n", "\n\n\n"]:
        fields["tokens"].append(text)
        fields["scores"].append(0.0)
        fields["token_type"].append(1)
    given = with_llama(fields, lambda v: [v.encode(text) for text in TEXTS])
    write_vocab("gemma4", fields, TEXTS, given, TEXTS)


def phi3():
    """Scores that are the same, unused tokens, and special tokens that take white space."""
    model = trained(model_type="bpe", vocab_size=600, byte_fallback=True,
                    normalization_rule_name="identity", add_dummy_prefix=True,
                    remove_extra_whitespaces=False, character_coverage=0.98)
    fields = fields_of(model, "llama") | {"name": "Tiny Phi-3", "add_bos_token": True}
    for text, kind in [("<|user|>", 4), ("<|end|>", 3), ("<|endoftext|>", 3)]:
        fields["tokens"].append(text)
        fields["scores"].append(-1000.0)
        fields["token_type"].append(kind)
    fields["scores"] = [float(round(score / 50)) for score in fields["scores"]]
    texts = TEXTS + ["<|user|>\nHi <|end|>\n <|user|> \n\n x<|endoftext|> y </s> z", "<s> a"]
    write_vocab("phi3", fields, texts,
                with_llama(fields, lambda v: [v.encode(text) for text in texts]))


if __name__ == "__main__":
    for make in [pre, unigram, wordpiece, gemma4, phi3]:
        make()
