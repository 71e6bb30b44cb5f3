"""Writes a BERT encoder, stored as safetensors, as an ONNX graph (opset 17). Standard library only.

The graph is the textbook one: sum of embeddings, layer norm, then for each layer self-attention, residual, layer norm,
MLP with exact GELU, residual, layer norm. Inputs `input_ids` and `attention_mask`, output `last_hidden_state`;
one segment, so that the segment embedding is a constant. Pooling is the caller's.
"""

import json
import math
import struct
import sys
from array import array
from pathlib import Path

FLOAT, INT64 = 1, 7
ONNX_IR_VERSION = 8
ONNX_OPSET = 17


# --- protobuf, as far as ONNX needs it -------------------------------------------------------------------------------

def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def integer(field, number):
    return varint(field << 3) + varint(number)


def real(field, number):
    return varint(field << 3 | 5) + struct.pack("<f", number)


def blob(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name, dims, data_type, raw):
    head = b"".join(integer(1, dim) for dim in dims) + integer(2, data_type) + blob(8, name)
    return blob(5, head + blob(9, raw))


def attribute(name, value):
    if isinstance(value, float):
        return blob(5, blob(1, name) + real(2, value) + integer(20, 1))
    if isinstance(value, int):
        return blob(5, blob(1, name) + integer(3, value) + integer(20, 2))
    return blob(5, blob(1, name) + b"".join(integer(8, item) for item in value) + integer(20, 7))


def value_info(name, data_type, dims):
    shape = b"".join(blob(1, blob(2, dim) if isinstance(dim, str) else integer(1, dim)) for dim in dims)
    return blob(1, name) + blob(2, blob(1, integer(1, data_type) + blob(2, shape)))


# --- safetensors -----------------------------------------------------------------------------------------------------

class Weights:
    """The tensors of a safetensors file, by name; every one is checked to be 32-bit floats of the expected shape."""

    def __init__(self, path):
        self.content = path.read_bytes()
        (length,) = struct.unpack("<Q", self.content[:8])
        self.header = json.loads(self.content[8 : 8 + length])
        self.start = 8 + length

    def raw(self, name, *shape):
        entry = self.header[name]
        if entry["dtype"] != "F32" or tuple(entry["shape"]) != shape:
            raise ValueError(f"{name} is {entry['dtype']} {entry['shape']}, expected F32 {list(shape)}")
        begin, end = entry["data_offsets"]
        return self.content[self.start + begin : self.start + end]

    def transposed(self, name, rows, columns):
        values = array("f")
        values.frombytes(self.raw(name, rows, columns))
        out = array("f")
        for column in range(columns):
            out.extend(values[column::columns])
        return out.tobytes()


# --- the graph -------------------------------------------------------------------------------------------------------

class Graph:
    def __init__(self):
        self.nodes = []
        self.tensors = []

    def node(self, operator, inputs, output, **attributes):
        parts = [blob(1, name) for name in inputs] + [blob(2, output), blob(3, output), blob(4, operator)]
        parts += [attribute(name, value) for name, value in attributes.items()]
        self.nodes.append(blob(1, b"".join(parts)))
        return output

    def floats(self, name, raw, *dims):
        self.tensors.append(tensor(name, dims, FLOAT, raw))
        return name

    def number(self, name, value):
        return self.floats(name, struct.pack("<f", value))

    def integers(self, name, *values):
        self.tensors.append(tensor(name, [len(values)], INT64, struct.pack(f"<{len(values)}q", *values)))
        return name

    def model(self, inputs, outputs):
        graph = b"".join(self.nodes) + blob(2, "bert") + b"".join(self.tensors)
        graph += b"".join(blob(11, entry) for entry in inputs) + b"".join(blob(12, entry) for entry in outputs)
        return integer(1, ONNX_IR_VERSION) + blob(2, "specwave") + blob(7, graph) + blob(8, blob(1, "") + integer(2, ONNX_OPSET))


