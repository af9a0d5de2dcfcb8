"""Images over HTTP against decode + ONNX Runtime in a loop, turn by turn on the same core."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from bench.child import Child
from bench.closed_loop import Turn, turn
from bench.place import Place, stay_on
from bench.row import Row, median
from bench.serving import Serving, serving
from service.load.native import native_requests

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
CEILING = "bench.image_ceiling"


def measure(place: Place) -> Iterator[Row]:
    """32 clients and 1 client against one core; 32 clients against both."""
    with Child(CEILING, str(place.models), cores={place.core}) as ceiling:
        best = _best_batch(ceiling)
        with serving(place) as server:
            yield asyncio.run(_paired(place, server, [ceiling], best, 32, 0.90, "one core"))
            yield asyncio.run(_paired(place, server, [ceiling], best, 1, 0.72, "one core"))
        with (
            Child(CEILING, str(place.models), cores={place.load_core}) as other,
            serving(place, "--workers", "2", cores=place.both) as server,
        ):
            other.ask(seconds=0.2, batch_size=best)
            stay_on(place.both)
            both = [ceiling, other]
            yield asyncio.run(
                _paired(place, server, both, best, 32, 0.75, "both cores by --workers 2")
            )


def _best_batch(ceiling: Child) -> int:
    ceiling.ask(seconds=0.2, batch_size=1)
    rates = {size: ceiling.ask(seconds=0.5, batch_size=size)["rate"] for size in BATCH_SIZES}
    return max(rates, key=lambda size: float(rates[size]))


async def _paired(
    place: Place,
    server: Serving,
    ceilings: Sequence[Child],
    best: int,
    clients: int,
    aim: float,
    where: str,
) -> Row:
    requests = native_requests(server.target, "classify")
    seconds = place.seconds(3.0)
    await turn(server, requests, clients, 1.0)
    pairs: list[tuple[float, Turn]] = []
    for _ in range(place.rounds):
        for ceiling in ceilings:
            ceiling.tell(seconds=seconds, batch_size=best)
        rate = sum(ceiling.hear()["rate"] for ceiling in ceilings)
        pairs.append((rate, await turn(server, requests, clients, seconds)))
    served, most = median([t.rate for _, t in pairs]), median([rate for rate, _ in pairs])
    middle = pairs[0][1]
    return Row.of_rounds(
        f"images {clients} {where}",
        f"images, {where}, {clients} client{'s' * (clients > 1)} ÷ decode + ONNX Runtime in a loop",
        [found.rate / rate for rate, found in pairs],
        aim,
        detail=f"{served:.0f} of {most:.0f} images/s (batch {best}); p50 {middle.p50_ms:.1f} ms",
        figures={"served": served, "ceiling": most, "cpu_us": middle.cpu_s * 1e6},
    )
