"""Gives a loaded model its queue: what it runs, what it shares, and what it foresees."""

import sys
from collections.abc import Hashable
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np

from model_zoo.manifest import Manifest
from service.batching.batcher import Batcher
from service.batching.cores import Account
from service.batching.isolation import Stoppable
from service.batching.sharing import AnswerCache, Sharing
from service.batching.stream import Streaming
from service.batching.surroundings import Surroundings
from service.metrics import ModelMetrics
from service.repository.latency import measure_batches, measure_stream, shapes_of
from service.repository.live import Engine
from service.repository.options import LoadOptions
from service.repository.streaming import DecodeStream
from service.runtime.runner import Runner, Translator
from service.runtime.session import Abort
from service.runtime.threads import available_cpus
from service.tasks.registry import AnyTask
from service.tasks.translation import Translation

# To hash and compare more than this would hold up the event loop for longer than it may save.
MAX_SHARED_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Works:
    """What a queue is put before."""

    manifest: Manifest
    task: AnyTask
    runner: Runner
    engine: Engine
    metrics: ModelMetrics


def make_batcher(works: Works, options: LoadOptions) -> Batcher[Any, Any]:
    """The model's queue with its worker threads running; measures the model first."""
    manifest, task, runner, metrics = works.manifest, works.task, works.runner, works.metrics
    workers = options.workers or available_cpus()
    make = partial(
        Batcher[Any, Any],
        policy=options.policy(manifest),
        workers=workers,
        observer=metrics,
        name=manifest.name,
    )
    account = Account()
    turn, turn_now = partial(options.cores.turn, account), partial(options.cores.turn_now, account)
    sharing = _sharing(options)
    if isinstance(runner, Translator) and isinstance(task, Translation):
        pace = measure_stream(task, runner, manifest, options.max_batch_size)
        return make(
            Streaming(lambda: DecodeStream(task, runner, metrics)),
            surroundings=Surroundings(pace=pace, turn=turn, sharing=sharing),
        )
    model = measure_batches(task, runner, manifest, options.max_batch_size)
    sizes, lengths = shapes_of(manifest, options.max_batch_size)
    for size in sizes:
        for length in lengths:
            metrics.foresees(size, length, partial(model.seconds, size, length))
    return make(
        Stoppable(works.engine.predict_batch, Abort),
        surroundings=Surroundings(
            latency=model,
            turn=turn,
            turn_now=turn_now,
            is_quick=task.is_quick,
            sharing=sharing,
        ),
    )


def _sharing(options: LoadOptions) -> Sharing[Any] | None:
    cache = AnswerCache(options.cache_bytes, weigh) if options.cache_bytes else None
    return Sharing(key_of, cache) if options.share_identical or cache is not None else None


def key_of(part: Any) -> Hashable | None:
    """What is the same for identical parts: they are plain values, as far as they are small."""
    size = len(part) if isinstance(part, bytes | str) else len(part.text)
    return part if size <= MAX_SHARED_BYTES else None


def weigh(key: Hashable, answer: Any) -> int:
    """Roughly the bytes that a kept answer takes."""
    return _bytes(key) + _bytes(answer)


def _bytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return sys.getsizeof(value) + value.nbytes
    if is_dataclass(value) and not isinstance(value, type):
        return sys.getsizeof(value) + sum(_bytes(getattr(value, f.name)) for f in fields(value))
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(_bytes(v) for v in value.values())
    return sys.getsizeof(value)
