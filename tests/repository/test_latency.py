"""What is measured before the first request, with a clock that a test moves."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from model_zoo.manifest import Limits, Manifest, TextInput
from service.batching.cost import LatencyModel
from service.errors import PayloadTooLarge
from service.repository import latency
from service.repository.latency import (
    measure_batches,
    measure_preparing,
    measure_stream,
    shapes_of,
)
from service.repository.warm_up import PIXEL, large_picture
from service.runtime.runner import Runner
from service.tasks.registry import AnyTask
from service.tasks.sentiment import CHARACTERS_PER_TOKEN
from tests.model_zoo.samples import image_model, text_model, translation_model


class FakeTask:
    """Cost like that of a text, up to a most."""

    def __init__(self, most: int = 512) -> None:
        self._most = most

    def split(self, raw: Any) -> list[Any]:
        return [raw]

    def cost(self, part: Any) -> int:
        return min(1 + len(part) // CHARACTERS_PER_TOKEN, self._most) if part else 1

    def preprocess(self, part: Any) -> Any:
        return part

    def postprocess(self, features: Any, row: Any) -> Any:
        return row


class TimedRunner:
    """Takes a second an item, and ten times as long for a shape that it sees first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[tuple[int, int]] = []
        self._now_s = 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self._now_s)

    def run(self, features: Sequence[Any]) -> list[int]:
        shape = len(features), len(features[0])
        self._now_s += len(features) * (1.0 if shape in self.runs else 10.0)
        self.runs.append(shape)
        return [0] * len(features)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> TimedRunner:
    return TimedRunner(monkeypatch)


def with_tokens(manifest: Manifest, most: int | None) -> Manifest:
    changed: dict[str, Any] = {"limits": Limits(max_tokens=most)}
    if isinstance(manifest.preprocessing, TextInput):
        changed["preprocessing"] = manifest.preprocessing.model_copy(update={"max_tokens": 512})
    return manifest.model_copy(update=changed)


@pytest.mark.parametrize(
    ("max_batch_size", "sizes"), [(1, [1]), (4, [1, 4]), (8, [1, 8]), (64, [1, 8, 32])]
)
def test_no_batch_is_measured_that_is_larger_than_allowed(
    max_batch_size: int, sizes: list[int]
) -> None:
    assert shapes_of(image_model()[0], max_batch_size) == (sizes, [1])


@pytest.mark.parametrize(
    ("most", "lengths"), [(None, [8, 64, 256]), (512, [8, 64, 256]), (100, [8, 64, 100]), (5, [5])]
)
def test_no_text_is_measured_that_is_longer_than_the_model_reads(
    most: int | None, lengths: list[int]
) -> None:
    assert shapes_of(with_tokens(text_model()[0], most), 1)[1] == lengths


@pytest.mark.parametrize(("most", "lengths"), [(None, [8, 64, 128]), (30, [8, 30])])
def test_of_a_translator_single_sentences_are_told_as_long_as_it_reads_them(
    most: int | None, lengths: list[int]
) -> None:
    manifest = with_tokens(translation_model()[0], most)
    spec = manifest.preprocessing.model_copy(update={"max_source_tokens": 128})
    assert shapes_of(manifest.model_copy(update={"preprocessing": spec}), 1) == ([1], lengths)


