"""A convolution and a bidirectional LSTM of random weights, each with its manifest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from model_zoo.manifest import Manifest, TensorSpec
from tests.model_zoo.samples import image_model, text_model, translation_model
from tests.runtime.graphs import Array, GraphBuilder
from tests.runtime.tiny_transformer import SPEC

CHANNELS, WIDTH, HIDDEN, CLASSES, VOCABULARY = 4, 6, 5, 2, 50
TOKENS = (
    TensorSpec(name="input_ids", dtype="int64", shape=("batch", "sequence")),
    TensorSpec(name="attention_mask", dtype="int64", shape=("batch", "sequence")),
)
LOGITS = TensorSpec(name="logits", dtype="float32", shape=("batch", CLASSES))


@dataclass(frozen=True)
class Text:
    """What the sentiment task hands to the runner."""

    ids: Array


def image_manifest() -> Manifest:
    return image_model()[0]


def text_manifest() -> Manifest:
    return text_model()[0].model_copy(update={"inputs": TOKENS, "outputs": (LOGITS,)})


def translation_manifest() -> Manifest:
    return translation_model()[0].model_copy(update={"preprocessing": SPEC})


def images(count: int) -> list[Array]:
    random = np.random.default_rng(1)
    return [random.normal(size=(3, 8, 8)).astype(np.float32) for _ in range(count)]


def texts(lengths: Sequence[int]) -> list[Text]:
    random = np.random.default_rng(1)
    return [Text(random.integers(1, VOCABULARY, length)) for length in lengths]


def image_graph(output: str = "y") -> bytes:
    """Convolution, ReLU, mean over the pixels, linear."""
    g, random = GraphBuilder(), np.random.default_rng(0)
    g.input("x", "float32", ["batch", 3, 8, 8])
    g.output(output, "float32", ["batch", CLASSES])
    kernel = g.constant(random.normal(size=(CHANNELS, 3, 3, 3)))
    seen = g.op("Relu", g.op("Conv", "x", kernel, pads=[1, 1, 1, 1]))
    pooled = g.op("Flatten", g.op("GlobalAveragePool", seen))
    g.op_to(output, "MatMul", pooled, g.constant(random.normal(size=(CHANNELS, CLASSES))))
    return g.serialize()


def text_graph() -> bytes:
    """Embedding, bidirectional LSTM, linear. The LSTM is told each text's length."""
    g, x_TNE, lengths = _embedded()
    weights, recurrent = (g.constant(w) for w in _lstm_weights())
    inputs = [x_TNE, weights, recurrent, "", g.op("Cast", lengths, to=6)]
    _, last = g.ops("LSTM", inputs, 2, direction="bidirectional", hidden_size=HIDDEN)
    joined = g.op("Reshape", g.op("Transpose", last, perm=[1, 0, 2]), g.ints(-1, 2 * HIDDEN))
    return _classified(g, joined)


def portable_text_graph() -> bytes:
    """The same function for providers whose LSTM disregards lengths.

    Both directions run forwards, one over each text turned around; the state is taken where the
    text ends, so what follows it does not matter.
    """
    g, x_TNE, lengths = _embedded()
    turned = g.op("ReverseSequence", x_TNE, lengths, batch_axis=1, time_axis=0)
    end = g.op("Unsqueeze", g.op("Sub", lengths, g.scalar(1)), g.ints(1))
    states = []
    for way, x in enumerate((x_TNE, turned)):
        weights, recurrent = (g.constant(w[way : way + 1]) for w in _lstm_weights())
        y_TDNH = g.ops("LSTM", [x, weights, recurrent], 2, hidden_size=HIDDEN)[0]
        y_NTH = g.op("Transpose", g.op("Squeeze", y_TDNH, g.ints(1)), perm=[1, 0, 2])
        states.append(g.op("GatherND", y_NTH, end, batch_dims=1))
    return _classified(g, g.op("Concat", *states, axis=-1))


def _embedded() -> tuple[GraphBuilder, str, str]:
    g = GraphBuilder()
    for tensor in TOKENS:
        g.input(tensor.name, tensor.dtype, tensor.shape)
    table = g.constant(np.random.default_rng(0).normal(size=(VOCABULARY, WIDTH)))
    x_TNE = g.op("Transpose", g.op("Gather", table, "input_ids"), perm=[1, 0, 2])
    return g, x_TNE, g.op("ReduceSum", "attention_mask", g.ints(1), keepdims=0)


def _lstm_weights() -> tuple[Array, Array]:
    random = np.random.default_rng(1)
    return random.normal(size=(2, 4 * HIDDEN, WIDTH)), random.normal(size=(2, 4 * HIDDEN, HIDDEN))


def _classified(g: GraphBuilder, state: str) -> bytes:
    weights = np.random.default_rng(2).normal(size=(2 * HIDDEN, CLASSES))
    g.op_to(LOGITS.name, "MatMul", state, g.constant(weights))
    g.output(LOGITS.name, LOGITS.dtype, LOGITS.shape)
    return g.serialize()


def endless_graph() -> bytes:
    """Counts to 2**60, which takes centuries."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["held", "one"], ["sum"]),
            helper.make_node("Identity", ["go"], ["going"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1]),
        ],
    )
    g = GraphBuilder()
    g.input("x", "float32", [1])
    g.output("y", "float32", [1])
    g.op_to("one", "Identity", g.constant([1.0]))
    turns, going = g.scalar(1 << 60), g.constant(True, np.bool_)
    g.op_to("y", "Loop", turns, going, "x", body=body)
    return g.serialize()
