"""Tiny networks as `open_source` would give them after publishing, without a catalog."""

from collections.abc import Sequence

import onnx
import torch
from onnx import numpy_helper

from export.transfer.source import Published
from model_zoo.manifest import TranslationInput
from tests.model_zoo.samples import text_model


def published(
    graphs: Sequence[onnx.ModelProto],
    labels: Sequence[str] = (),
    spec: TranslationInput | None = None,
) -> Published:
    constants = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for graph in graphs
        for tensor in graph.graph.initializer
    }
    plain, _ = text_model()
    manifest = plain.model_copy(
        update={"labels": tuple(labels), "preprocessing": spec or plain.preprocessing}
    )
    return Published("tiny", constants, manifest, tokenizer=None)
