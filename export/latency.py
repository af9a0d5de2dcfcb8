"""Times a variant on one core: how long one run takes, by batch size and length."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from export.candidate import OpenedVariant
from export.provenance import machine
from model_zoo.evidence import Latency, Timing

BATCHES = (1, 8, 32)
TEXT_LENGTHS = (16, 64, 256)
SENTENCE_LENGTHS = (8, 24)
LEAST_RUNS, MOST_RUNS, ENOUGH_SECONDS = 3, 25, 0.3


def timing(opened: OpenedVariant, features: Sequence[Any], max_tokens: int | None) -> Timing:
    """The table over these features, which are repeated where there are too few; texts are made as
    long as the model takes.

    Each cell is the fastest of several runs, which says most about the variant and least about
    what else the machine was doing.
    """
    runs = [
        Latency(batch=batch, length=length, milliseconds=_milliseconds(opened, chosen))
        for batch in BATCHES
        for length, chosen in _chosen(features, batch, max_tokens)
    ]
    return Timing(machine=machine(), runs=tuple(runs))


def _chosen(
    features: Sequence[Any], batch: int, max_tokens: int | None
) -> list[tuple[int | None, list[Any]]]:
    """A batch for every length; one alone where items have no length."""
    if isinstance(features[0], np.ndarray):
        return [(None, [features[i % len(features)] for i in range(batch)])]
    if hasattr(features[0], "beam"):  # a sentence that is cut would be translated to its end
        return list(dict(_nearest(features, batch, length) for length in SENTENCE_LENGTHS).items())
    lengths = dict.fromkeys(min(length, max_tokens or length) for length in TEXT_LENGTHS)
    return [(length, _of_length(features, batch, length)) for length in lengths]


def _nearest(features: Sequence[Any], batch: int, length: int) -> tuple[int, list[Any]]:
    near = sorted(features, key=lambda one: abs(len(one.ids) - length))[:batch]
    chosen = [near[i % len(near)] for i in range(batch)]
    return round(float(np.mean([len(one.ids) for one in chosen]))), chosen


def _of_length(features: Sequence[Any], batch: int, length: int) -> list[Any]:
    """Texts of exactly this length, made of the ids of the longest ones."""
    longest = sorted(features, key=lambda one: -len(one.ids))[:batch]
    return [
        replace(one, ids=np.resize(one.ids, length))
        for one in (longest[i % len(longest)] for i in range(batch))
    ]


def _milliseconds(opened: OpenedVariant, features: list[Any]) -> float:
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < LEAST_RUNS or (
        len(times) < MOST_RUNS and time.perf_counter() - began < ENOUGH_SECONDS
    ):
        times.append(_seconds(lambda: opened.runner.run(features)))
    return round(1000 * min(times), 3)


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
