"""Decodes and runs batches, and does nothing else: the most that one core can do for images.

A child process: asked for `seconds` and `batch_size`, it tells the images a second, by the graph as
it was published or with `for_this_cpu` as the service opens it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.child import answer_questions
from bench.opened import newest, open_model
from service.load.pictures import small_jpegs


def main() -> None:
    """Answer until the input ends."""
    published = newest(Path(sys.argv[1]), "image-classification")
    task, plain = open_model(published, as_published=True)
    _, fast = open_model(published)
    images = small_jpegs(256)

    def answer(seconds: float, batch_size: int, *, for_this_cpu: bool = False) -> dict[str, float]:
        done, runner = 0, fast if for_this_cpu else plain
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        while not done or time.perf_counter() - began_s < seconds:
            places = range(done, done + batch_size)
            runner.run([task.preprocess(images[place % len(images)]) for place in places])
            done += batch_size
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
        return {"rate": done / wall_s, "cpu_s": cpu_s / done}

    answer_questions(answer)


if __name__ == "__main__":
    main()
