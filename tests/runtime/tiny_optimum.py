"""The tiny translation model once more, as the graphs that Hugging Face Optimum would export.

Padded sentences with a mask; a decoder without positions or mask of its own, in a first step and
later ones, or both merged by an If. B rows, S source and T target positions, E width.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model_zoo.manifest import Role
from model_zoo.preprocessing import OptimumInput
from service.runtime.session import Session, open_session
from tests.runtime import tiny_transformer as tiny
from tests.runtime.graphs import ELEMENTS
from tests.runtime.tiny_transformer import HEAD, HEADS, LAYERS, WIDTH, Layers, Weights

SPEC = tiny.SPEC.model_copy(update={"optimum": OptimumInput()})
LOWEST = float(np.finfo(np.float32).min)
LAYOUTS = ("merged", "split")


class _Padded(Layers):
    """Layers over rows: [B, T, E]."""

    def heads(self, x_BTE: str) -> str:
        split = self.op("Reshape", x_BTE, self.ints(0, 0, HEADS, HEAD))
        return self.op("Transpose", split, perm=[0, 2, 1, 3])

    def split_heads(self, x: str, count: int) -> list[str]:
        return [
            self.heads(part) for part in self.ops("Split", [x], count, axis=-1, num_outputs=count)
        ]

    def attend(self, q: str, k: str, v: str, mask: str | None = None) -> str:
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self.op("Mul", scores, self.constant(1 / np.sqrt(HEAD)))
        if mask is not None:
            scores = self.op("Add", scores, mask)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        return self.op(
            "Reshape", self.op("Transpose", mixed, perm=[0, 2, 1, 3]), self.ints(0, 0, WIDTH)
        )

    def padding_mask(self, mask_BS: str) -> str:
        """0 where a token is real, the lowest number where it is padding: [B, 1, 1, S]."""
        real = self.op("Equal", mask_BS, self.scalar(1))
        added = self.op("Where", real, self.constant(0.0), self.constant(LOWEST))
        return self.op("Unsqueeze", added, self.ints(1, 2))

    def embed_from(self, positions: str, past: str, length: str) -> str:
        tokens = self.op("Gather", self.constant(self._weights.tables["tokens"]), "input_ids")
        places = self.op("Range", past, self.op("Add", past, length), self.scalar(1))
        return self.op(
            "Add", tokens, self.op("Gather", self.constant(self._weights.tables[positions]), places)
        )

    def size(self, tensor: str, axis: int) -> str:
        return self.op("Squeeze", self.op("Shape", tensor, start=axis, end=axis + 1))


def encoder_graph(weights: Weights, states: str = "float32") -> bytes:
    g = _Padded(weights)
    g.input("input_ids", "int64", ["batch_size", "encoder_sequence_length"])
    g.input("attention_mask", "int64", ["batch_size", "encoder_sequence_length"])
    g.output("last_hidden_state", states, ["batch_size", "encoder_sequence_length", WIDTH])
    mask = g.padding_mask("attention_mask")
    x = g.embed_from("source positions", g.scalar(0), g.size("input_ids", 1))
    for layer in range(LAYERS):
        q, k, v = g.split_heads(g.linear(f"encoder {layer} qkv", g.normal(x)), 3)
        x = g.op("Add", x, g.linear(f"encoder {layer} out", g.attend(q, k, v, mask)))
        x = g.feed_forward(f"encoder {layer}", x)
    g.op_to("last_hidden_state", "Cast", g.normal(x), to=ELEMENTS[states])
    return g.serialize()


def decoder_graph(weights: Weights, *, with_past: bool) -> bytes:
    """The first step, or with the past the later ones."""
    g = _Padded(weights)
    source = "encoder_sequence_length"
    g.input("encoder_attention_mask", "int64", ["batch_size", source])
    g.input("input_ids", "int64", ["batch_size", 1 if with_past else "decoder_sequence_length"])
    if not with_past:
        g.input("encoder_hidden_states", "float32", ["batch_size", source, WIDTH])
    g.output("logits", "float32", ["batch_size", "decoder_sequence_length", tiny.VOCABULARY])
    for name in _caches("past_key_values") if with_past else ():
        g.input(name, "float32", ["batch_size", HEADS, "past", HEAD])
    for name in _caches("present", *(["decoder"] if with_past else ["decoder", "encoder"])):
        g.output(name, "float32", ["batch_size", HEADS, "longer", HEAD])
    mask = g.padding_mask("encoder_attention_mask")
    past = g.size("past_key_values.0.decoder.key", 2) if with_past else g.scalar(0)
    x = g.embed_from("target positions", past, g.size("input_ids", 1))
    for i in range(LAYERS):
        q, k, v = g.split_heads(g.linear(f"decoder {i} qkv", g.normal(x)), 3)
        if with_past:
            k = g.op("Concat", f"past_key_values.{i}.decoder.key", k, axis=2)
            v = g.op("Concat", f"past_key_values.{i}.decoder.value", v, axis=2)
        g.op_to(f"present.{i}.decoder.key", "Identity", k)
        g.op_to(f"present.{i}.decoder.value", "Identity", v)
        x = g.op("Add", x, g.linear(f"decoder {i} out", g.attend(q, k, v)))
        if with_past:
            k, v = (f"past_key_values.{i}.encoder.{part}" for part in ("key", "value"))
        else:
            k, v = g.split_heads(g.linear(f"cross {i} kv", "encoder_hidden_states"), 2)
            g.op_to(f"present.{i}.encoder.key", "Identity", k)
            g.op_to(f"present.{i}.encoder.value", "Identity", v)
        q = g.heads(g.linear(f"cross {i} q", g.normal(x)))
        x = g.op("Add", x, g.linear(f"cross {i} out", g.attend(q, k, v, mask)))
        x = g.feed_forward(f"decoder {i}", x)
    g.op_to("logits", "Identity", g.linear("head", g.normal(x)))
    return g.serialize()


def merged_graph(weights: Weights) -> bytes:
    """Both decoders in one graph; the later steps give nothing in place of the source's caches."""
    first = onnx.load_from_string(decoder_graph(weights, with_past=False)).graph
    later = onnx.load_from_string(decoder_graph(weights, with_past=True)).graph
    nothing = numpy_helper.from_array(np.zeros((0, HEADS, 1, HEAD), np.float32))
    for name in _caches("present", "encoder"):
        later.node.append(helper.make_node("Constant", [], [name], value=nothing))
        later.output.append(_real(name, [0, HEADS, 1, HEAD]))
    names = [output.name for output in first.output]
    outputs = {output.name: output for output in later.output}
    del later.output[:]
    later.output.extend(outputs[name] for name in names)
    inputs = [
        *first.input,
        *(_real(n, ["batch_size", HEADS, "past", HEAD]) for n in _caches("past_key_values")),
    ]
    inputs.append(helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1]))
    for branch, graph in (("later", later), ("first", first)):
        del graph.input[:]
        graph.name = branch
    node = helper.make_node("If", ["use_cache_branch"], names, then_branch=later, else_branch=first)
    shapes: Mapping[str, list[int | str]] = {"logits": ["batch_size", "T", tiny.VOCABULARY]}
    any_cache: list[int | str] = ["B", HEADS, "T", HEAD]
    found = [_real(name, shapes.get(name, any_cache)) for name in names]
    merged = helper.make_graph([node], "merged", inputs, found)
    model = helper.make_model(merged, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


def graphs(weights: Weights, layout: str) -> dict[Role, bytes]:
    """The graphs of one of the LAYOUTS by role."""
    if layout == "merged":
        return {"encoder": encoder_graph(weights), "decoder": merged_graph(weights)}
    return {
        "encoder": encoder_graph(weights),
        "decoder": decoder_graph(weights, with_past=False),
        "decoder_with_past": decoder_graph(weights, with_past=True),
    }


def sessions(weights: Weights, layout: str) -> dict[Role, Session]:
    return {role: open_session(graph) for role, graph in graphs(weights, layout).items()}


def _caches(kind: str, *sides: str) -> list[str]:
    return [
        f"{kind}.{i}.{side}.{part}"
        for i in range(LAYERS)
        for side in sides or ("decoder", "encoder")
        for part in ("key", "value")
    ]


def _real(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