def convert(config, weights):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    if config["hidden_act"] != "gelu" or config["position_embedding_type"] != "absolute":
        raise ValueError("only BERT with exact GELU and absolute positions is known here")
    graph = Graph()
    integers, floats, node = graph.integers, graph.floats, graph.node

    def linear(name, source, output, rows, columns):
        weight = floats(f"{name}.weight", weights.transposed(f"{name}.weight", rows, columns), columns, rows)
        bias = floats(f"{name}.bias", weights.raw(f"{name}.bias", rows), rows)
        return node("Add", [node("MatMul", [source, weight], f"{output}.product"), bias], output)

    def norm(name, source, output):
        scale = floats(f"{name}.weight", weights.raw(f"{name}.weight", hidden), hidden)
        bias = floats(f"{name}.bias", weights.raw(f"{name}.bias", hidden), hidden)
        return node("LayerNormalization", [source, scale, bias], output, axis=-1, epsilon=config["layer_norm_eps"])

    one, half = graph.number("one", 1.0), graph.number("half", 0.5)
    root_half, scale = graph.number("root_half", math.sqrt(0.5)), graph.number("scale", 1 / math.sqrt(hidden // heads))
    split, join = integers("split", 0, 0, heads, hidden // heads), integers("join", 0, 0, hidden)

    # Padding tokens get a score so low that softmax makes it nothing.
    present = node("Cast", ["attention_mask"], "present", to=FLOAT)
    present = node("Unsqueeze", [present, integers("mask_axes", 1, 2)], "present.wide")
    mask = node("Mul", [node("Sub", [one, present], "absent"), graph.number("lowest", -1e9)], "mask")

    prefix = "embeddings"
    words = floats("words", weights.raw(f"{prefix}.word_embeddings.weight", config["vocab_size"], hidden), config["vocab_size"], hidden)
    places = floats(
        "places",
        weights.raw(f"{prefix}.position_embeddings.weight", config["max_position_embeddings"], hidden),
        config["max_position_embeddings"],
        hidden,
    )
    segments = weights.raw(f"{prefix}.token_type_embeddings.weight", config["type_vocab_size"], hidden)
    segment = floats("segment", segments[: hidden * 4], hidden)
    length = node("Gather", [node("Shape", ["input_ids"], "shape"), integers("second", 1)], "length", axis=0)
    zero = integers("zero", 0)
    place = node("Slice", [places, zero, length, zero], "place")
    state = node("Add", [node("Gather", [words, "input_ids"], "word", axis=0), place], "word.placed")
    state = norm(f"{prefix}.LayerNorm", node("Add", [state, segment], "word.summed"), "layer.start")

    for index in range(layers):
        name, to = f"encoder.layer.{index}", f"layer.{index}"

        def head(part, perm):
            flat = linear(f"{name}.attention.self.{part}", state, f"{to}.{part}", hidden, hidden)
            return node("Transpose", [node("Reshape", [flat, split], f"{to}.{part}.split"), ], f"{to}.{part}.heads", perm=perm)

        query, key, value = head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1]), head("value", [0, 2, 1, 3])
        scores = node("Mul", [node("MatMul", [query, key], f"{to}.dots"), scale], f"{to}.scores")
        shares = node("Softmax", [node("Add", [scores, mask], f"{to}.masked")], f"{to}.shares", axis=-1)
        mixed = node("Transpose", [node("MatMul", [shares, value], f"{to}.mixed")], f"{to}.mixed.heads", perm=[0, 2, 1, 3])
        mixed = node("Reshape", [mixed, join], f"{to}.joined")
        out = linear(f"{name}.attention.output.dense", mixed, f"{to}.attention", hidden, hidden)
        state = norm(f"{name}.attention.output.LayerNorm", node("Add", [out, state], f"{to}.attention.sum"), f"{to}.attended")

        wide = linear(f"{name}.intermediate.dense", state, f"{to}.wide", inner, hidden)
        bell = node("Erf", [node("Mul", [wide, root_half], f"{to}.wide.scaled")], f"{to}.erf")
        bell = node("Mul", [node("Mul", [wide, node("Add", [bell, one], f"{to}.erf.one")], f"{to}.gelu.double"), half], f"{to}.gelu")
        out = linear(f"{name}.output.dense", bell, f"{to}.narrow", hidden, inner)
        last = "last_hidden_state" if index == layers - 1 else f"{to}.state"
        state = norm(f"{name}.output.LayerNorm", node("Add", [out, state], f"{to}.narrow.sum"), last)

    return graph.model(
        [value_info(name, INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")],
        [value_info("last_hidden_state", FLOAT, ["batch", "length", hidden])],
    )


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: minilm_to_onnx.py MODEL_DIRECTORY OUTPUT.onnx")
    source = Path(sys.argv[1])
    config = json.loads((source / "config.json").read_text())
    Path(sys.argv[2]).write_bytes(convert(config, Weights(source / "model.safetensors")))


if __name__ == "__main__":
    main()
