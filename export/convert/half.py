"""Graphs in half precision, for GPUs: half the bytes, and on tensor cores several times as fast."""

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from model_zoo.manifest import Precision, Role


def in_half(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The same network in float16; inputs and outputs stay float32.

    A CPU has kernels for few of its operators, and ONNX Runtime computes the others in float32
    there: such a graph can be examined on any machine, and is slow without a GPU.
    """
    half = OnnxModel(convert_float_to_float16(graph, keep_io_types=True))
    half.topological_sort()  # the casts of the inputs were added at the end
    converted: onnx.ModelProto = half.model
    return converted


def half_variant(graph: onnx.ModelProto) -> dict[Precision, dict[Role, onnx.ModelProto]]:
    """The variant of a model of one graph, as recipes add it to others."""
    return {"fp16": {"model": in_half(graph)}}
