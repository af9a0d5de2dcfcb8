"""The first runs of a model: they prove that it answers, and pay what only first runs pay."""

from base64 import b64decode
from struct import pack
from typing import Any
from zlib import compress, crc32

from model_zoo.manifest import Manifest
from model_zoo.manifest import Task as TaskName
from service.repository.live import Engine
from service.tasks.base import TranslationText

# A PNG of one grey pixel.
PIXEL = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
LARGE_SIDE = 1000
SENTENCE = "One sentence is enough to warm up."
EXAMPLES: dict[TaskName, Any] = {
    "image-classification": PIXEL,
    "text-classification": SENTENCE,
    "translation": TranslationText(SENTENCE, beam=1),
}
LARGEST_BATCH = 8


def large_picture() -> bytes:
    """A PNG of a million grey pixels, in a kilobyte."""
    rows = (b"\0" + bytes(LARGE_SIDE)) * LARGE_SIDE
    head = pack(">IIBBBBB", LARGE_SIDE, LARGE_SIDE, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(data)) + name + data + pack(">I", crc32(name + data))
        for name, data in chunks
    )


def warm_up(engine: Engine, manifest: Manifest, max_batch_size: int) -> None:
    """Answer one item alone and then a batch; raises the first error that an item ends with."""
    for size in (1, min(LARGEST_BATCH, max_batch_size)):
        example = EXAMPLES[manifest.task]
        parts = [part for _ in range(size) for part in engine.split(example)]
        for answer in engine.predict_batch(parts):
            if isinstance(answer, Exception):
                raise answer
