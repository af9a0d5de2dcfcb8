"""Small data made by rule, for tests and for machines without the data sets.

Deterministic by seed, balanced by class, and easy enough to be learnt in seconds.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from export.datasets.drawings import SHAPES, draw
from export.datasets.rows import LabelledImages, LabelledTexts, Labels, SentencePairs
from export.datasets.templates import OPINIONS, opinion, translated_sentence
from model_zoo.manifest import DatasetSource


def shapes(rows: int, seed: int = 0) -> LabelledImages:
    """Coloured shapes of ten classes on a noisy ground, 32 x 32."""
    generator = np.random.default_rng(seed)
    labels = _balanced(rows, len(SHAPES), generator)
    images = np.empty((rows, 32, 32, 3), dtype=np.uint8)
    for row, label in enumerate(labels):
        images[row] = draw(SHAPES[label], generator)
    origin = _origin("drawn shapes", seed, rows, images.tobytes())
    return LabelledImages(images, labels, SHAPES, (origin,))


def opinions(rows: int, seed: int = 0) -> LabelledTexts:
    """Short English reviews of one to three sentences, negative (0) or positive (1)."""
    generator = np.random.default_rng(seed)
    labels = _balanced(rows, len(OPINIONS), generator)
    texts = [opinion(OPINIONS[label], generator) for label in labels]
    origin = _origin("template opinions", seed, rows, _joined(texts))
    return LabelledTexts(texts, labels, OPINIONS, (origin,))


def sentence_pairs(rows: int, seed: int = 0) -> SentencePairs:
    """Simple English sentences with their German translation."""
    generator = np.random.default_rng(seed)
    pairs = [translated_sentence(generator) for _ in range(rows)]
    sources, targets = [english for english, _ in pairs], [german for _, german in pairs]
    origin = _origin("template sentences", seed, rows, _joined([*sources, *targets]))
    return SentencePairs(sources, targets, ("en", "de"), (origin,))


def _balanced(rows: int, classes: int, generator: Generator) -> Labels:
    return generator.permutation(np.arange(rows, dtype=np.int64) % classes)


def _joined(lines: Sequence[str]) -> bytes:
    return "\n".join(lines).encode()


def _origin(name: str, seed: int, rows: int, content: bytes) -> DatasetSource:
    return DatasetSource(
        name=name,
        split=f"seed {seed}",
        licence="made by this program; no rights reserved",
        source="export.datasets.generated",
        sha256=hashlib.sha256(content).hexdigest(),
        rows=rows,
    )
