#!/usr/bin/env python3
"""Writes engine/text/testdata/words.json: words of tokens, as transformers' Whisper joins them.

    pip install transformers==5.23.0
    engine/text/tools/make_words_golden.py

Tokens are those of SmolLM2's vocabulary (`smollm2.txt`), which has bytes as Whisper's has. For each
text: its ids, and `[text, first token, end]` of each word, of a language with spaces and of one
without. Some texts lose their first or last token, so that characters are cut.
"""

import json
from pathlib import Path

from texts import TEXTS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers.models.whisper.tokenization_whisper import _combine_tokens_into_words

OUT = Path(__file__).parent.parent / "testdata"
SAID = [
    " And so, my fellow Americans: ask not what your country can do for you, ask what you can do.",
    " \"Yes,\" she said (quietly), \"it's 5 o'clock... isn't it?\" 'No!' [laughs] {sighs} - well -",
    " “¿Qué tal?” ¡Hola! ‘Gut’, sagte er; „nein“. Ünïcödé — straße, façade.",
    " ( \" ' [ - ) . , ! ?", " a (b) \"c\" 'd' -e f- g, h. ,i .j", " wait", "no space first, then some.",
    "今日は、いい天気ですね。「はい」と言った。", "你好，世界！我们“走”吧？", "สวัสดีครับ (ดี)", " 😀 👍🏽, 👨‍👩‍👧‍👦! ok",
    " 3.14, 1,000 and $5 -- 50%.", "...", " ", " \"", " \" a", "\" a \"", " a \" ", "\n a\n, b",
]


class Bytes:
    """What the functions ask of a tokenizer."""

    eos_token_id = 10**9
    language = None

    def __init__(self):
        first, merges = (OUT / "smollm2.txt").read_text().split("\n\n", 1)
        merges = [tuple(line.split(" ")) for line in merges.splitlines()]
        tokens = first.splitlines()[1:] + ["".join(pair) for pair in merges]
        vocab = {token: at for at, token in enumerate(tokens)}
        self.inner = Tokenizer(models.BPE(vocab=vocab, merges=merges))
        self.inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.inner.decoder = decoders.ByteLevel()

    def encode(self, text):
        return self.inner.encode(text, add_special_tokens=False).ids

    def decode(self, ids, decode_with_timestamps):
        return self.inner.decode(ids, skip_special_tokens=False)


def words(tokenizer, ids, language):
    texts, _, places = _combine_tokens_into_words(tokenizer, ids, language)
    return [[text, at[0], at[-1] + 1] for text, at in zip(texts, places)]


def main():
    tokenizer, all_ids = Bytes(), []
    for text in [*SAID, *(text for text in TEXTS if len(text) < 100)]:
        ids = tokenizer.encode(text)
        all_ids += [ids] if text.isascii() else [ids, ids[1:], ids[:-1]]
    golden = [
        {"ids": ids, "spaced": words(tokenizer, ids, "english"), "not": words(tokenizer, ids, "thai")}
        for ids in all_ids
        # A language's own marks are no text.
        if all(token >= 17 for token in ids)
    ]
    lines = ",\n".join(json.dumps(of, ensure_ascii=False) for of in golden)
    (OUT / "words.json").write_text(f"[{lines}]\n")
    print(len(golden), "texts")


if __name__ == "__main__":
    main()
