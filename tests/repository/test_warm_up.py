"""The first runs of a model, before anybody asks."""

from collections.abc import Sequence
from typing import Any

import pytest

from service.errors import InferenceFailed
from service.repository.warm_up import warm_up
from tests.model_zoo.samples import image_model

MANIFEST, _ = image_model()


class Engine:
    """Remembers its batches."""

    def __init__(self, answer: Any = None) -> None:
        self.sizes: list[int] = []
        self._answer = answer

    def split(self, raw: Any) -> Sequence[Any]:
        return [raw]

    def predict_batch(self, parts: Sequence[Any]) -> list[Any]:
        self.sizes.append(len(parts))
        return [self._answer for _ in parts]


@pytest.mark.parametrize(
    ("most", "on_gpu", "sizes"),
    [
        (32, False, [1, 8]),
        (4, False, [1, 4]),
        (1, False, [1]),
        (32, True, [1, 2, 4, 8, 16, 32]),
        (48, True, [1, 2, 4, 8, 16, 32, 48]),
        (128, True, [1, 2, 4, 8, 16, 32, 64, 128]),
        (1, True, [1]),
    ],
)
def test_sizes(most: int, on_gpu: bool, sizes: list[int]) -> None:
    engine = Engine()
    warm_up(engine, MANIFEST, most, on_gpu=on_gpu)  # type: ignore[arg-type]
    assert engine.sizes == sizes


def test_an_error_is_raised() -> None:
    with pytest.raises(InferenceFailed):
        warm_up(Engine(InferenceFailed("no")), MANIFEST, 8)  # type: ignore[arg-type]
