"""Images over HTTP against decode + ONNX Runtime in a loop, turn by turn on the same core."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.child import Child
from bench.closed_loop import Turn, polled_rate, turn
from bench.opened import is_written_anew, newest
from bench.place import Place, stay_on
from bench.row import Row, median
from bench.serving import Serving, serving
from service.load.native import native_requests

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
CEILING = "bench.image_ceiling"
TITLE = "decode + ONNX Runtime in a loop"


@dataclass(frozen=True, slots=True)
class Kind:
    """A graph in a loop: as it was published, or as the service opens it; and its best batch."""

    for_this_cpu: bool
    batch_size: int

    @property
    def title(self) -> str:
        """What it is, after what every ceiling is."""
        return ", its convolutions by AMX as in the service" if self.for_this_cpu else ""


def measure(place: Place) -> Iterator[Row]:
    """32 clients and 1 client, sleeping and polling, against one core; 32 clients against both.

    Each against the published graph in a loop and, where the service opens another one for this
    CPU, against that.
    """
    with Child(CEILING, str(place.models), cores={place.core}) as ceiling:
        kinds = [_best(ceiling, for_this_cpu=False)]
        if is_written_anew(newest(place.models, "image-classification")):
            kinds.append(_best(ceiling, for_this_cpu=True))
        with serving(place) as server:
            for clients, aim in ((32, 0.90), (1, 0.72)):
                paired = _paired(place, server, [ceiling], kinds, clients, aim, "one core")
                yield from asyncio.run(paired)
            yield from _polled(place, server, ceiling, kinds)
        with (
            Child(CEILING, str(place.models), cores={place.load_core}) as other,
            serving(place, "--workers", "2", cores=place.both) as server,
        ):
            for kind in kinds:
                other.ask(seconds=0.2, batch_size=kind.batch_size, for_this_cpu=kind.for_this_cpu)
            stay_on(place.both)
            both = [ceiling, other]
            where = "both cores by --workers 2"
            yield from asyncio.run(_paired(place, server, both, kinds, 32, 0.75, where))


def _best(ceiling: Child, *, for_this_cpu: bool) -> Kind:
    ceiling.ask(seconds=0.2, batch_size=1, for_this_cpu=for_this_cpu)
    rates = {
        size: ceiling.ask(seconds=0.4, batch_size=size, for_this_cpu=for_this_cpu)["rate"]
        for size in BATCH_SIZES
    }
    return Kind(for_this_cpu, max(rates, key=lambda size: float(rates[size])))


async def _paired(
    place: Place,
    server: Serving,
    ceilings: Sequence[Child],
    kinds: Sequence[Kind],
    clients: int,
    aim: float,
    where: str,
) -> list[Row]:
    requests = native_requests(server.target, "classify")
    seconds = place.seconds(2.5)
    await turn(server, requests, clients, 1.0)
    served: list[Turn] = []
    rates: dict[Kind, list[float]] = {kind: [] for kind in kinds}
    for _ in range(place.rounds):
        for kind in kinds:
            rates[kind].append(_rate(ceilings, kind, seconds / len(kinds)))
        served.append(await turn(server, requests, clients, seconds))
    usual = median([found.rate for found in served])
    return [
        Row.of_rounds(
            f"images {clients} {where}" + " AMX" * kind.for_this_cpu,
            f"images, {where}, {clients} client{'s' * (clients > 1)} ÷ {TITLE}{kind.title}",
            [found.rate / rate for rate, found in zip(rates[kind], served, strict=True)],
            aim,
            detail=f"{usual:.0f} of {median(rates[kind]):.0f} images/s "
            f"(batch {kind.batch_size}); p50 {served[0].p50_ms:.1f} ms",
            figures={
                "served": usual,
                "ceiling": median(rates[kind]),
                "cpu_us": served[0].cpu_s * 1e6,
            },
        )
        for kind in kinds
    ]


def _polled(place: Place, server: Serving, ceiling: Child, kinds: Sequence[Kind]) -> Iterator[Row]:
    """One client once more, which does not sleep: how much of the row before is its waking."""
    requests = native_requests(server.target, "classify")
    seconds = place.seconds(2.5)
    for kind in kinds:
        rates, served = [], []
        for _ in range(place.rounds):
            rates.append(_rate([ceiling], kind, seconds / len(kinds)))
            served.append(polled_rate(server, requests, seconds))
        yield Row.of_rounds(
            "images polled" + " AMX" * kind.for_this_cpu,
            f"… 1 client that polls instead of sleeping ÷ {TITLE}{kind.title}",
            [found / rate for rate, found in zip(rates, served, strict=True)],
            0.72,
            detail=f"{median(served):.0f} of {median(rates):.0f} images/s",
        )


def _rate(ceilings: Sequence[Child], kind: Kind, seconds: float) -> float:
    for ceiling in ceilings:
        ceiling.tell(seconds=seconds, batch_size=kind.batch_size, for_this_cpu=kind.for_this_cpu)
    return sum(float(ceiling.hear()["rate"]) for ceiling in ceilings)
