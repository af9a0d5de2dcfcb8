"""Measures t(batch, length) as a worker of the server spends it: decode, run, read the answer.

Every worker has a thread of its own and all run at once, since that is how a busy pod runs.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.corpora import feeling_texts, translation_texts
from bench.machine import describe
from bench.opened import newest, open_model
from bench.scaling.latency import LatencyFile, LatencyTable
from model_zoo.manifest import Task as TaskName
from service.load.pictures import small_jpegs
from service.runtime.runner import Runner
from service.tasks.base import TranslationText
from service.tasks.registry import AnyTask
from service.tasks.sentiment import Sentiment
from service.tasks.translation import Translation

TASKS: tuple[TaskName, ...] = ("image-classification", "text-classification", "translation")
BATCHES = (1, 2, 4, 8, 16, 32)
ITEMS = 400
GROUPS = 5  # of lengths, with about as many items each
RUNS, ENOUGH_S = 5, 0.3  # of each shape: at least so many runs, and so long

Tell = Callable[[str], None]


def measure(models: Path, workers: int, tell: Tell) -> LatencyFile:
    """All three tasks with the newest of their models; `tell` hears what is done."""
    found = {}
    for task in TASKS:
        published = newest(models, task)
        name = published.manifest.name
        found[name] = _table(*open_model(published), _items(task), workers, tell)
    return LatencyFile(
        machine="; ".join(describe().values()),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command="python -m bench.scaling measure",
        models=found,
    )


def _items(task: TaskName) -> Sequence[Any]:
    if task == "image-classification":
        return small_jpegs(ITEMS)
    return (feeling_texts if task == "text-classification" else translation_texts)(ITEMS)[0]


def _table(
    task: AnyTask, runner: Runner, raw: Sequence[Any], workers: int, tell: Tell
) -> LatencyTable:
    parts = [part for item in raw for part in task.split(_as_raw(task, item))]
    by_length = grouped([(_length(task.preprocess(part)), part) for part in parts], GROUPS)
    rows = []
    with ThreadPoolExecutor(workers) as threads:
        for length, some in by_length:
            row = []
            for size in BATCHES:
                batch = [some[place % len(some)] for place in range(size)]
                jobs = [threads.submit(_median_s, task, runner, batch) for _ in range(workers)]
                row.append(round(statistics.mean(job.result() for job in jobs), 7))
                tell(f"length {length}, batch {size}: {row[-1] * 1000:.2f} ms")
            rows.append(tuple(row))
    count = len(parts)
    return LatencyTable(
        provider=",".join(sorted(runner.placement)),
        workers=workers,
        batches=BATCHES,
        lengths=tuple(length for length, _ in by_length),
        seconds=tuple(rows),
        shares=tuple(len(some) / count for _, some in by_length),
        padded=isinstance(task, Sentiment),
    )


def grouped(items: Sequence[tuple[int, Any]], groups: int) -> list[tuple[int, list[Any]]]:
    """(longest length, its items, the longest first) of groups of about the same size."""
    ordered = sorted(items, key=lambda item: item[0])
    bounds = {ordered[len(ordered) * k // groups - 1][0] for k in range(1, groups + 1)}
    found, low = [], -1
    for high in sorted(bounds):
        some = [part for length, part in ordered if low < length <= high]
        found.append((high, some[::-1]))
        low = high
    return found


def _as_raw(task: AnyTask, item: Any) -> Any:
    return TranslationText(item) if isinstance(task, Translation) else item


def _length(features: Any) -> int:
    return len(features.ids) if hasattr(features, "ids") else 1


def _median_s(task: AnyTask, runner: Runner, batch: Sequence[Any]) -> float:
    taken: list[float] = []
    while len(taken) < RUNS + 1 or sum(taken) < ENOUGH_S:
        began_s = time.perf_counter()
        features = [task.preprocess(part) for part in batch]
        for kind, row in zip(features, runner.run(features), strict=True):
            task.postprocess(kind, row)
        taken.append(time.perf_counter() - began_s)
    return statistics.median(taken[1:])  # the first one allocates
