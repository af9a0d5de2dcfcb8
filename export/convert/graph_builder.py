"""Writes an ONNX graph node by node: short names for the few operators that Slipway needs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
IR_VERSION = 10
CONTRIB = "com.microsoft"
Axis = int | str


class GraphBuilder:
    """Collects nodes and constants; every method that adds a node returns its output's name.

    `prefix` begins the names that are made up: those of a branch must differ from those around it.
    """

    def __init__(self, name: str, prefix: str = "") -> None:
        self._name = name
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, shape: Sequence[Axis]) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: int, shape: Sequence[Axis]) -> str:
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def integers(self, *values: int) -> str:
        return self.constant(f"ints_{'_'.join(map(str, values))}", np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        return self.constant(f"float_{value}", np.float32(value))

    def integer(self, value: int) -> str:
        return self.constant(f"int_{value}", np.int64(value))

    def node(
        self, operator: str, inputs: Sequence[str], *, out: str = "", domain: str = "", **more: Any
    ) -> str:
        """Add an operator with one output, named `out` where it is an output of the graph."""
        return self.nodes(operator, inputs, [out], domain=domain, **more)[0]

    def nodes(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        domain: str = "",
        **more: Any,
    ) -> list[str]:
        """Add an operator with several outputs; an empty name is made up."""
        number = len(self._nodes)
        label = f"{self._prefix}{operator}_{number}"
        names = [name or f"{label}_{i}" for i, name in enumerate(outputs)]
        self._nodes.append(
            helper.make_node(operator, list(inputs), names, name=label, domain=domain, **more)
        )
        return names

    def split(self, value: str, parts: int, axis: int = -1) -> list[str]:
        return self.nodes("Split", [value], [""] * parts, axis=axis, num_outputs=parts)

    def reshape(self, value: str, *shape: int) -> str:
        return self.node("Reshape", [value, self.integers(*shape)])

    def linear(
        self, value: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """value @ weight + bias; the pair of nodes that static quantization turns into one."""
        product = self.node("MatMul", [value, self.constant(f"{name}.weight", weight)])
        return self.node("Add", [product, self.constant(f"{name}.bias", bias)])

    def graph(self) -> onnx.GraphProto:
        """What was collected; as a branch of another graph's operator it may name values of that
        graph."""
        return helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, list(self._constants.values())
        )

    def model(self) -> onnx.ModelProto:
        """The checked model. Raises onnx.checker.ValidationError where the graph is unsound."""
        model = helper.make_model(
            self.graph(),
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)],
            ir_version=IR_VERSION,
            producer_name="slipway",
        )
        onnx.checker.check_model(model)
        return model


FLOAT, INT64, INT32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32
INT8 = TensorProto.INT8
