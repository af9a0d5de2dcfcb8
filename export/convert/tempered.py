"""Divides a finished graph's logits by a temperature, whatever the network behind them."""

import onnx
from onnx import helper

UNTEMPERED = "untempered_logits"


def tempered(graph: bytes, temperature: float) -> bytes:
    """The same graph with its first output divided; its name and shape stay."""
    model = onnx.load_from_string(graph)
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.input[:] = [UNTEMPERED if found == name else found for found in node.input]
        node.output[:] = [UNTEMPERED if found == name else found for found in node.output]
    kind = onnx.TensorProto.FLOAT
    factor = helper.make_tensor("inverse_temperature", kind, [], [1 / temperature])
    model.graph.initializer.append(factor)
    model.graph.node.append(helper.make_node("Mul", [UNTEMPERED, "inverse_temperature"], [name]))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
