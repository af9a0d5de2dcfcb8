"""How long a model takes by the shape of its batch, measured once before the first request."""

import time
from contextlib import suppress
from threading import Lock
from typing import Any

from model_zoo.manifest import Manifest, TextInput, TranslationInput
from service.batching.batcher import Batcher
from service.batching.cost import LatencyModel
from service.batching.pace import StreamPace
from service.errors import ServiceError
from service.repository.warm_up import EXAMPLES, large_picture
from service.runtime.runner import Runner
from service.tasks.registry import AnyTask

SIZES = (1, 8, 32)
LENGTHS = (8, 64, 256)  # tokens
WORD = "word "
ROUNDS = 2  # of a shape; the faster counts, since the first pays for memory

# Models are loaded side by side, and would slow down each other's measurements.
_one_at_a_time = Lock()


def shapes_of(manifest: Manifest, most_items: int) -> tuple[list[int], list[int]]:
    """The batch sizes and the lengths in tokens that are measured and told. Of a model that items
    join and leave, `most_items` is 1: its time does not go by how many there are."""
    sizes = sorted({min(size, most_items) for size in SIZES})
    spec = manifest.preprocessing
    if isinstance(spec, TextInput):
        read = spec.max_tokens
    elif isinstance(spec, TranslationInput):
        read = spec.max_source_tokens
    else:
        return sizes, [1]
    most = min(read, manifest.limits.max_tokens or read)
    return sizes, sorted({min(length, most) for length in LENGTHS})


def measure_batches(
    task: AnyTask, runner: Runner, manifest: Manifest, max_batch_size: int
) -> LatencyModel:
    """Run every shape and learn from it; for a model that runs whole batches."""
    model = LatencyModel(has_steps=manifest.task != "image-classification")
    sizes, lengths = shapes_of(manifest, max_batch_size)
    with _one_at_a_time:
        for length in lengths:
            part = _part(task, manifest, length)
            for size in sizes:
                model.measured(size, task.cost(part), _fastest(task, runner, [part] * size))
        if manifest.task == "image-classification":
            _measure_large(model, task, runner, max_batch_size)
    return model


def _measure_large(model: LatencyModel, task: AnyTask, runner: Runner, most: int) -> None:
    """Small images alone would not tell that large ones take longer."""
    part = large_picture()
    with suppress(ServiceError):  # where none so large is read
        for size in sorted({1, min(2, most)}):
            model.measured(size, task.cost(part), _fastest(task, runner, [part] * size))


def measure_preparing(task: AnyTask) -> LatencyModel:
    """How long it takes to decode one image, small and large; where that is done by itself."""
    model = LatencyModel(has_steps=False)
    with _one_at_a_time, suppress(ServiceError):  # where none so large is read
        for part in (EXAMPLES["image-classification"], large_picture()):
            began_s = time.perf_counter()
            task.prepare(part)
            model.measured(1, task.cost(part), time.perf_counter() - began_s)
    return model


def measure_stream(task: AnyTask, runner: Runner, manifest: Manifest, most: int) -> StreamPace:
    """Answer a few texts together; for a model that items join and leave."""
    pace = StreamPace()
    parts = [_part(task, manifest, LENGTHS[1])] * min(most, SIZES[1])
    with _one_at_a_time:
        seconds = _fastest(task, runner, parts)
    pace.measured(sum(task.cost(part) for part in parts), seconds, seconds * len(parts))
    return pace


def describe(manifest: Manifest, batcher: Batcher[Any, Any]) -> dict[str, Any]:
    """What is foreseen of a model at this moment, for people: times in milliseconds, and the factor
    by which answers may come later."""
    foreseen: dict[str, Any] = {
        "queue_ms": _ms(batcher.queue_s),
        "margin": round(batcher.margin, 3),
    }
    if batcher.is_continuous:
        pace = batcher.pace
        return foreseen | {
            "work_per_token_ms": _ms(pace.share_s(1)),
            "stay_per_token_ms": _ms(pace.run_s(1, 1)),
        }
    model = batcher.latency
    sizes, lengths = shapes_of(manifest, batcher.max_batch_size)
    table = model.table(sizes, lengths)
    return foreseen | {
        "batches_seen": model.batches,
        "parts_ms": {
            name.removesuffix("_s"): _ms(value) for name, value in model.parts._asdict().items()
        },
        "table": [{"batch": n, "length": length, "ms": _ms(s)} for n, length, s in table],
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 4)


def _fastest(task: AnyTask, runner: Runner, parts: list[Any]) -> float:
    return min(_seconds(task, runner, parts) for _ in range(ROUNDS))


def _seconds(task: AnyTask, runner: Runner, parts: list[Any]) -> float:
    began_s = time.perf_counter()
    features = [task.preprocess(part) for part in parts]
    for found, row in zip(features, runner.run(features), strict=True):
        task.postprocess(found, row)
    return time.perf_counter() - began_s


def _part(task: AnyTask, manifest: Manifest, length: int) -> Any:
    """A part that costs about `length` tokens, as far as the model reads."""
    example = EXAMPLES[manifest.task]
    if not isinstance(example, str):
        return task.split(example)[0]
    words = 1
    while task.cost(WORD * words) < length and words < length:
        words += 1
    return (WORD * words).strip()
