"""Graphs that are not quite Optimum's are refused with the tensor's name."""

import numpy as np
import pytest

from service.runtime.errors import GraphMismatch
from service.runtime.optimum import Memory, OptimumGraphs, decoder_shape
from service.runtime.session import open_session
from tests.runtime.tiny_optimum import LAYOUTS, SPEC, encoder_graph, sessions
from tests.runtime.tiny_transformer import BOS, HEAD, HEADS, LAYERS, VOCABULARY, Weights
from tests.runtime.tiny_transformer import decoder_graph as slot_decoder_graph


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_shape_of_the_network_is_read_off_the_decoder(weights: Weights, layout: str) -> None:
    assert decoder_shape(sessions(weights, layout)) == (LAYERS, HEADS, HEAD, VOCABULARY)


def test_a_merged_decoder_is_one_session(weights: Weights) -> None:
    assert len(OptimumGraphs(sessions(weights, "merged"), SPEC).sessions) == 2
    assert len(OptimumGraphs(sessions(weights, "split"), SPEC).sessions) == 3


def test_a_decoder_without_its_past_says_how_to_export_it(weights: Weights) -> None:
    opened = sessions(weights, "split")
    del opened["decoder_with_past"]
    for look in (decoder_shape, lambda found: OptimumGraphs(found, SPEC)):
        with pytest.raises(GraphMismatch, match="text2text-generation-with-past"):
            look(opened)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("layers", 3, r"present\.2\.decoder\.key.* is missing"),
        ("layers", 1, r"past_key_values\.1\.decoder\.key.* is not promised"),
        ("heads", 4, r"present\.0\.decoder\.key.* promised is float32\[B, 4, T, 16\]"),
        ("head_size", 8, r"present\.0\.encoder\.value.* promised is float32\[B, 2, S, 8\]"),
        ("vocabulary", 512, r"logits.* promised is float32\[B, 1, 512\]"),
    ],
)
def test_every_tensor_is_held_against_the_manifest(
    weights: Weights, layout: str, field: str, value: int, says: str
) -> None:
    with pytest.raises(GraphMismatch, match=says):
        OptimumGraphs(sessions(weights, layout), SPEC.model_copy(update={field: value}))


def test_graphs_of_other_precision_are_fed_in_theirs(weights: Weights) -> None:
    opened = sessions(weights, "merged")
    half = opened | {"encoder": open_session(encoder_graph(weights, "float16"))}
    ids, mask = np.array([[5, 6, 7, 2], [8, 2, 0, 0]]), np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    logits = []
    for each in (opened, half):
        graphs = OptimumGraphs(each, SPEC)
        memory = Memory(graphs.encode(ids, mask), mask)
        newest = np.array([BOS, BOS])
        first, caches = graphs.begin(newest, memory)
        second, _ = graphs.go_on(newest, memory, caches)
        logits.append(np.stack([first, second]))
    assert memory.states.dtype == np.float16
    assert logits[0] == pytest.approx(logits[1], abs=0.02)
    assert (logits[0] != logits[1]).any()


def test_graphs_of_another_kind_are_refused(weights: Weights) -> None:
    opened, other = sessions(weights, "split"), open_session(slot_decoder_graph(weights))
    with pytest.raises(GraphMismatch, match="use_cache_branch"):
        OptimumGraphs({"encoder": opened["encoder"], "decoder": other}, SPEC)
    with pytest.raises(GraphMismatch, match=r"encoder graph: .*attention_mask"):
        OptimumGraphs(opened | {"encoder": other}, SPEC)
