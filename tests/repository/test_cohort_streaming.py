"""What Optimum exported, as it runs in the service: cohorts joining, leaving and failing."""

from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.errors import InferenceFailed, InvalidInput
from service.metrics import Metrics
from service.repository.streaming import DecodeStream
from service.runtime import cohort_decoder
from service.runtime.cohort_generator import CohortGenerator
from service.runtime.optimum import OptimumGraphs
from service.tasks.base import Sentence
from service.tasks.translation import Translation
from tests.runtime.tiny_optimum import SPEC, sessions
from tests.runtime.tiny_transformer import VOCABULARY, Weights
from tests.tasks.samples import manifest
from tests.tiny_zoo import letter_tokenizer

PARTS = [Sentence(text) for text in ("a dog runs", "two men", "bread and rain", "talk", "the road")]


@pytest.fixture(scope="module")
def graphs() -> OptimumGraphs:
    return OptimumGraphs(sessions(Weights(), "split"), SPEC)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def open_stream(graphs: OptimumGraphs, registry: CollectorRegistry, slots: int) -> DecodeStream:
    metrics = Metrics.create(registry).model("m", "1")
    metrics.expects(labels=(), texts=True)
    task = Translation(manifest(SPEC), SPEC, letter_tokenizer(VOCABULARY))
    return DecodeStream(task, CohortGenerator(graphs, SPEC, slots), metrics)


@pytest.fixture
def stream(graphs: OptimumGraphs, registry: CollectorRegistry) -> DecodeStream:
    return open_stream(graphs, registry, slots=8)


def until_done(stream: DecodeStream, tickets: list[int | Exception]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    while not found.keys() >= set(tickets):
        found.update(stream.step())
    return found


@pytest.fixture
def alone(stream: DecodeStream) -> list[str]:
    """The answers of the parts, each by itself."""
    texts = []
    for part in PARTS:
        (answer,) = until_done(stream, stream.admit([part])).values()
        texts.append(answer.text)
    assert len(set(texts)) == len(PARTS)
    return texts


def test_parts_that_join_at_any_step_answer_as_they_do_alone(
    stream: DecodeStream, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_decoder, "LATE_STEPS", 1)
    tickets: list[int | Exception] = []
    found: dict[int, Any] = {}
    for part in PARTS:
        while not stream.free:
            found.update(stream.step())
        tickets += stream.admit([part])
        found.update(stream.step())
    found |= until_done(stream, [ticket for ticket in tickets if ticket not in found])
    assert [found[ticket].text for ticket in tickets if isinstance(ticket, int)] == alone


def test_nobody_joins_those_who_have_just_begun(stream: DecodeStream) -> None:
    assert stream.free == 8
    stream.admit(PARTS[:1])
    stream.step()
    assert stream.free == 0


def test_a_part_is_evicted_between_two_steps(stream: DecodeStream, alone: list[str]) -> None:
    tickets = stream.admit(PARTS)
    stream.step()
    gone = tickets.pop(1)
    assert isinstance(gone, int)
    stream.evict(gone)
    found = until_done(stream, tickets)
    assert gone not in found
    assert [found[t].text for t in tickets if isinstance(t, int)] == [alone[0], *alone[2:]]


def test_a_part_tells_what_it_has_so_far(stream: DecodeStream) -> None:
    (ticket,) = stream.admit(PARTS[:1])
    assert isinstance(ticket, int)
    told = []
    for _ in range(5):
        stream.step()
        told.append(stream.progress(ticket) or "")
    assert all(now.startswith(before) for before, now in pairwise(told))
    assert len(set(told)) > 2


def test_a_step_that_fails_for_some_is_made_again_by_each_alone(
    stream: DecodeStream,
    alone: list[str],
    graphs: OptimumGraphs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = graphs.go_on

    def breaks(newest: Any, *more: Any) -> Any:
        if len(newest) > 1:
            raise InferenceFailed("too many")
        return real(newest, *more)

    monkeypatch.setattr(graphs, "go_on", breaks)
    tickets = stream.admit(PARTS)
    found = until_done(stream, tickets)
    assert [found[ticket].text for ticket in tickets if isinstance(ticket, int)] == alone


def test_a_beam_is_refused_when_it_asks_to_join(stream: DecodeStream) -> None:
    refused, admitted = stream.admit([Sentence("a dog", beam=2), Sentence("a dog")])
    assert isinstance(refused, InvalidInput)
    assert isinstance(admitted, int)


def test_all_who_wait_begin_together_however_many(
    graphs: OptimumGraphs, registry: CollectorRegistry
) -> None:
    stream = open_stream(graphs, registry, slots=32)
    tickets = stream.admit([Sentence(text) for text in "abcdefghijklmnopqrst"])
    stream.step()
    stream.step()
    assert registry.get_sample_value("slipway_real_tokens_total", {"model": "m"}) == 2 * 20
    for ticket in tickets:
        assert isinstance(ticket, int)
        stream.evict(ticket)
    assert stream.free == 32


def test_the_padding_of_those_who_begin_together_is_counted(
    stream: DecodeStream, registry: CollectorRegistry
) -> None:
    stream.admit([Sentence("abcdefg"), Sentence("abcd"), Sentence("abcdefg")])
    stream.step()
    labels = {"model": "m"}
    assert registry.get_sample_value("slipway_real_tokens_total", labels) == 8 + 5 + 8
    assert registry.get_sample_value("slipway_padding_tokens_total", labels) == 3
