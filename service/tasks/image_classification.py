"""An image in, the probability of each label out. Shapes: C channels, H, W pixels, K labels."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import ImageInput, Manifest
from service.errors import InvalidInput
from service.tasks.base import Pixels
from service.tasks.images import ImageLimits, ImageReader
from service.tasks.probabilities import is_uncertain, softmax

FEW_LABELS = 256  # up to here sorting all of them is faster than looking for the best
# What takes about as long to read, and not much less than a small image takes in all: of a PNG
# or WebP pixels, of a JPEG bytes.
PIXELS_A_COST, BYTES_A_COST = 16_000, 32 << 10
_PROBABILITY = itemgetter(1)


@dataclass(frozen=True, slots=True, eq=False)
class ImagePrediction:
    """The probability of each of the model's labels, and the most probable one; `uncertain` is None
    for a model that cannot tell."""

    label: str
    score: float
    labels: tuple[str, ...]
    probabilities: Sequence[float]
    uncertain: bool | None = None

    def top(self, k: int) -> tuple[tuple[str, float], ...]:
        """The `k` most probable labels with their probabilities, best first."""
        pairs = zip(self.labels, self.probabilities, strict=True)
        if len(self.labels) > FEW_LABELS:
            return tuple(heapq.nlargest(k, pairs, key=_PROBABILITY))
        return tuple(sorted(pairs, key=_PROBABILITY, reverse=True)[:k])


class ImageClassification:
    """Task over image bytes; what an image may be is in `images`."""

    def __init__(
        self, manifest: Manifest, spec: ImageInput, limits: ImageLimits | None = None
    ) -> None:
        self._labels = manifest.labels
        self._confidence = manifest.confidence
        self._shape_HWC = (spec.height, spec.width, 3)
        self._reader = ImageReader(spec, _tightened(limits or ImageLimits(), manifest))

    def split(self, raw: bytes) -> list[bytes | Pixels]:
        return [raw]

    def prepare(self, part: bytes | Pixels) -> Pixels:
        """The decoded image."""
        return part if isinstance(part, Pixels) else Pixels(self._reader.pixels(part).tobytes())

    def preprocess(self, part: bytes | Pixels) -> NDArray[np.float32]:
        """The normalised image, [C, H, W]."""
        if isinstance(part, Pixels):
            return self._reader.normalise(self._unpacked(part))
        return self._reader.read(part)

    def cost(self, part: bytes | Pixels) -> int:
        """1 for a small image; a few bytes can be one that takes half a second to unpack."""
        if isinstance(part, Pixels):
            return 1
        by_bytes = len(part) // BYTES_A_COST
        if part[:1] == b"\xff":  # a JPEG, of which big ones are unpacked at a fraction
            return 1 + by_bytes
        return 1 + max(by_bytes, self._reader.pixels_at_a_glance(part) // PIXELS_A_COST)

    def least_cost(self, raw: bytes) -> int:
        return 1

    def is_quick(self, part: bytes | Pixels) -> bool:
        return isinstance(part, Pixels) or self._reader.takes_short_way(part)

    def postprocess(
        self, features: NDArray[np.float32], row: NDArray[np.floating]
    ) -> ImagePrediction:
        probabilities, highest_logit = softmax(row, len(self._labels))
        score = max(probabilities)
        best = self._labels[probabilities.index(score)]
        uncertain = is_uncertain(highest_logit, score, self._confidence)
        return ImagePrediction(best, score, self._labels, probabilities, uncertain)

    def join(self, raw: bytes, predictions: Sequence[ImagePrediction]) -> ImagePrediction:
        return predictions[0]

    def _unpacked(self, part: Pixels) -> NDArray[np.uint8]:
        if len(part.data) != math.prod(self._shape_HWC):
            raise InvalidInput(
                f"{len(part.data)} bytes of pixels are no image of {self._shape_HWC}."
            )
        return np.frombuffer(part.data, np.uint8).reshape(self._shape_HWC)


def _tightened(limits: ImageLimits, manifest: Manifest) -> ImageLimits:
    """The server's limits, narrowed by those that the model has of its own."""
    of_model = manifest.limits
    return replace(
        limits,
        min_side=max(limits.min_side, of_model.min_image_side or 1),
        max_side=min(limits.max_side, of_model.max_image_side or limits.max_side),
    )
