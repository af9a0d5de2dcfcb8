"""A few lines over onnx.helper, to write the tests' graphs down as expressions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
Array = npt.NDArray[Any]
Shape = Sequence[int | str]
ELEMENTS = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
}


class GraphBuilder:
    """Collects nodes; every call of `op` returns the name of its first output."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, dtype: str, shape: Shape) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, ELEMENTS[dtype], list(shape)))
        return name

    def output(self, name: str, dtype: str, shape: Shape) -> str:
        self._outputs.append(helper.make_tensor_value_info(name, ELEMENTS[dtype], list(shape)))
        return name

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        array: Array = np.asarray(value, dtype)
        name = f"constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def written_out(self, value: Any, dtype: type) -> str:
        """A constant whose numbers are written one by one instead of as their bytes."""
        array: Array = np.asarray(value, dtype)
        name = f"constant_{len(self._constants)}"
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self._constants[name] = helper.make_tensor(name, kind, array.shape, array.flatten())
        return name

    def ints(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def scalar(self, value: int) -> str:
        return self.constant(value, np.int64)

    def ops(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        names = [f"{kind}_{len(self._nodes)}_{i}" for i in range(count)]
        self.node(kind, inputs, names, **attributes)
        return names

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.ops(kind, inputs, 1, **attributes)[0]

    def op_to(self, output: str, kind: str, *inputs: str, **attributes: Any) -> str:
        self.node(kind, inputs, [output], **attributes)
        return output

    def node(
        self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=name, **attributes))

    def serialize(self) -> bytes:
        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, "g", self._inputs, self._outputs, constants)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
        model: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        serialized: bytes = model.SerializeToString()
        return serialized
