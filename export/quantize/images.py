"""Images in int8: static QDQ by ONNX Runtime's quantizer, a scale for each weight channel.

Which calibration suits is measured, not assumed: the caller tries several on validation data.
"""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


class _Batches(CalibrationDataReader):
    def __init__(self, name: str, batches: Sequence[NDArray[np.float32]]) -> None:
        self._feeds: Iterator[dict[str, NDArray[np.float32]]] = iter([{name: b} for b in batches])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._feeds, None)


def quantize_images(
    model: onnx.ModelProto, images_NCHW: NDArray[np.float32], method: str, batch: int = 50
) -> onnx.ModelProto:
    """An int8 copy, calibrated on these normalised images; the first convolution stays in float.

    The first convolution sees raw colours through filters of very different size: it costs one
    percent of the work and most of the error. `method`: minmax, percentile or entropy.
    """
    batches = np.array_split(images_NCHW, max(1, len(images_NCHW) // batch))
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    # A network without convolutions has its work in its full layers, a residual one nearly none.
    layers = ["Conv", "MaxPool", "Add", "Relu"] if convolutions else ["Gemm", "Relu"]
    # The quantizer prints its histograms and warns of its own ways: neither helps a reader.
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        source, ready, target = (str(Path(folder, f"{name}.onnx")) for name in "abc")
        onnx.save(model, source)
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            target,
            _Batches(model.graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # seven bits: see export.quantize.weights
            nodes_to_exclude=convolutions[:1],
            op_types_to_quantize=layers,
            calibrate_method=METHODS[method],
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        quantized = onnx.load(target)
    del quantized.graph.value_info[:]
    onnx.checker.check_model(quantized)
    return quantized
