"""The queue that a loaded model gets: what it shares, keeps, foresees and takes turns for."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from service.batching import inline
from service.batching.cores import Account, Cores
from service.metrics import Metrics
from service.repository.live import Engine, LiveModel
from service.repository.loading import load
from service.repository.options import LOOK_AHEAD, SHORT_BATCH_S, LoadOptions
from service.repository.scheduling import (
    MAX_SHARED_BYTES,
    MAX_SHARED_CHARACTERS,
    key_of,
    weigh,
)
from service.repository.warm_up import PIXEL
from service.tasks.base import Pixels, Sentence
from service.tasks.image_classification import ImagePrediction
from tests.tasks.samples import file_of, picture
from tests.tiny_zoo import IMAGES, SIDE, TEXTS, TRANSLATOR, build

Load = Callable[..., LiveModel]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return build(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def load_it(catalog: Catalog, registry: CollectorRegistry) -> Iterator[Load]:
    metrics = Metrics.create(registry)
    made: list[LiveModel] = []

    def load_one(name: str, options: LoadOptions | None = None, **knobs: Any) -> LiveModel:
        chosen = options or LoadOptions(workers=1, **knobs)
        made.append(load(catalog.open(name), chosen, metrics))
        return made[-1]

    yield load_one
    for live in made:
        live.close(timeout_s=5.0)


async def answers(live: LiveModel, *parts: Any) -> list[Any]:
    far = asyncio.get_running_loop().time() + 60.0
    return [await live.batcher.submit(part, deadline=far) for part in parts]


def look_ups(registry: CollectorRegistry, model: str) -> dict[str, float | None]:
    name = "slipway_shared_items_total"
    return {
        result: registry.get_sample_value(name, {"model": model, "result": result})
        for result in ("hit", "shared", "miss")
    }


@dataclass(frozen=True)
class Nested:
    inner: dict[str, float]
    text: str


def test_a_small_part_is_its_own_key_and_a_large_one_has_none() -> None:
    for part in (b"x", "x", Sentence("x"), Pixels(b"x"), Pixels(b"x" * MAX_SHARED_BYTES)):
        assert key_of(part) == part
    for kind in (b"x" * MAX_SHARED_BYTES, "x" * MAX_SHARED_CHARACTERS):
        assert key_of(kind) == kind
        assert key_of(kind + kind[:1]) is None  # type: ignore[operator]
    assert key_of(Sentence("x" * (MAX_SHARED_CHARACTERS + 1))) is None
    assert key_of(Pixels(b"x" * (MAX_SHARED_BYTES + 1))) is None


@pytest.mark.anyio
async def test_a_photograph_of_a_hundred_kilobytes_is_shared_and_kept(
    load_it: Load, registry: CollectorRegistry
) -> None:
    photograph = PIXEL + bytes(100_000)  # what comes after the end of an image is not read
    live = await asyncio.to_thread(load_it, IMAGES, cache_bytes=1 << 20)
    first, again = await answers(live, photograph, bytes(bytearray(photograph)))
    assert first is again
    assert look_ups(registry, IMAGES) == {"hit": 1, "shared": 0, "miss": 1}


def test_what_changes_an_answer_changes_the_key() -> None:
    assert key_of(Sentence("a")) == key_of(Sentence("a"))
    assert key_of(Sentence("a", beam=1)) != key_of(Sentence("a", beam=4))
    assert key_of(Sentence("a", before=" ")) != key_of(Sentence("a"))


def test_an_answer_weighs_what_its_contents_do() -> None:
    def image(labels: int) -> ImagePrediction:
        return ImagePrediction("a", 0.5, ("a",) * labels, [1 / n for n in range(1, labels + 1)])

    assert weigh("", image(1000)) - weigh("", image(10)) >= 990 * 32  # a number and where it is
    assert weigh(b"x" * 5000, image(1)) - weigh(b"", image(1)) == 5000
    assert weigh("", "x" * 300) - weigh("", "") == 300
    long = Nested({"a": 0.5, "b": 0.25}, "x" * 400)
    assert weigh("", long) - weigh("", Nested({}, "")) >= 400 + 2 * 24


@pytest.mark.anyio
async def test_answers_are_kept_only_where_a_cache_was_asked_for(
    load_it: Load, registry: CollectorRegistry
) -> None:
    live = await asyncio.to_thread(load_it, TEXTS, cache_bytes=1 << 20)
    first, again = await answers(live, "good", "good")
    assert first is again
    assert look_ups(registry, TEXTS) == {"hit": 1, "shared": 0, "miss": 1}
    plain = await asyncio.to_thread(load_it, IMAGES)
    await answers(plain, PIXEL, PIXEL)
    assert look_ups(registry, IMAGES) == {"hit": 0, "shared": 0, "miss": 2}


@pytest.mark.anyio
async def test_a_cache_is_bounded_in_bytes(load_it: Load, registry: CollectorRegistry) -> None:
    live = await asyncio.to_thread(load_it, TEXTS, cache_bytes=10)
    await answers(live, "good", "good")
    assert look_ups(registry, TEXTS)["hit"] == 0


@pytest.mark.anyio
async def test_sharing_can_be_turned_off(load_it: Load, registry: CollectorRegistry) -> None:
    live = await asyncio.to_thread(load_it, TEXTS, share_identical=False)
    await answers(live, "good")
    assert look_ups(registry, TEXTS) == {"hit": 0, "shared": 0, "miss": 0}


@pytest.mark.anyio
async def test_identical_parts_of_one_call_run_once(
    load_it: Load, registry: CollectorRegistry
) -> None:
    live = await asyncio.to_thread(load_it, TEXTS)
    far = asyncio.get_running_loop().time() + 60.0
    await live.batcher.submit_many(["good", "good", "bad"], deadline=far)
    assert look_ups(registry, TEXTS) == {"hit": 0, "shared": 1, "miss": 2}


def foreseen(
    registry: CollectorRegistry, model: str, what: str = "latency_model_seconds"
) -> dict[tuple[str, str], float]:
    return {
        (sample.labels.get("batch", ""), sample.labels["length"]): sample.value
        for family in registry.collect()
        if family.name == f"slipway_{what}"
        for sample in family.samples
        if sample.labels["model"] == model
    }


def test_what_a_model_foresees_is_exported_by_shape(
    load_it: Load, registry: CollectorRegistry
) -> None:
    images = load_it(IMAGES, max_batch_size=16)
    load_it(TEXTS, max_batch_size=8)
    load_it(TRANSLATOR)
    of_images = foreseen(registry, IMAGES)
    assert set(of_images) == {("1", "1"), ("8", "1"), ("16", "1")}
    assert min(of_images.values()) > 0.0
    assert {batch for batch, _ in foreseen(registry, TEXTS)} == {"1", "8"}
    assert len(foreseen(registry, TEXTS)) >= 4
    # Asked at each scrape, and not once.
    for _ in range(30):
        images.batcher.latency.measured(16, 1, 5.0)
    assert foreseen(registry, IMAGES)["16", "1"] > of_images["16", "1"]


@pytest.mark.parametrize("name", [IMAGES, TEXTS, TRANSLATOR])
def test_a_workers_time_for_an_item_is_exported_by_length(
    load_it: Load, registry: CollectorRegistry, name: str
) -> None:
    pace = load_it(name).batcher.pace
    work = foreseen(registry, name, "latency_model_work_seconds")
    assert work
    assert work == {("", length): pace.share_s(int(length)) for _, length in work}
    assert min(work.values()) > 0.0


def test_what_a_translator_foresees_is_the_stay_of_one_sentence(
    load_it: Load, registry: CollectorRegistry
) -> None:
    pace = load_it(TRANSLATOR).batcher.pace
    stays = foreseen(registry, TRANSLATOR)
    assert len(stays) > 1
    assert stays == {("1", length): pace.run_s(1, int(length)) for _, length in stays}


@pytest.mark.parametrize("name", [IMAGES, TEXTS])
def test_a_model_is_measured_before_it_serves(load_it: Load, name: str) -> None:
    assert load_it(name).batcher.latency.trusted


class WatchedCores(Cores):
    """Remembers whose turns it gave."""

    def __init__(self) -> None:
        super().__init__(2)
        self.accounts: list[Account] = []
        self.at_once: list[Account] = []

    def turn(self, account: Account) -> Any:
        self.accounts.append(account)
        return super().turn(account)

    def turn_now(self, account: Account) -> Any:
        self.at_once.append(account)
        return super().turn_now(account)


@pytest.mark.anyio
async def test_models_take_turns_on_the_same_cores_each_on_its_own_account(
    load_it: Load,
) -> None:
    cores = WatchedCores()
    options = LoadOptions(workers=1, cores=cores)
    images = await asyncio.to_thread(load_it, IMAGES, options)
    translator = await asyncio.to_thread(load_it, TRANSLATOR, options)
    await answers(images, PIXEL, PIXEL)
    of_images = set(cores.accounts)
    await answers(translator, Sentence("a"))
    assert len(of_images) == 1
    assert len(set(cores.accounts)) == 2


@pytest.mark.anyio
@pytest.mark.parametrize(("side", "on_loop"), [(SIDE, True), (2 * SIDE, False)])
async def test_only_what_is_quick_to_prepare_runs_on_the_event_loop(
    load_it: Load, monkeypatch: pytest.MonkeyPatch, side: int, on_loop: bool
) -> None:
    threads: list[int] = []
    predict_batch = Engine.predict_batch

    def watched(engine: Engine, parts: Any, abort: Any = None) -> list[Any]:
        threads.append(threading.get_ident())
        return predict_batch(engine, parts, abort)

    monkeypatch.setattr(inline, "LONGEST_S", 1e6)  # however slow this machine is
    monkeypatch.setattr(Engine, "predict_batch", watched)
    live = await asyncio.to_thread(load_it, IMAGES)
    threads.clear()
    await answers(live, file_of(picture(side, side), "JPEG"))
    assert [thread == threading.get_ident() for thread in threads] == [on_loop]


@pytest.mark.anyio
async def test_what_the_event_loop_runs_is_booked_to_the_account_of_its_model(
    load_it: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "LONGEST_S", 1e6)
    cores = WatchedCores()
    images = await asyncio.to_thread(load_it, IMAGES, LoadOptions(workers=1, cores=cores))
    await answers(images, file_of(picture(SIDE, SIDE), "JPEG"))
    assert (len(cores.at_once), cores.accounts) == (1, [])
    await answers(images, PIXEL)
    assert set(cores.accounts) == set(cores.at_once)


@pytest.mark.parametrize("name", [IMAGES, TRANSLATOR])
def test_a_model_has_as_many_workers_as_asked_for(load_it: Load, name: str) -> None:
    assert load_it(name, LoadOptions(workers=3)).batcher.workers_alive == 3


def test_items_are_grouped_by_cost_unless_they_come_and_go_one_by_one() -> None:
    options = LoadOptions(max_batch_size=8, max_queue_size=9, max_queue_delay_s=0.5, max_queue_s=3)
    policy = options.policy()
    assert policy.look_ahead == 8 * LOOK_AHEAD
    assert (policy.max_batch_size, policy.max_queue_size) == (8, 9)
    assert (policy.max_queue_delay_s, policy.max_queue_s) == (0.5, 3)
    assert policy.is_padded
    assert policy.short_run_s == SHORT_BATCH_S
    one_by_one = options.policy(is_continuous=True)
    assert (one_by_one.look_ahead, one_by_one.is_padded) == (0, False)


def test_one_set_of_options_means_one_set_of_cores(tmp_path: Path) -> None:
    one, other = LoadOptions(), LoadOptions()
    assert one.cores is not other.cores
