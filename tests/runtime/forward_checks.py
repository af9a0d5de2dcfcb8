"""What every execution provider must show with images and texts; run by a test file for each."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_zoo.manifest import Manifest, Provider
from service.runtime.runner import Runner, make_runner
from tests.runtime.graphs import Array
from tests.runtime.tiny_models import (
    image_graph,
    image_manifest,
    images,
    portable_text_graph,
    text_graph,
    text_manifest,
    texts,
)

TEXTS = texts([4, 1, 9, 16, 2, 3, 5])
CASES: dict[str, tuple[Manifest, bytes, Sequence[Any]]] = {
    "image": (image_manifest(), image_graph(), images(7)),
    "text": (text_manifest(), text_graph(), TEXTS),
    "portable text": (text_manifest(), portable_text_graph(), TEXTS),
}
PORTABLE = ("image", "portable text")
TOLERANCE = 1e-5


def open_case(kind: str, provider: Provider, *, strict: bool = True) -> Runner:
    manifest, graph, _ = CASES[kind]
    return make_runner(manifest, {"model": graph}, providers=[provider], strict=strict)


def check_alone_is_in_a_batch(kind: str, provider: Provider) -> None:
    """Neither the neighbours nor the padding may change an answer."""
    runner, features = open_case(kind, provider), CASES[kind][2]
    together = runner.run(features)
    alone = [runner.run([one])[0] for one in features]
    np.testing.assert_allclose(together, alone, atol=TOLERANCE)
    np.testing.assert_allclose(together[::-1], runner.run(features[::-1]), atol=TOLERANCE)
    assert len({tuple(row) for row in together}) == len(features)


def check_rows_are_those_of_the_cpu(kind: str, provider: Provider) -> None:
    features = CASES[kind][2]
    rows: list[Array] = list(open_case(kind, provider).run(features))
    assert all(row.dtype == np.float32 and row.shape == (2,) for row in rows)
    np.testing.assert_allclose(rows, open_case(kind, "cpu").run(features), atol=TOLERANCE)
