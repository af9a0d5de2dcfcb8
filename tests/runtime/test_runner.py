"""A manifest and its graphs become the runner that the task needs."""

from collections.abc import Sequence

import pytest

from service.runtime.errors import GraphMismatch, ProviderUnavailable
from service.runtime.runner import make_runner
from service.runtime.session import usable_providers
from service.runtime.slots import Generated
from tests.runtime.answers import assert_same
from tests.runtime.tiny_models import (
    image_graph,
    image_manifest,
    images,
    text_graph,
    text_manifest,
    texts,
    translation_manifest,
)
from tests.runtime.tiny_transformer import Sentence, Weights, decoder_graph, encoder_graph


def test_each_task_gets_its_runner() -> None:
    image = make_runner(image_manifest(), {"model": image_graph()})
    text = make_runner(text_manifest(), {"model": text_graph()})
    assert [row.shape for row in image.run(images(2))] == [(2,), (2,)]
    assert [row.shape for row in text.run(texts([3, 4, 5]))] == [(2,)] * 3
    assert image.placement["CPUExecutionProvider"] > 0


def test_a_translation_has_two_graphs(
    weights: Weights, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    graphs = {"encoder": encoder_graph(weights), "decoder": decoder_graph(weights)}
    runner = make_runner(translation_manifest(), graphs, slots=4)  # type: ignore[arg-type]
    assert_same(runner.run(sources), expected)
    runner.close()
    assert_same(runner.run(sources[:2]), expected[:2])


def test_an_error_names_the_model_and_the_graph(weights: Weights) -> None:
    with pytest.raises(GraphMismatch, match=r"^tiny/1: model graph: ONNX Runtime cannot open"):
        make_runner(image_manifest(), {"model": b"nothing"})
    graphs = {"encoder": encoder_graph(weights), "decoder": b"nothing"}
    with pytest.raises(GraphMismatch, match=r"/1: decoder graph: ONNX Runtime cannot open"):
        make_runner(translation_manifest(), graphs)  # type: ignore[arg-type]


@pytest.mark.skipif("cuda" in usable_providers(), reason="CUDA works here")
def test_strictly_asked_a_provider_that_does_not_run_is_an_error() -> None:
    with pytest.raises(ProviderUnavailable, match=r"^tiny/1: model graph: cuda does not run here"):
        make_runner(image_manifest(), {"model": image_graph()}, providers=["cuda"], strict=True)
