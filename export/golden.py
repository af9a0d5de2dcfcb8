"""Items for a model's self-test, made by rule, and what each variant answers to them."""

import io
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from export.candidate import Candidate, OpenedVariant
from export.datasets.generated import opinions, sentence_pairs
from model_zoo.golden import GOLDEN_FILE, Golden
from model_zoo.manifest import Manifest, Precision, SelfTest, Task
from service.tasks.golden import golden_features, golden_row

POOL, KEPT = 24, 8
SIDE = 40

Pixels = NDArray[np.uint8]

# (tolerance, agreement): how far another processor or provider may differ that computes rightly.
BOUNDS: dict[Task, dict[Precision, tuple[float, float]]] = {
    "image-classification": {"fp32": (0.005, 1.0), "int8": (0.05, 1.0), "fp16": (0.1, 1.0)},
    "text-classification": {"fp32": (0.005, 1.0), "int8": (0.01, 1.0), "fp16": (0.1, 1.0)},
    # in eight bits, which saturate on AVX2, the score was 0.02 away; otherwise 0.000002
    "translation": {"fp32": (0.005, 0.85), "int8": (0.01, 0.85), "fp16": (0.05, 0.75)},
}


def with_self_test(candidate: Candidate) -> Candidate:
    """The candidate with golden.json, and the promise of it in every variant."""
    opened = {precision: candidate.open(precision) for precision in candidate.graphs}
    golden = _decisive(_pool(candidate.manifest), opened, candidate.manifest)
    bounds = BOUNDS[candidate.manifest.task]
    variants = tuple(
        variant.model_copy(
            update={
                "self_test": SelfTest(
                    file=GOLDEN_FILE,
                    items=len(golden.items),
                    tolerance=bounds[variant.precision][0],
                    agreement=bounds[variant.precision][1],
                )
            }
        )
        for variant in candidate.manifest.variants
    )
    return replace(
        candidate,
        manifest=candidate.manifest.model_copy(update={"variants": variants}),
        files={**candidate.files, GOLDEN_FILE: _written(golden)},
    )


def _pool(manifest: Manifest) -> Golden:
    spec = manifest.preprocessing
    if spec.kind == "image":
        items = tuple(b64encode(png).decode() for png in drawings(POOL))
        return Golden(kind="image", items=items, rows={})
    if spec.kind == "text":
        return Golden(kind="text", items=_distinct(opinions(4 * POOL, seed=7).texts), rows={})
    pairs = sentence_pairs(4 * POOL, seed=7)
    sentences = pairs.targets if spec.source == "de" else pairs.sources
    return Golden(kind="text", items=_distinct(sentences), rows={})


def _distinct(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))[:POOL]


def _decisive(
    pool: Golden, opened: Mapping[Precision, OpenedVariant], manifest: Manifest
) -> Golden:
    """The items whose answers hang least on the last digit, so that a changed one means something:
    the variants agree on them, and nothing else was nearly as probable."""
    rows = {
        precision: one.rows(golden_features(pool, manifest, one.task))
        for precision, one in opened.items()
    }
    firmness = [
        min(_firmness(of_variant[i], rows["fp32"][i]) for of_variant in rows.values())
        for i in range(len(pool.items))
    ]
    best = sorted(np.argsort(-np.array(firmness), kind="stable")[:KEPT].tolist())
    return Golden(
        kind=pool.kind,
        items=tuple(pool.items[i] for i in best),
        rows={p: tuple(golden_row(found[i]) for i in best) for p, found in rows.items()},
    )


def _firmness(row: Any, reference: Any) -> float:
    """Lead of the best class, or mean log-probability; none at all where fp32 says otherwise."""
    if isinstance(row, tuple):
        return float(row[1]) if list(row[0]) == list(reference[0]) else -np.inf
    ordered = np.sort(row)
    lead = float(ordered[-1] - ordered[-2])
    return lead if row.argmax() == reference.argmax() else -lead


def _written(golden: Golden) -> bytes:
    document = golden.model_dump(exclude_defaults=True)
    return (json.dumps({"schema_version": 1, **document}, indent=1) + "\n").encode()


def drawings(count: int) -> list[bytes]:
    """PNG files: gradients, stripes, discs, frames and coarse noise in many colours."""
    generator = np.random.default_rng(11)
    kinds = (_gradient, _stripes, _disc, _frame, _noise)
    return [png(kinds[i % len(kinds)](generator)) for i in range(count)]


def _gradient(generator: Generator) -> Pixels:
    down, right = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    start, end = generator.integers(0, 256, (2, 3))
    share = (down + right)[..., None] / 2
    return _pixels(start + (end - start) * share)


def _stripes(generator: Generator) -> Pixels:
    width = int(generator.integers(3, 9))
    colours = generator.integers(0, 256, (2, 3))
    return _pixels(colours[(np.mgrid[0:SIDE, 0:SIDE][int(generator.integers(2))] // width) % 2])


def _disc(generator: Generator) -> Pixels:
    down, right = np.mgrid[0:SIDE, 0:SIDE] - generator.uniform(15, 25, (2, 1, 1))
    inside = down**2 + right**2 < generator.uniform(8, 16) ** 2
    ground, colour = generator.integers(0, 256, (2, 3))
    return _pixels(np.where(inside[..., None], colour, ground))


def _frame(generator: Generator) -> Pixels:
    ground, colour = generator.integers(0, 256, (2, 3))
    image = np.broadcast_to(ground, (SIDE, SIDE, 3)).copy()
    image[8:32, 6:34], image[13:27, 11:29] = colour, ground
    return _pixels(image)


def _noise(generator: Generator) -> Pixels:
    coarse = generator.integers(0, 256, (SIDE // 5, SIDE // 5, 3))
    return _pixels(coarse.repeat(5, axis=0).repeat(5, axis=1))


def _pixels(values: NDArray[Any]) -> Pixels:
    return np.asarray(values).clip(0, 255).astype(np.uint8)


def png(image: Pixels) -> bytes:
    """The image as a PNG file."""
    target = io.BytesIO()
    Image.fromarray(image).save(target, "PNG", optimize=True)
    return target.getvalue()
