"""The service's translation engine without HTTP: so many requests always present, of mixed length.

A child process: asked for `seconds`, it tells the target tokens a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import cycle
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from bench.child import answer_questions
from bench.corpora import translation_texts
from bench.opened import newest
from service.metrics import Metrics
from service.predictor import predict
from service.repository.live import LiveModel
from service.repository.loading import load
from service.repository.options import LoadOptions
from service.tasks.base import TranslationText

NO_DEADLINE_S = 3600.0


async def throughput(live: LiveModel, texts: list[str], present: int, seconds: float) -> float:
    """Target tokens a second, without the end token of each sentence."""
    following = cycle(texts)
    finished = 0
    until_s = time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal finished
        while time.perf_counter() < until_s:
            (found,) = await predict(live, [TranslationText(next(following))], NO_DEADLINE_S)
            if time.perf_counter() < until_s:
                finished += found.tokens

    await asyncio.gather(*(ask() for _ in range(present)))
    return finished / seconds


def main() -> None:
    """Answer until the input ends."""
    published = newest(Path(sys.argv[1]), "translation")
    texts = translation_texts(int(sys.argv[2]))[0]
    live = load(published, LoadOptions(), Metrics.create(CollectorRegistry()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        def answer(seconds: float, present: int) -> dict[str, float]:
            return {"tokens_per_s": runner.run(throughput(live, texts, present, seconds))}

        answer_questions(answer)
    live.close(5.0)


if __name__ == "__main__":
    main()
