"""Divides a finished graph's logits by a temperature, whatever the network behind them, and takes
label smoothing off before.

N items, T tokens, K classes.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.smoothing import BEND, level_of
from export.temperature import Temperature

UNTEMPERED, UNSMOOTHED = "untempered_logits", "unsmoothed_logits"
FACTOR = "inverse_temperature"
MASK = "attention_mask"


def tempered(graph: bytes, temperature: Temperature) -> bytes:
    """The same graph with its first output divided; its name and shape stay.

    Where the temperature goes with the length, it is that of each row's own tokens, as the
    `attention_mask` [N, T] has them: not that of the batch.
    """
    model = onnx.load_from_string(graph)
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.input[:] = [UNTEMPERED if found == name else found for found in node.input]
        node.output[:] = [UNTEMPERED if found == name else found for found in node.output]
    if temperature.exponent:
        _add_factors_of_lengths(model.graph, temperature)
    else:
        _add_constant(model.graph, FACTOR, np.float32(1 / temperature.value))
    if temperature.smoothing:
        classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        _add_unsmoothing(model.graph, level_of(temperature.smoothing, classes))
    logits = UNSMOOTHED if temperature.smoothing else UNTEMPERED
    model.graph.node.append(helper.make_node("Mul", [logits, FACTOR], [name]))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _add_factors_of_lengths(graph: onnx.GraphProto, temperature: Temperature) -> None:
    """[N, 1]: what temperature.of gives for one token, times tokens ^ exponent, upside down."""
    of_one_token = float(temperature.of(np.ones(1))[0])
    _add_constant(graph, "inverse_temperature_of_one_token", np.float32(1 / of_one_token))
    _add_constant(graph, "length_exponent", np.float32(-temperature.exponent))
    _add_constant(graph, "token_axis", np.array([1], np.int64))
    graph.node.extend(
        [
            helper.make_node("ReduceSum", [MASK, "token_axis"], ["token_count"], keepdims=1),
            helper.make_node("Cast", ["token_count"], ["token_total"], to=TensorProto.FLOAT),
            helper.make_node("Pow", ["token_total", "length_exponent"], ["length_factor"]),
            helper.make_node(
                "Mul", ["length_factor", "inverse_temperature_of_one_token"], [FACTOR]
            ),
        ]
    )


def _add_unsmoothing(graph: onnx.GraphProto, level: float) -> None:
    """[N, K]: what smoothing.unsmoothed gives."""
    _add_constant(graph, "smoothing_level", np.float32(level))
    _add_constant(graph, "smoothing_bend", np.float32((BEND * level) ** 2))
    _add_constant(graph, "one_half", np.float32(0.5))
    _add_constant(graph, "class_axis", np.array([1], np.int64))
    graph.node.extend(
        [
            helper.make_node("Softmax", [UNTEMPERED], ["smooth_probabilities"], axis=1),
            helper.make_node("Sub", ["smooth_probabilities", "smoothing_level"], ["above_level"]),
            helper.make_node("Mul", ["above_level", "above_level"], ["above_level_squared"]),
            helper.make_node("Add", ["above_level_squared", "smoothing_bend"], ["bent_squared"]),
            helper.make_node("Sqrt", ["bent_squared"], ["bent"]),
            helper.make_node("Add", ["above_level", "bent"], ["twice_kept"]),
            helper.make_node("Mul", ["twice_kept", "one_half"], ["kept"]),
            helper.make_node("Log", ["kept"], ["kept_logits"]),
            helper.make_node("ReduceLogSumExp", [UNTEMPERED, "class_axis"], ["negative_energy"]),
            helper.make_node("Add", ["kept_logits", "negative_energy"], [UNSMOOTHED]),
        ]
    )


def _add_constant(graph: onnx.GraphProto, name: str, value: np.generic | NDArray[np.int64]) -> None:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
