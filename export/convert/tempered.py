"""Divides a finished graph's logits by a temperature, whatever the network behind them.

N items, T tokens.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.temperature import Temperature

UNTEMPERED, FACTOR = "untempered_logits", "inverse_temperature"
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
    model.graph.node.append(helper.make_node("Mul", [UNTEMPERED, FACTOR], [name]))
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


def _add_constant(graph: onnx.GraphProto, name: str, value: np.generic | NDArray[np.int64]) -> None:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
