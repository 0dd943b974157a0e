#!/usr/bin/env python3
"""Writes a tokenizer beside the tiny classifier, so that it can be served: WordPiece as BERT has it,
of characters, their continuations and a few words.

    engine/encoder/tools/make_tokenizer.py
"""
import json
import pathlib
import string

OUT = (pathlib.Path(__file__).resolve().parent.parent
       / "testdata" / "bert-classifier" / "tokenizer.json")
VOCAB_SIZE = 200  # the model's
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARS = string.ascii_lowercase + string.digits
WORDS = "the a is was not this that it good bad odd very hello world".split()


def framed(*sequences):
    """[CLS] A [SEP], or [CLS] A [SEP] B [SEP]."""
    template = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}]
    for type_id, sequence in enumerate(sequences):
        template.append({"Sequence": {"id": sequence, "type_id": type_id}})
        template.append({"SpecialToken": {"id": "[SEP]", "type_id": type_id}})
    return template


def main():
    words = [word for word in WORDS if len(word) > 1]
    vocab = [*SPECIAL, *CHARS, *("##" + char for char in CHARS), *string.punctuation, *words]
    vocab += [f"[unused{i}]" for i in range(VOCAB_SIZE - len(vocab))]
    ids = {token: i for i, token in enumerate(vocab)}
    assert len(ids) == VOCAB_SIZE
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    around = {name: {"id": name, "ids": [ids[name]], "tokens": [name]}
              for name in ("[CLS]", "[SEP]")}
    OUT.write_text(json.dumps({
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": ids[token], "content": token} | flags for token in SPECIAL],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": framed("A"),
                           "pair": framed("A", "B"), "special_tokens": around},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    }) + "\n")


if __name__ == "__main__":
    main()
