"""What every task can do, and the items that are more than bytes or a string.

An item is split into parts; each part becomes features, runs in whatever batch, and its output row
becomes a prediction; the predictions of the parts are joined into the item's. Most items are one
part. Every method is pure and safe to call from several threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Raw = TypeVar("Raw", contravariant=True)
Part = TypeVar("Part")
Features = TypeVar("Features")
Row = TypeVar("Row", contravariant=True)
Prediction = TypeVar("Prediction")


class Task(Protocol[Raw, Part, Features, Row, Prediction]):
    """The meaning of one model's input and output."""

    def split(self, raw: Raw) -> list[Part]:
        """The parts of an item that the model must see; none when the answer needs no model.

        Raises InvalidInput for an item that cannot be understood.
        """
        ...

    def prepare(self, part: Part) -> Part:
        """A part with the same answer that takes less to preprocess, for who does that elsewhere;
        may take milliseconds, and is the part itself where nothing is worth it. Raises as
        `preprocess`."""
        ...

    def preprocess(self, part: Part) -> Features:
        """Features of one part; may take milliseconds. Raises as `split`, or for a bad image
        UnsupportedMedia or PayloadTooLarge."""
        ...

    def cost(self, part: Part) -> int:
        """A quick estimate of how much a part makes the model work, in tokens; 1 for an image."""
        ...

    def least_cost(self, raw: Raw) -> int:
        """What the dearest part of an item costs, or less; known at a glance, in microseconds."""
        ...

    def is_quick(self, part: Part) -> bool:
        """Whether `preprocess` surely takes microseconds, and `cost` is no underestimate."""
        ...

    def postprocess(self, features: Features, row: Row) -> Prediction:
        """What one output row means. Raises InferenceFailed when it means nothing."""
        ...

    def join(self, raw: Raw, predictions: Sequence[Prediction]) -> Prediction:
        """The item's prediction from those of its parts, in the order `split` gave them."""
        ...


@dataclass(frozen=True, slots=True)
class Pixels:
    """An image that is decoded: RGB bytes, [H, W, C], of the size that the model takes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TranslationText:
    """A text to translate, of any length; `beam` 1 is greedy."""

    text: str
    beam: int = 1


@dataclass(frozen=True, slots=True)
class Sentence:
    """A part of a text that is translated in one go; `before` and `after` stand around it in the
    text and are not translated."""

    text: str
    beam: int = 1
    before: str = ""
    after: str = ""
