"""The same tokens in continuous batches and alone."""

from __future__ import annotations

from collections.abc import Iterator

from bench.child import Child
from bench.opened import newest
from bench.place import Place
from bench.row import Row

COUNT = 500


def measure(place: Place) -> Iterator[Row]:
    """One row a variant."""
    variants = newest(place.models, "translation").manifest.variants
    with Child("bench.tokens_loop", str(place.models), cores=place.both) as child:
        for precision in (one.precision for one in variants if one.precision != "fp16"):
            found = child.ask(precision=precision, count=COUNT)
            yield Row(
                f"same tokens {precision}",
                f"translation, {precision}: same tokens in continuous batches and alone",
                found["same"] / found["count"],
                1.0,
                sense="=",
                detail=f"{found['same']} of {found['count']} requests",
            )
