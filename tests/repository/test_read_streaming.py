"""Texts as they are read in the service: piece by piece, beside others of any age."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from service.batching import inline
from service.batching.batcher import Batcher
from service.batching.policy import BatchPolicy
from service.errors import InferenceFailed, InvalidInput
from service.metrics import Metrics
from service.repository import scheduling
from service.repository.latency import describe
from service.repository.live import LiveModel
from service.repository.loading import load
from service.repository.options import LoadOptions
from service.repository.streaming import ReadStream
from service.runtime import reading
from service.runtime.reading import Reading, TextReader
from service.runtime.session import Abort, Tensor
from tests.repository.stepped_loop import Runner, SteppedLoop, Task, run
from tests.tiny_reader import READ, publish_reader

pytestmark = pytest.mark.anyio

FAR = 1e9
LETTERS = "abcdefghijklmnopqrstuvwxyz, ABCDEFGHIJKLMNOPQRSTUVWXYZ."


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    made = Catalog(tmp_path_factory.mktemp("zoo"))
    publish_reader(made)
    return made


@pytest.fixture
def live(
    catalog: Catalog, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveModel]:
    """Read in pieces of eight letters at most."""
    monkeypatch.setattr(reading, "LONGEST_RUN", 1)
    options = LoadOptions(workers=2, max_queue_size=500, share_identical=False)
    made = load(catalog.open(READ), options, Metrics.create(registry))
    yield made
    made.close(5.0)


async def scores(live: LiveModel, parts: Sequence[str]) -> list[float]:
    answers = await asyncio.gather(*(live.batcher.submit(part, deadline=FAR) for part in parts))
    return [answer.scores["positive"] for answer in answers]


async def test_a_text_has_the_same_answer_alone_and_among_texts_of_any_age(
    live: LiveModel,
) -> None:
    parts = [LETTERS[i % 17 : i % 17 + 1 + i * 7 % 39] for i in range(150)]
    together = await scores(live, parts)
    alone = [(await scores(live, [part]))[0] for part in parts]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    assert np.ptp(alone) > 0.1


async def test_a_short_text_that_is_alone_is_read_on_the_event_loop(
    live: LiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "LONGEST_S", 10.0)
    monkeypatch.setattr(inline, "COMPANY_S", 0.0)
    readings: list[int] = []
    step = Reading.step

    def noting(reading: Reading, abort: Abort | None = None) -> list[tuple[int, Tensor]]:
        readings.append(threading.get_ident())
        return step(reading, abort)

    monkeypatch.setattr(Reading, "step", noting)
    for _ in range(100):  # a worker that only now begins to wait may be there first
        readings.clear()
        await scores(live, [LETTERS[:20]])
        if set(readings) == {threading.get_ident()}:
            break
    assert set(readings) == {threading.get_ident()}
    readings.clear()
    await scores(live, [LETTERS[:20], LETTERS[1:30]])
    assert threading.get_ident() not in readings


def test_newcomers_join_in_the_order_in_which_they_came(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies: list[BatchPolicy] = []

    def noting(run: Any, policy: BatchPolicy, **more: Any) -> Batcher[Any, Any]:
        policies.append(policy)
        return Batcher(run, policy, **more)

    monkeypatch.setattr(scheduling, "Batcher", noting)
    made = load(catalog.open(READ), LoadOptions(workers=1), Metrics.create(CollectorRegistry()))
    made.close(5.0)
    assert [policy.is_padded for policy in policies] == [False]


async def test_what_is_read_in_vain_is_told_as_padding(
    live: LiveModel, registry: CollectorRegistry
) -> None:
    def told(name: str) -> float:
        return registry.get_sample_value(f"slipway_{name}_tokens_total", {"model": READ}) or 0.0

    before = told("real"), told("padding")
    await scores(live, ["abc", LETTERS[:40], LETTERS[5:25]])
    assert told("real") - before[0] == 63
    assert told("padding") > before[1]


async def test_what_is_foreseen_goes_by_tokens_and_not_by_batches(
    live: LiveModel, registry: CollectorRegistry
) -> None:
    foreseen = describe(live.manifest, live.batcher)
    assert foreseen["work_per_token_ms"] > 0
    assert foreseen["stay_per_token_ms"] >= foreseen["work_per_token_ms"]
    assert "table" not in foreseen
    labels = {"model": READ, "batch": "1", "length": "8"}
    assert registry.get_sample_value("slipway_latency_model_seconds", labels)
    assert (
        registry.get_sample_value("slipway_latency_model_seconds", labels | {"batch": "8"}) is None
    )


@dataclass(frozen=True)
class Text:
    text: str


class Loop(SteppedLoop):
    in_vain = 0

    def row(self, source: Text) -> Any:
        return np.full(2, 0.5)


@pytest.fixture
def loop() -> Loop:
    return Loop(capacity=3)


@pytest.fixture
def stream(loop: Loop) -> ReadStream:
    of_model = Metrics.create(CollectorRegistry()).model("m", "1")
    return ReadStream(cast("Any", Task()), cast("TextReader", Runner(loop)), of_model)


def read(stream: ReadStream, *texts: str) -> list[Any]:
    return run(stream, *map(Text, texts))


def test_texts_that_cannot_be_read_are_refused_one_by_one(stream: ReadStream) -> None:
    first, bad, second, long = read(stream, "a", "unreadable", "bb", "too long")
    assert (first, second) == ("a!", "bb!")
    assert [type(bad), type(long)] == [InvalidInput, InvalidInput]


def test_newcomers_are_read_at_once_and_nobody_is_asked_how_far_he_is(
    stream: ReadStream, loop: Loop
) -> None:
    (ticket,) = stream.admit([Text("abc")])
    assert (stream.free, loop.free) == (2, 3), "a promised row is not free"
    stream.step()
    assert loop.rows == {0: [Text("abc"), 2]}
    assert isinstance(ticket, int)
    assert stream.progress(ticket) is None


def test_a_step_that_fails_is_tried_again_text_by_text(stream: ReadStream) -> None:
    good, poison, other = read(stream, "abc", "poison", "de")
    assert (good, other) == ("abc!", "de!")
    assert isinstance(poison, RuntimeError)
    assert read(stream, "next") == ["next!"]


def test_whoever_comes_with_a_text_that_cannot_come_in_has_an_answer(stream: ReadStream) -> None:
    good, bad, other = read(stream, "abc", "no entry", "de")
    assert (good, other) == ("abc!", "de!")
    assert isinstance(bad, RuntimeError)


def test_a_text_that_fails_alone_is_not_tried_again(stream: ReadStream, loop: Loop) -> None:
    (poison,) = read(stream, "poison")
    assert isinstance(poison, RuntimeError)
    assert loop.steps == 1


def test_a_row_that_means_nothing_is_an_error_of_that_text(stream: ReadStream) -> None:
    broken, fine = read(stream, "no answer", "fine")
    assert isinstance(broken, InferenceFailed)
    assert fine == "fine!"


def test_a_text_that_nobody_wants_gives_its_row_back(stream: ReadStream, loop: Loop) -> None:
    inside, other = stream.admit([Text("inside"), Text("other")])
    stream.step()
    (waiting,) = stream.admit([Text("waits")])
    assert isinstance(inside, int)
    assert isinstance(waiting, int)
    stream.evict(waiting)
    stream.evict(inside)
    assert [text for text, _ in loop.rows.values()] == [Text("other")]
    assert stream.free == 2
    assert isinstance(other, int)
