"""Gives a loaded model its queue: what it runs, what it shares, and what it foresees."""

import sys
from collections.abc import Hashable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any

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
from service.repository.streaming import DecodeStream, ReadStream
from service.runtime.reading import TextReader
from service.runtime.runner import Runner, Translator
from service.runtime.session import Abort
from service.runtime.threads import available_cpus
from service.tasks.base import Pixels
from service.tasks.registry import AnyTask
from service.tasks.translation import Translation

# To hash this much takes the event loop 0.14 ms; 8 MiB would take 5. The part itself is the key:
# `hashlib` is no faster everywhere, and gives up the interpreter, which busy workers then hold.
MAX_SHARED_BYTES = 256 << 10
MAX_SHARED_CHARACTERS = MAX_SHARED_BYTES // 4  # a character may have four bytes


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
    account = Account()
    around = Surroundings(
        turn=partial(options.cores.turn, account),
        turn_now=partial(options.cores.turn_now, account),
        sharing=_sharing(options),
    )
    most = options.max_batch_size
    run: Stoppable[Any, Any] | Streaming[Any, Any]
    if isinstance(runner, Translator) and isinstance(task, Translation):
        run = Streaming(lambda: DecodeStream(task, runner, metrics))
    else:
        run = Stoppable(works.engine.predict_batch, Abort)
        model = measure_batches(task, runner, manifest, most)
        around = replace(around, latency=model, is_quick=task.is_quick)
        if isinstance(runner, TextReader):
            alone = works.engine.predict_batch
            run = Streaming(lambda: ReadStream(task, runner, metrics), alone=alone)
    if isinstance(run, Streaming):
        around = replace(around, pace=measure_stream(task, runner, manifest, most))
    batcher: Batcher[Any, Any] = Batcher(
        run,
        options.policy(is_continuous=isinstance(run, Streaming)),
        workers=workers,
        observer=metrics,
        name=manifest.name,
        surroundings=around,
    )
    _tell_foreseen(works, batcher)
    return batcher


def _tell_foreseen(works: Works, batcher: Batcher[Any, Any]) -> None:
    """Have every scrape ask for the predicted times of a few shapes."""
    pace = batcher.pace
    most = 1 if batcher.is_continuous else batcher.max_batch_size
    sizes, lengths = shapes_of(works.manifest, most)
    for length in lengths:
        works.metrics.foresees_work(length, partial(pace.share_s, length))
        for size in sizes:
            works.metrics.foresees(size, length, partial(pace.run_s, size, length))


def _sharing(options: LoadOptions) -> Sharing[Any] | None:
    cache = AnswerCache(options.cache_bytes, weigh) if options.cache_bytes else None
    return Sharing(key_of, cache) if options.share_identical or cache is not None else None


def key_of(part: Any) -> Hashable | None:
    """What is the same for identical parts: they are plain values, as far as they are small."""
    if isinstance(part, bytes | Pixels):
        size = len(part.data if isinstance(part, Pixels) else part)
        return part if size <= MAX_SHARED_BYTES else None
    text = part if isinstance(part, str) else part.text
    return part if len(text) <= MAX_SHARED_CHARACTERS else None


def weigh(key: Hashable, answer: Any) -> int:
    """Roughly the bytes that a kept answer takes."""
    return _bytes(key) + _bytes(answer)


def _bytes(value: Any) -> int:
    if isinstance(value, list):
        return sys.getsizeof(value) + sum(map(sys.getsizeof, value))
    if is_dataclass(value) and not isinstance(value, type):
        return sys.getsizeof(value) + sum(_bytes(getattr(value, f.name)) for f in fields(value))
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(_bytes(v) for v in value.values())
    return sys.getsizeof(value)
