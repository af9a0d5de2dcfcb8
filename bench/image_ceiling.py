"""Decodes and runs batches, and does nothing else: the most that one core can do for images.

Reads lines `SECONDS BATCH_SIZE`, answers `IMAGES_PER_SECOND PROCESSOR_SECONDS_PER_IMAGE`.
"""

import sys
import time
from pathlib import Path
from typing import Any

from bench.pictures import small_jpegs
from model_zoo.catalog import Catalog, PublishedModel
from service.runtime.providers import choose_variant, cpu_features, parse_providers
from service.runtime.runner import Runner, make_runner
from service.runtime.session import usable_providers
from service.tasks.registry import AnyTask, make_task


def main() -> None:
    """Answer until stdin ends."""
    task, runner = _open(_choose(Catalog(Path(sys.argv[1])), sys.argv[2]))
    images = small_jpegs(256)
    for line in sys.stdin:
        seconds, batch_size = line.split()
        rate, cpu_s = _measure(task, runner, images, float(seconds), int(batch_size))
        sys.stdout.write(f"{rate} {cpu_s}\n")
        sys.stdout.flush()


def _choose(catalog: Catalog, name: str) -> PublishedModel:
    for ref in sorted(catalog.list(), key=lambda ref: (ref.name, -ref.version)):
        published = catalog.open(ref.name, ref.version)
        if published.manifest.task == "image-classification" and name in ("", ref.name):
            return published
    raise SystemExit("no model for images")


def _open(published: PublishedModel) -> tuple[AnyTask, Runner]:
    manifest = published.manifest
    usable = usable_providers()
    choice = choose_variant(
        manifest.variants, parse_providers("auto", usable), usable=usable, features=cpu_features()
    )
    graphs = {graph.role: published.read(graph.file) for graph in choice.variant.graphs}
    return make_task(manifest, published.read), make_runner(manifest, graphs, threads=1)


def _measure(
    task: AnyTask, runner: Runner, images: list[bytes], seconds: float, batch_size: int
) -> tuple[float, float]:
    done = 0
    features: list[Any] = []
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    while not done or time.perf_counter() - began_s < seconds:
        features = [
            task.preprocess(images[(done + place) % len(images)]) for place in range(batch_size)
        ]
        runner.run(features)
        done += batch_size
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
    return done / wall_s, cpu_s / done


if __name__ == "__main__":
    main()
