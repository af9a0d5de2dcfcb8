"""The forward checks on OpenVINO, in an environment that has onnxruntime-openvino."""

from collections.abc import Sequence

import pytest

from service.runtime.generate import Generator
from service.runtime.session import open_session, usable_providers
from service.runtime.slots import Generated
from tests.runtime import forward_checks
from tests.runtime.answers import assert_same
from tests.runtime.forward_checks import PORTABLE, open_case
from tests.runtime.tiny_transformer import SPEC, Sentence, Weights, decoder_graph, encoder_graph

pytestmark = pytest.mark.skipif(
    "openvino" not in usable_providers(),
    reason="onnxruntime-openvino is not installed; it excludes plain onnxruntime",
)
portable = pytest.mark.parametrize("kind", PORTABLE)


@portable
def test_openvino_runs_the_graph_and_is_reported(kind: str) -> None:
    assert open_case(kind, "openvino").placement["OpenVINOExecutionProvider"] > 0


@portable
def test_an_item_alone_is_the_same_as_in_a_batch(kind: str) -> None:
    forward_checks.check_alone_is_in_a_batch(kind, "openvino")


@portable
def test_rows_are_those_of_the_cpu_provider(kind: str) -> None:
    forward_checks.check_rows_are_those_of_the_cpu(kind, "openvino")


@pytest.mark.xfail(strict=True, reason="OpenVINO's LSTM disregards the lengths: no such variant")
def test_an_lstm_that_is_told_the_lengths_keeps_to_them() -> None:
    forward_checks.check_rows_are_those_of_the_cpu("text", "openvino")


def test_a_translation_is_the_oracles(
    weights: Weights, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    encoder = open_session(encoder_graph(weights), providers=["openvino"], strict=True)
    decoder = open_session(decoder_graph(weights), providers=["openvino"], strict=True)
    assert_same(Generator(encoder, decoder, SPEC).run(sources), expected)
