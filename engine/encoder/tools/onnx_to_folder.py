#!/usr/bin/env python3
"""Makes a Hugging Face folder of a BERT classifier in ONNX, as torch's exporter writes it from
transformers, in F32 or quantised by ONNX Runtime to bytes. Needs nothing but Python.

    engine/encoder/tools/onnx_to_folder.py MODEL.onnx TOKENIZER.json OUT [LABEL ...]

What is quantised becomes (byte - zero point) * scale in F32; activations, which ONNX Runtime rounds
to bytes as it computes, have no part in it. Without labels, two logits become one, the second less
the first: the sigmoid of that is the second's softmax.
"""
import array
import json
import pathlib
import struct
import sys

FLOAT, UINT8, INT64 = 1, 2, 7  # onnx.TensorProto.DataType
SCORE = ["LABEL_0"]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def varints(data):
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def fields(data):
    """Numbers and values of a protocol buffer's fields."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


class Tensor:
    """An initializer."""

    def __init__(self, data):
        self.dims, self.kind, self.name, self.data = [], None, "", b""
        for field, value in fields(data):
            if field == 1:
                self.dims += [value] if isinstance(value, int) else varints(value)
            elif field == 2:
                self.kind = value
            elif field == 4:
                self.data += bytes(value)  # packed floats are their bytes
            elif field == 5:
                self.data += bytes([value] if isinstance(value, int) else varints(value))
            elif field == 8:
                self.name = bytes(value).decode()
            elif field == 9:
                self.data = bytes(value)

    def number(self):
        return struct.unpack({FLOAT: "<f", INT64: "<q", UINT8: "B"}[self.kind], self.data)[0]

    def transposed(self):
        rows, cols = self.dims
        numbers = array.array("f" if self.kind == FLOAT else "B", self.data)
        assert len(numbers) == rows * cols, self.name
        self.data = b"".join(numbers[col::cols].tobytes() for col in range(cols))
        self.dims = [cols, rows]
        return self

    def restored(self, scale, zero):
        table = [struct.pack("<f", (byte - zero) * scale) for byte in range(256)]
        self.data, self.kind = b"".join(map(table.__getitem__, self.data)), FLOAT
        return self


class Onnx:
    """A model's tensors by name, and its nodes."""

    def __init__(self, path):
        [graph] = [value for field, value in fields(memoryview(path.read_bytes())) if field == 7]
        self.tensors, self.nodes = {}, []
        for field, value in fields(graph):
            if field == 5:
                tensor = Tensor(value)
                self.tensors[tensor.name] = tensor
            elif field == 1:
                parts = list(fields(value))
                name, kind = (bytes(next(v for f, v in parts if f == of)).decode() for of in (3, 4))
                self.nodes.append((kind, name, [bytes(v).decode() for f, v in parts if f == 1]))

    def full(self, name):
        """A tensor in F32, restored if it is quantised."""
        if name in self.tensors:
            return self.tensors[name]
        parts = (self.tensors[f"{name}_{part}"] for part in ("quantized", "scale", "zero_point"))
        tensor, scale, zero = parts
        assert tensor.kind == UINT8
        return tensor.restored(scale.number(), zero.number())

    def weights(self):
        """As transformers names them. Of a product the other way round the node has the name, whose
        path is that of the module: /bert/pooler/dense/Gemm_MatMul."""
        names = {name.removesuffix("_quantized") for name in self.tensors}
        products = {}
        for kind, name, inputs in self.nodes:
            weight = inputs[1].removesuffix("_quantized") if len(inputs) > 1 else ""
            if kind in ("MatMul", "MatMulInteger") and weight in names:
                products[weight] = ".".join(name.split("/")[1:-1]) + ".weight"
        plain = {name for name in names - set(products) if name.startswith(("bert.", "classifier."))
                 and name.endswith((".weight", ".bias"))}
        weights = {name: self.full(name) for name in plain}
        return weights | {to: self.full(name).transposed() for name, to in products.items()}

    def heads(self):
        """The numbers by which queries are split: heads, and how long each is."""
        for kind, name, inputs in self.nodes:
            if kind == "Concat" and name.endswith("layer.0/attention/self/Concat"):
                return [self.tensors[part].number() for part in inputs[2:]]
        raise ValueError("no queries are split in it")


def difference(tensor):
    """The second row, or number, less the first."""
    numbers = array.array("f", tensor.data)
    half = len(numbers) // 2
    tensor.data = array.array("f", (b - a for a, b in zip(numbers, numbers[half:]))).tobytes()
    tensor.dims = [1, *tensor.dims[1:]]


def config(onnx, weights, labels):
    vocab_size, hidden_size = weights["bert.embeddings.word_embeddings.weight"].dims
    num_heads, head_dim = onnx.heads()
    assert num_heads * head_dim == hidden_size and any(kind == "Erf" for kind, *_ in onnx.nodes)
    layers = {name.split(".")[3] for name in weights if name.startswith("bert.encoder.layer.")}
    return {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": len(layers),
        "num_attention_heads": num_heads,
        "intermediate_size": weights["bert.encoder.layer.0.intermediate.dense.bias"].dims[0],
        "hidden_act": "gelu",
        "layer_norm_eps": onnx.tensors["/bert/embeddings/LayerNorm/Constant_1_output_0"].number(),
        "max_position_embeddings": weights["bert.embeddings.position_embeddings.weight"].dims[0],
        "type_vocab_size": weights["bert.embeddings.token_type_embeddings.weight"].dims[0],
        "pad_token_id": 0,
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }


def write_safetensors(path, weights):
    header, at = {}, 0
    for name, tensor in sorted(weights.items()):
        assert tensor.kind == FLOAT, name
        offsets = [at, at + len(tensor.data)]
        header[name] = {"dtype": "F32", "shape": tensor.dims, "data_offsets": offsets}
        at = offsets[1]
    header = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for _, tensor in sorted(weights.items()):
            file.write(tensor.data)


def main():
    model, tokenizer, out = map(pathlib.Path, sys.argv[1:4])
    labels = sys.argv[4:]
    onnx = Onnx(model)
    weights = onnx.weights()
    if not labels:
        difference(weights["classifier.weight"])
        difference(weights["classifier.bias"])
    out.mkdir(parents=True, exist_ok=True)
    told = config(onnx, weights, labels or SCORE)
    (out / "config.json").write_text(json.dumps(told, indent=2) + "\n")
    write_safetensors(out / "model.safetensors", weights)
    (out / "tokenizer.json").write_bytes(tokenizer.read_bytes())


if __name__ == "__main__":
    main()
