"""One measurement of ONNX Runtime or OpenVINO with all-MiniLM-L6-v2, for `cargo xtask bench
embeddings`.

Started once per measurement by the bench, in the environment that it made. A batch of texts of one
length goes from token ids to embeddings once to warm up, then as often as is asked for; the last
line of standard output is a JSON object with the median rate and the embeddings.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

OUTPUT = "embeddings"


def onnxruntime(args, _shape):
    """A function for each part of the batch."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads // args.parts
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])

    def encode(ids, mask):
        return session.run([OUTPUT], {"input_ids": ids, "attention_mask": mask})[0]

    return [encode] * args.parts


def openvino(args, shape):
    """The same."""
    import openvino as ov

    core = ov.Core()
    can = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert args.arithmetic.upper() in [*can, "F32"], f"this machine has {can}"
    model = core.read_model(args.model)
    if args.fixed:
        model.reshape({name: ov.PartialShape(shape) for name in ("input_ids", "attention_mask")})
    properties = {
        "INFERENCE_PRECISION_HINT": args.arithmetic,
        "INFERENCE_NUM_THREADS": args.threads,
        "NUM_STREAMS": args.parts,
        "ENABLE_HYPER_THREADING": True,
    }
    compiled = core.compile_model(model, "CPU", properties)

    def encoder():
        request = compiled.create_infer_request()

        def encode(ids, mask):
            inputs = {"input_ids": ids, "attention_mask": mask}
            return request.infer(inputs, share_inputs=True, share_outputs=True)[OUTPUT]

        return encode

    return [encoder() for _ in range(args.parts)]


def main():
    """Reads the arguments, measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=["onnxruntime", "openvino"])
    parser.add_argument("--model", required=True, help="an ONNX file")
    parser.add_argument("--tokens", required=True, help="JSON: [[[id]]], one batch of texts")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeat", type=int, required=True)
    parser.add_argument("--parts", type=int, default=1, help="parts of a batch, side by side")
    parser.add_argument("--fixed", action="store_true", help="compile for this shape alone")
    parser.add_argument("--arithmetic", default="f32", help="of OpenVINO: f32, bf16")
    args = parser.parse_args()
    with open(args.tokens, encoding="ascii") as file:
        [batch] = json.load(file)
    ids = np.array(batch, dtype=np.int64)
    assert len(batch) % args.parts == 0 and args.threads % args.parts == 0
    parts = [(part, np.ones_like(part)) for part in np.split(ids, args.parts)]
    encoders = {"onnxruntime": onnxruntime, "openvino": openvino}[args.peer](args, parts[0][0].shape)
    pool = ThreadPoolExecutor(args.parts)

    def encode():
        if len(parts) == 1:
            return [encoders[0](*parts[0])]
        return list(pool.map(lambda encoder, part: encoder(*part), encoders, parts))

    vectors = np.concatenate([np.array(rows) for rows in encode()])
    times = []
    for _ in range(args.repeat):
        started = time.perf_counter()
        encode()
        times.append(time.perf_counter() - started)
    rows = [{"tokens_per_second": ids.size / median(times)}]
    print(json.dumps({"rows": rows, "vectors": vectors.tolist()}), flush=True)


if __name__ == "__main__":
    main()
