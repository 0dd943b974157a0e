"""all-MiniLM-L6-v2 as ONNX, for the peers of `cargo xtask bench embeddings`.

    minilm_to_onnx.py FOLDER OUT [--fused]

Reads the weights that ours reads and writes the graph that torch's exporter makes of the model in
transformers, with mean pooling and normalisation after it: token ids and a mask of any batch and
length in, embeddings out, F32. With --fused, ONNX Runtime's own optimizer for BERT has joined
attention, norms and biases into its own operators, which only ONNX Runtime reads.
"""

import argparse
import json
import math
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

OPSET = 17


class Graph:
    """Nodes and weights, in order; each method returns the name of what it makes."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def constant(self, array):
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, value):
        return self.constant(np.array(value, dtype=np.float32))

    def whole(self, *values):
        return self.constant(np.array(values, dtype=np.int64))

    def node(self, kind, *inputs, **attributes):
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


class Bert(Graph):
    """The layers of BERT."""

    def __init__(self, config, tensors):
        super().__init__()
        self.config, self.tensors = config, tensors
        self.heads = config["num_attention_heads"]
        self.head_dim = config["hidden_size"] // self.heads

    def linear(self, x, name):
        weight = self.constant(self.tensors[f"{name}.weight"].T)
        product = self.node("MatMul", x, weight)
        return self.node("Add", self.constant(self.tensors[f"{name}.bias"]), product)

    def norm(self, x, name):
        weight, bias = (self.constant(self.tensors[f"{name}.{part}"]) for part in ("weight", "bias"))
        epsilon = self.config["layer_norm_eps"]
        return self.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=epsilon)

    def embeddings(self, ids):
        """Token types are all 0, so their row is added to those of positions beforehand."""
        table = {
            name: self.tensors[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "position", "token_type")
        }
        words = self.node("Gather", self.constant(table["word"]), ids)
        length = self.node("Gather", self.node("Shape", ids), self.whole(1), axis=0)
        places = self.constant(table["position"] + table["token_type"][0])
        places = self.node("Slice", places, self.whole(0), length, self.whole(0))
        return self.norm(self.node("Add", words, places), "embeddings.LayerNorm")

    def hidden(self, mask):
        """What is added to scores: 0, and of padding the lowest number."""
        mask = self.node("Unsqueeze", mask, self.whole(1))
        mask = self.node("Unsqueeze", mask, self.whole(2))
        mask = self.node("Cast", mask, to=TensorProto.FLOAT)
        mask = self.node("Sub", self.number(1), mask)
        return self.node("Mul", mask, self.number(np.finfo(np.float32).min))

    def split(self, x, perm):
        shape = self.whole(0, 0, self.heads, self.head_dim)
        return self.node("Transpose", self.node("Reshape", x, shape), perm=perm)

    def attention(self, x, name, hidden):
        query = self.split(self.linear(x, f"{name}.self.query"), [0, 2, 1, 3])
        key = self.split(self.linear(x, f"{name}.self.key"), [0, 2, 3, 1])
        value = self.split(self.linear(x, f"{name}.self.value"), [0, 2, 1, 3])
        scores = self.node("MatMul", query, key)
        scores = self.node("Div", scores, self.number(math.sqrt(self.head_dim)))
        weights = self.node("Softmax", self.node("Add", scores, hidden), axis=-1)
        context = self.node("Transpose", self.node("MatMul", weights, value), perm=[0, 2, 1, 3])
        context = self.node("Reshape", context, self.whole(0, 0, self.heads * self.head_dim))
        out = self.linear(context, f"{name}.output.dense")
        return self.norm(self.node("Add", out, x), f"{name}.output.LayerNorm")

    def gelu(self, x):
        erf = self.node("Erf", self.node("Div", x, self.number(math.sqrt(2))))
        return self.node(
            "Mul", self.node("Mul", x, self.node("Add", erf, self.number(1))), self.number(0.5)
        )

    def layer(self, x, name, hidden):
        x = self.attention(x, f"{name}.attention", hidden)
        inner = self.gelu(self.linear(x, f"{name}.intermediate.dense"))
        out = self.linear(inner, f"{name}.output.dense")
        return self.norm(self.node("Add", out, x), f"{name}.output.LayerNorm")

    def pooled(self, x, mask):
        """The mean over tokens, with length 1, as sentence-transformers' modules make it."""
        mask = self.node("Cast", mask, to=TensorProto.FLOAT)
        mask = self.node("Unsqueeze", mask, self.whole(2))
        total = self.node("ReduceSum", self.node("Mul", x, mask), self.whole(1), keepdims=0)
        count = self.node("ReduceSum", mask, self.whole(1), keepdims=0)
        mean = self.node("Div", total, self.node("Max", count, self.number(1e-9)))
        norm = self.node("ReduceL2", mean, axes=[1], keepdims=1)
        return self.node("Div", mean, self.node("Max", norm, self.number(1e-12)))


def model(config, tensors):
    """The whole of it."""
    graph = Bert(config, tensors)
    hidden = graph.hidden("attention_mask")
    x = graph.embeddings("input_ids")
    for i in range(config["num_hidden_layers"]):
        x = graph.layer(x, f"encoder.layer.{i}", hidden)
    out = graph.pooled(x, "attention_mask")
    graph.nodes.append(helper.make_node("Identity", [out], ["embeddings"], name="last"))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    shape = ["batch", config["hidden_size"]]
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, shape)]
    made = helper.make_graph(graph.nodes, "minilm", inputs, outputs, graph.weights)
    made = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = 9  # what goes with the operators' version
    onnx.checker.check_model(made)
    return onnx.shape_inference.infer_shapes(made)


def fuse(path, config):
    """By the optimizer that ONNX Runtime ships; an error if it finds no attention."""
    from onnxruntime.transformers import optimizer

    sizes = {"num_heads": config["num_attention_heads"], "hidden_size": config["hidden_size"]}
    fused = optimizer.optimize_model(str(path), model_type="bert", opt_level=0, **sizes)
    kinds = [node.op_type for node in fused.model.graph.node]
    num = sum("Attention" in kind for kind in kinds)
    assert num == config["num_hidden_layers"], f"{num} attentions were joined: {sorted(set(kinds))}"
    fused.save_model_to_file(str(path))


def main():
    """Reads the arguments and writes the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--fused", action="store_true")
    args = parser.parse_args()
    config = json.loads((args.folder / "config.json").read_text())
    tensors = load_file(args.folder / "model.safetensors")
    onnx.save(model(config, tensors), args.out)
    if args.fused:
        fuse(args.out, config)


if __name__ == "__main__":
    main()
