"""The three shapes of data: images with a label, texts with a label, sentences with a translation.

N images of height H and width W, C = 3 (red, green, blue).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import DatasetSource

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Indices = Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Images uint8 [N, H, W, 3] and their labels, int64 [N], as positions in `names`.

    `files` are the files that the images were read from, one each, where there are such files.
    """

    images: Images
    labels: Labels
    names: tuple[str, ...]
    source: tuple[DatasetSource, ...] = ()
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images, {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Indices) -> Self:
        """These rows, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        files = tuple(self.files[i] for i in chosen) if self.files else ()
        images, labels = self.images[chosen], self.labels[chosen]
        return type(self)(images, labels, self.names, self.source, files)


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """N texts and their labels, int64 [N], as positions in `names`."""

    texts: Sequence[str]
    labels: Labels
    names: tuple[str, ...]
    source: tuple[DatasetSource, ...] = ()

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise ValueError(f"{len(self.texts)} texts, {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Indices) -> Self:
        """These rows, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        texts = [self.texts[i] for i in chosen]
        return type(self)(texts, self.labels[chosen], self.names, self.source)

    @classmethod
    def joined(cls, parts: Iterable["LabelledTexts"]) -> "LabelledTexts":
        """All rows of several lists that have the same names."""
        parts = tuple(parts)
        if len({part.names for part in parts}) != 1:
            raise ValueError("only lists with the same names can be joined")
        texts = list(chain.from_iterable(part.texts for part in parts))
        labels = np.concatenate([part.labels for part in parts])
        source = tuple(chain.from_iterable(part.source for part in parts))
        return cls(texts, labels, parts[0].names, source)


@dataclass(frozen=True, slots=True)
class SentencePairs:
    """N sentences with their translations; `names` are the two languages, source first."""

    sources: Sequence[str]
    targets: Sequence[str]
    names: tuple[str, str]
    source: tuple[DatasetSource, ...] = ()

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.targets):
            raise ValueError(f"{len(self.sources)} sources, {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, indices: Indices) -> Self:
        """These pairs, in this order."""
        chosen = [int(i) for i in indices]
        sources = [self.sources[i] for i in chosen]
        targets = [self.targets[i] for i in chosen]
        return type(self)(sources, targets, self.names, self.source)

    @classmethod
    def joined(cls, parts: Iterable["SentencePairs"]) -> "SentencePairs":
        """All pairs of several lists in the same two languages."""
        parts = tuple(parts)
        if len({part.names for part in parts}) != 1:
            raise ValueError("only lists in the same languages can be joined")
        sources = list(chain.from_iterable(part.sources for part in parts))
        targets = list(chain.from_iterable(part.targets for part in parts))
        source = tuple(chain.from_iterable(part.source for part in parts))
        return cls(sources, targets, parts[0].names, source)