def test_every_shape_is_run_twice_with_a_text_of_its_length(runner: TimedRunner) -> None:
    task = FakeTask()
    measure_batches(
        cast("AnyTask", task), cast("Runner", runner), with_tokens(text_model()[0], None), 8
    )
    shapes = runner.runs[::2]
    assert shapes == runner.runs[1::2]
    assert [size for size, _ in shapes] == [1, 8] * 3
    costs = [1 + characters // CHARACTERS_PER_TOKEN for _, characters in shapes]
    assert costs == pytest.approx([8, 8, 64, 64, 256, 256], abs=2)


def test_the_faster_of_the_runs_counts(runner: TimedRunner) -> None:
    model = measure_batches(
        cast("AnyTask", FakeTask()), cast("Runner", runner), with_tokens(text_model()[0], None), 32
    )
    assert isinstance(model, LatencyModel)
    assert model.batches == 9
    assert model.seconds(16, 100) == pytest.approx(16.0)


def test_a_text_stops_growing_where_the_cost_does(runner: TimedRunner) -> None:
    task = FakeTask(most=20)
    model = measure_batches(
        cast("AnyTask", task), cast("Runner", runner), with_tokens(text_model()[0], None), 1
    )
    assert max(characters for _, characters in runner.runs) < 256 * len(latency.WORD)
    assert model.batches == 3


def test_images_are_measured_at_one_length_and_a_few_large_ones(runner: TimedRunner) -> None:
    measure_batches(cast("AnyTask", FakeTask()), cast("Runner", runner), image_model()[0], 32)
    assert [size for size, _ in runner.runs] == [1, 1, 8, 8, 32, 32, 1, 1, 2, 2]
    assert {length for _, length in runner.runs[6:]} == {len(large_picture())}


def test_the_size_of_an_image_takes_no_time_of_the_others(runner: TimedRunner) -> None:
    def told(manifest: Manifest) -> LatencyModel:
        model = measure_batches(cast("AnyTask", FakeTask()), cast("Runner", runner), manifest, 8)
        for _ in range(200):  # as long as the longest takes, whoever is with it
            for size in (1, 8):
                for length in (1, 100):
                    model.measured(size, length, 0.01 * length)
        return model

    assert told(text_model()[0]).parts.step_s == pytest.approx(0.01, rel=0.01)
    assert told(image_model()[0]).parts.step_s == 0.0


def test_where_no_large_image_is_read_small_ones_are_enough(runner: TimedRunner) -> None:
    class Small(FakeTask):
        def preprocess(self, part: Any) -> Any:
            if part == large_picture():
                raise PayloadTooLarge("Send a smaller one.")
            return part

    measure_batches(cast("AnyTask", Small()), cast("Runner", runner), image_model()[0], 32)
    assert [size for size, _ in runner.runs] == [1, 1, 8, 8, 32, 32]


@pytest.mark.parametrize(("most", "together"), [(2, 2), (64, 8)])
def test_a_stream_is_measured_by_a_few_sentences_together(
    runner: TimedRunner, most: int, together: int
) -> None:
    class Sentences(FakeTask):
        def split(self, raw: Any) -> list[str]:
            return [raw.text]

    task = Sentences()
    pace = measure_stream(
        cast("AnyTask", task), cast("Runner", runner), translation_model()[0], most
    )
    ((size, characters),) = set(runner.runs)
    cost = 1 + characters // CHARACTERS_PER_TOKEN
    assert size == together
    assert pace.trusted
    assert pace.share_s(cost) == pytest.approx(1.0)
    assert pace.stay_s(cost) == pytest.approx(together)


def test_decoding_alone_is_measured_small_and_large(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr("time.perf_counter", lambda: float(sum(map(len, seen))))

    class Decoder:
        """Takes a second a byte."""

        def prepare(self, part: bytes) -> bytes:
            seen.append(part)
            return part

        def cost(self, part: bytes) -> int:
            return len(part)

    model = measure_preparing(cast("AnyTask", Decoder()))
    assert seen == [PIXEL, large_picture()]
    for size in (len(PIXEL), len(large_picture())):
        assert model.seconds(1, size) == pytest.approx(size, rel=0.05)


def test_what_is_too_large_to_be_read_is_not_measured() -> None:
    class Small:
        def prepare(self, part: bytes) -> bytes:
            if part == large_picture():
                raise PayloadTooLarge("Send a smaller one.")
            return part

        def cost(self, part: bytes) -> int:
            return 1

    assert measure_preparing(cast("AnyTask", Small())).batches == 1
