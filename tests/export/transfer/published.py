"""Tiny networks as `open_source` would give them after publishing, without a catalog."""

from collections.abc import Sequence

import onnx

from export.transfer.source import Published, constants_of
from model_zoo.manifest import TranslationInput
from tests.model_zoo.samples import text_model


def published(
    graphs: Sequence[onnx.ModelProto],
    labels: Sequence[str] = (),
    spec: TranslationInput | None = None,
) -> Published:
    constants = {name: value for graph in graphs for name, value in constants_of(graph).items()}
    plain, _ = text_model()
    manifest = plain.model_copy(
        update={"labels": tuple(labels), "preprocessing": spec or plain.preprocessing}
    )
    return Published("tiny", constants, manifest, tokenizer=None)
