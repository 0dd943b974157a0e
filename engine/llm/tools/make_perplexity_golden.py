#!/usr/bin/env python3
"""Writes testdata/wikitext/golden.json: what the excerpt beside it is worth to others.

    pip install torch==2.13.0 transformers==5.23.0 gguf==0.19.0 numpy
    cargo xtask weights                # prints where the GGUF file lies
    cargo xtask bench perplexity       # builds llama-perplexity below .agentbase/peers
    engine/llm/tools/make_perplexity_golden.py MODEL.gguf LLAMA_PERPLEXITY LLAMA_VERSION

The excerpt is cut into chunks of CONTEXT tokens; each is computed on its own, and the tokens after
its first half are scored, as llama-perplexity does. The file holds

- `tokens`: the ids of all whole chunks, one after another;
- `transformers`: for each chunk the sum of negative log-likelihoods (in nats) of its scored
  tokens, by transformers in F32 on the dequantised weights, summed in F64;
- `llama_cpp`: the perplexity after each chunk as llama-perplexity prints it, with its defaults
  (`f16`: keys and values in 16 bits, the weights' products on activations in 8 bits) and with
  keys and values in 8 bits (`q8_0`);
- `llama_cpp_from_transformers`: how far its next-token distributions (defaults) are from
  transformers': Kullback-Leibler divergence (nats), share of positions with the same most likely
  token, and the root mean square of the difference of log-probabilities over that of
  transformers' own around their mean. llama-perplexity keeps no log-probability more than 16
  below the largest: this last number is over the tokens above that.
"""
import argparse
import hashlib
import json
import pathlib
import re
import subprocess
import tempfile

import numpy as np
import torch

import make_golden

WIKITEXT = make_golden.TESTDATA / "wikitext"
CONTEXT = 512
HALF = CONTEXT // 2


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def llama_perplexity(binary, model, *extra):
    """The perplexities after each chunk."""
    command = [binary, "-m", model, "-f", WIKITEXT / "excerpt.txt", "-c", str(CONTEXT),
               "-t", "2", *extra]
    done = subprocess.run(command, check=True, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return [float(x) for x in re.findall(r"\[\d+\](\d+\.\d+),", done.stdout)]


def stored_logprobs(path, tokens):
    """What --kl-divergence-base wrote: chunk by chunk [CONTEXT - HALF - 1, vocab_size]."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    assert bytes(data[:8]) == b"_logits_"
    n_ctx, n_vocab, n_chunk = (int(x) for x in data[8:20].view(np.int32))
    end = 20 + 4 * n_ctx * n_chunk
    assert n_ctx == CONTEXT and list(data[20:end].view(np.int32)) == tokens, "other tokens"
    row = 4 + 2 * ((n_vocab + 1) // 2)
    rows = data[end:].view(np.uint16).reshape(n_chunk, n_ctx - HALF - 1, row)
    for chunk in rows:
        scale, least = np.ascontiguousarray(chunk[:, :4]).view(np.float32).T
        yield torch.from_numpy(chunk[:, 4:4 + n_vocab] * scale[:, None] + least[:, None])


class Distance:
    """How far distributions are from the reference's, over positions."""

    def __init__(self):
        self.kl, self.same_top, self.relative_rms = [], [], []

    def add(self, want, got, clipped):
        """Log-probabilities [positions, vocab_size] in F64."""
        self.kl += (want.exp() * (want - got)).sum(1).tolist()
        self.same_top += (want.argmax(1) == got.argmax(1)).tolist()
        for want, got, clipped in zip(want, got, clipped):
            difference = (got - want)[~clipped]
            spread = want - want.mean()
            rms = lambda x: float(x.square().mean().sqrt())
            self.relative_rms.append(rms(difference - difference.mean()) / rms(spread))

    def summary(self):
        return {"mean_kl": float(np.mean(self.kl)), "max_kl": float(np.max(self.kl)),
                "same_top": float(np.mean(self.same_top)),
                "mean_relative_rms": float(np.mean(self.relative_rms)),
                "max_relative_rms": float(np.max(self.relative_rms))}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("gguf", "llama_perplexity", "llama_version"):
        parser.add_argument(name)
    args = parser.parse_args()
    model, meta = make_golden.load_llama_gguf(args.gguf)
    assert not meta["tokenizer.ggml.add_bos_token"], "chunks would start with it"
    text = (WIKITEXT / "excerpt.txt").read_text(encoding="utf-8")
    tokens = make_golden.smollm2_tokenizer(meta).encode(text).ids
    tokens = tokens[:len(tokens) // CONTEXT * CONTEXT]
    nll, distance = [], Distance()
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder) / "base"
        f16 = llama_perplexity(args.llama_perplexity, args.gguf, "--kl-divergence-base", base)
        for i, got in enumerate(stored_logprobs(base, tokens)):
            chunk = tokens[i * CONTEXT:(i + 1) * CONTEXT]
            logits = make_golden.logits_of(model, chunk)[HALF:-1].double()
            want = logits.log_softmax(1)
            nll.append(-float(want.gather(1, torch.tensor(chunk[HALF + 1:])[:, None]).sum()))
            clipped = got <= got.amin(1, keepdim=True)
            distance.add(want, got.double(), clipped)
            print(i + 1, np.exp(sum(nll) / (len(nll) * (CONTEXT - HALF - 1))), f16[i], flush=True)
    q8_0 = llama_perplexity(args.llama_perplexity, args.gguf,
                            "-fa", "on", "-ctk", "q8_0", "-ctv", "q8_0")
    golden = {
        "text_sha256": sha256(WIKITEXT / "excerpt.txt"), "model_sha256": sha256(args.gguf),
        "context": CONTEXT,
        "transformers": {"nll": [round(x, 6) for x in nll]},
        "llama_cpp": {"version": args.llama_version,
                      "command": f"llama-perplexity -m MODEL -f excerpt.txt -c {CONTEXT} -t 2",
                      "f16": f16, "q8_0": q8_0},
        "llama_cpp_from_transformers": distance.summary(),
        "tokens": tokens,
    }
    print(json.dumps(golden["llama_cpp_from_transformers"]))
    make_golden.dump(WIKITEXT / "golden.json", golden)


if __name__ == "__main__":
    main()
