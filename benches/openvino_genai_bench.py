"""One measurement of OpenVINO GenAI, for `cargo xtask bench cpu`.

Started once per measurement by the bench, in the environment that it made. The work is done once
to warm up, then measured; the last line of standard output is a JSON object with the figures.
Requests go straight to the continuous-batching pipeline as token ids: no HTTP, no tokenizer.
"""

import argparse
import json
import time
from statistics import median

import numpy as np
import openvino as ov
from openvino_genai import ContinuousBatchingPipeline, GenerationConfig, SchedulerConfig

SHARED = 1000  # tokens of the prefix that requests share
OWN = 32  # tokens after it that they do not
BLOCK = 32  # positions of a cache block on CPU


def token_ids(number, length):
    """Token ids that no other number has in the same places; ordinary words in any vocabulary."""
    ids = [1000 + (number * 104_729 + place * 7919) % 40_000 for place in range(length)]
    return ov.Tensor(np.array([ids], dtype=np.int64))


def after_prefix(prefix, number):
    """A shared prefix with an end of its own."""
    both = (token_ids(prefix, SHARED).data, token_ids(number, OWN).data)
    return ov.Tensor(np.concatenate(both, axis=1))


def run(pipeline, prompts, output_tokens):
    """Answers all prompts together.

    Returns, in seconds from before the first is handed in, when each had its first token, and when
    all were done.
    """
    config = GenerationConfig()
    config.max_new_tokens = output_tokens
    config.ignore_eos = True
    started = time.perf_counter()
    handles = [pipeline.add_request(i, prompt, config) for i, prompt in enumerate(prompts)]
    first, count = [None] * len(handles), [0] * len(handles)
    while pipeline.has_non_finished_requests():
        pipeline.step()
        for i, handle in enumerate(handles):
            if handle.can_read():
                count[i] += sum(len(out.generated_ids) for out in handle.read().values())
                first[i] = first[i] or time.perf_counter() - started
    total = time.perf_counter() - started
    assert count == [output_tokens] * len(handles), count
    return first, total


def resident_mb(field):
    """A field of this process's status in MB."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6


def measure(pipeline, args):
    """The figures of the work that was asked for."""
    if args.work == "start":
        run(pipeline, [token_ids(1, 4)], 1)
        return {}
    if args.work == "prefill":
        run(pipeline, [token_ids(0, args.tokens)], 1)
        turns = (run(pipeline, [token_ids(1 + i, args.tokens)], 1) for i in range(args.repeat))
        return {"tokens_per_s": args.tokens / median(first for (first,), _ in turns)}
    if args.work == "decode":
        run(pipeline, [token_ids(0, 128)], 16)
        prompts = (token_ids(1 + i, args.depth) for i in range(args.repeat))
        turns = (run(pipeline, [prompt], args.tokens + 1) for prompt in prompts)
        return {"tokens_per_s": args.tokens / median(total - first for (first,), total in turns)}
    if args.work == "engine":
        streams = range(args.streams)
        run(pipeline, [token_ids(i, 128) for i in streams], 8)
        _, total = run(pipeline, [token_ids(100 + i, 128) for i in streams], args.tokens)
        return {
            "tokens_per_s": args.streams * args.tokens / total,
            "resident_mb": resident_mb("VmRSS"),
            "peak_mb": resident_mb("VmHWM"),
        }
    assert args.work == "prefix"
    streams = range(args.streams)
    run(pipeline, [after_prefix(1, i) for i in streams], args.tokens)
    unseen, _ = run(pipeline, [after_prefix(2, i) for i in streams], args.tokens)
    seen, _ = run(pipeline, [after_prefix(2, 100 + i) for i in streams], args.tokens)
    return {
        "unseen_prefix_ms": median(unseen) * 1e3,
        "seen_prefix_ms": median(seen) * 1e3,
    }


def cache_blocks(args):
    """Room for what the work holds at once and a little more, so that memory is compared fairly."""
    length = {
        "start": 64,
        "prefill": args.tokens,
        "decode": args.depth + args.tokens,
        "engine": 128 + args.tokens,
        "prefix": SHARED + OWN + args.tokens,
    }[args.work]
    streams = args.streams if args.work in ("engine", "prefix") else 1
    return streams * (length // BLOCK + 2) + 64


def main():
    """Reads the arguments, builds the pipeline and prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["start", "prefill", "decode", "engine", "prefix"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=1, help="in (prefill) or out (the others)")
    parser.add_argument("--depth", type=int, default=128, help="positions before decoding begins")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1, help="prefill, decode: medians of these")
    parser.add_argument("--kv", default="u8", help="type of keys and values: u8, f16, bf16, f32")
    parser.add_argument("--arithmetic", default="f32", help="inference precision: f32, bf16, f16")
    parser.add_argument("--step-tokens", type=int, default=256, help="tokens of one step at most")
    args = parser.parse_args()
    scheduler = SchedulerConfig()
    scheduler.num_kv_blocks = cache_blocks(args)
    scheduler.max_num_batched_tokens = args.step_tokens
    scheduler.enable_prefix_caching = args.work == "prefix"
    properties = {
        "INFERENCE_NUM_THREADS": args.threads,
        "KV_CACHE_PRECISION": args.kv,
        "INFERENCE_PRECISION_HINT": args.arithmetic,
    }
    pipeline = ContinuousBatchingPipeline(args.model, scheduler, "CPU", properties)
    print(json.dumps(measure(pipeline, args)), flush=True)


if __name__ == "__main__":
    main()
