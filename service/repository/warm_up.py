"""The first runs of a model: they prove that it answers, and pay what only first runs pay."""

from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from model_zoo.manifest import Manifest
from model_zoo.manifest import Task as TaskName
from service.repository.live import Engine
from service.tasks.base import TranslationText

# A PNG of one grey pixel.
PIXEL = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
LARGE_SIDE = 1000
CALM = 96  # noise of all grey levels would take several times the bytes of a photograph
SENTENCE = "One sentence is enough to warm up."
EXAMPLES: dict[TaskName, Any] = {
    "image-classification": PIXEL,
    "text-classification": SENTENCE,
    "translation": TranslationText(SENTENCE, beam=1),
}
LARGEST_BATCH = 8


def large_picture() -> bytes:
    """A JPEG of a million pixels with as much in it as a photograph."""
    noise_HWC = np.random.default_rng(0).integers(
        CALM, 256 - CALM, (LARGE_SIDE, LARGE_SIDE, 3), np.uint8
    )
    data = BytesIO()
    Image.fromarray(noise_HWC).save(data, "JPEG")
    return data.getvalue()


def warm_up(
    engine: Engine, manifest: Manifest, max_batch_size: int, *, on_gpu: bool = False
) -> None:
    """Answer one item alone and then a batch, on a GPU one of each size; raises the first error
    that an item ends with."""
    sizes = [1, min(LARGEST_BATCH, max_batch_size)]
    if on_gpu:
        # each is slow the first time
        sizes = [1 << power for power in range(max_batch_size.bit_length())] + [max_batch_size]
    for size in sorted(set(sizes)):
        example = EXAMPLES[manifest.task]
        parts = [part for _ in range(size) for part in engine.split(example)]
        for answer in engine.predict_batch(parts):
            if isinstance(answer, Exception):
                raise answer
