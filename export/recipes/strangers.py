"""Items unlike those that a classifier learnt from, made by rule: noise, drawings, spoilt ones."""

import io
import string
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from export.datasets.generated import sentence_pairs
from export.golden import drawings

MOST = 1000
NOISE_LEVEL = 40.0
BLUR, CONTRAST = 1.5, 0.25
TYPING_ERRORS = 0.15

Pixels = NDArray[np.uint8]


def strange_images(known_NHWC: Pixels) -> Mapping[str, Sequence[bytes]]:
    """PNG files by the name of their kind; the shifted kinds are made from known images."""
    few = known_NHWC[:MOST]
    generator = np.random.default_rng(17)
    side = few.shape[1:3]

    def noisy(image: Image.Image) -> Image.Image:
        values = np.asarray(image) + generator.normal(0, NOISE_LEVEL, (*side, 3))
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))

    def shifted(change: Callable[[Image.Image], Image.Image]) -> list[bytes]:
        return [_png(change(Image.fromarray(image))) for image in few]

    return {
        "uniform noise": [
            _png(Image.fromarray(generator.integers(0, 256, (*side, 3), dtype=np.uint8)))
            for _ in range(len(few))
        ],
        "drawn patterns": drawings(min(len(few), MOST // 2)),
        f"test images, blurred by {BLUR:g} pixels": shifted(
            lambda image: image.filter(ImageFilter.GaussianBlur(BLUR))
        ),
        f"test images, contrast {CONTRAST:g}": shifted(
            lambda image: ImageEnhance.Contrast(image).enhance(CONTRAST)
        ),
        f"test images, noise of {NOISE_LEVEL:g} grey levels": shifted(noisy),
    }


def strange_texts(known: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Texts by the name of their kind; the shifted kinds are made from known texts."""
    generator = np.random.default_rng(17)
    few = [known[i] for i in generator.permutation(len(known))[:MOST]]
    words = [text.split() for text in few]
    vocabulary = sorted({word for text in words for word in text})
    pairs = sentence_pairs(MOST // 2, seed=17)
    return {
        "random letters": [_gibberish(len(text), generator) for text in words],
        "random words": [
            " ".join(vocabulary[i] for i in generator.integers(0, len(vocabulary), len(text)))
            for text in words
        ],
        "sentences without an opinion": list(pairs.sources),
        "German sentences": list(pairs.targets),
        "test texts, words shuffled": [
            " ".join(text[i] for i in generator.permutation(len(text))) for text in words
        ],
        f"test texts, {TYPING_ERRORS:.0%} of letters wrong": [
            _mistyped(text, generator) for text in few
        ],
    }


def _gibberish(words: int, generator: Generator) -> str:
    letters = np.array(list(string.ascii_lowercase))
    return " ".join("".join(generator.choice(letters, 6)) for _ in range(max(words, 1)))


def _mistyped(text: str, generator: Generator) -> str:
    letters = np.array(list(text))
    wrong = (generator.random(len(letters)) < TYPING_ERRORS) & np.char.isalpha(letters)
    letters[wrong] = generator.choice(list(string.ascii_lowercase), int(wrong.sum()))
    return "".join(letters)


def _png(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "PNG", compress_level=1)
    return target.getvalue()
