"""`python -m bench.peers`: the image model behind each peer, turn by turn with the ceiling.

python -m bench.peers --install      # an environment for each, under build/peers
python -m bench.peers                # measure, and write bench/results
python -m bench.peers Slipway mosec  # some of them; the page holds those measured so far
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from bench.child import Child
from bench.machine import describe
from bench.opened import newest
from bench.peers.peer import (
    BUILD,
    PEERS,
    Peer,
    Running,
    paused,
    raw,
    running,
    wait_until_it_answers,
)
from bench.place import ROOT, Place, stay_on
from bench.report import dated
from bench.serving import serving
from service.load.drive import connect_to, run_closed
from service.load.pictures import small_jpegs
from service.load.samples import summarise
from service.load.svg import Bar, bar_chart
from service.load.target import Target

PORT = 18900
US = "Slipway"
CLIENTS = (32, 1)
KEPT = BUILD / "found"


@dataclass(frozen=True, slots=True)
class Found:
    """The median of the rounds of one peer at one number of clients."""

    name: str
    version: str
    clients: int
    ratio: float
    rate: float
    p50_ms: float
    p99_ms: float


def main() -> int:
    """Exit code 1 if a peer could not be measured; the others are."""
    options = _parse()
    console = Console(stderr=True)
    place = Place(rounds=options.rounds, core=options.core, load_core=options.load_core)
    failed = []
    for name in options.peers or [US, *(peer.name for peer in PEERS)]:
        try:
            _one(name, place, console, install_only=options.install)
        except (subprocess.CalledProcessError, RuntimeError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            console.print(f"{name}: {said[-1] if said else error}", markup=False)
            failed.append(name)
    if not options.install:
        _write(list(_kept()), options.out, options.suffix)
    return int(bool(failed))


def _one(name: str, place: Place, console: Console, *, install_only: bool) -> None:
    peer = next((peer for peer in PEERS if peer.name == name), None)
    if peer is not None:
        peer.install()
    if install_only:
        return
    stay_on({place.load_core})
    with _server(peer, place) as server:
        target = server.target
        requests = [
            (peer.wrap if peer else raw("/v1/classify"))(target, i) for i in small_jpegs(1024)
        ]
        wait_until_it_answers(target, requests[0])
        with Child("bench.image_ceiling", str(place.models), cores={place.core}) as ceiling:
            version = peer.version() if peer else describe().get("commit", "")
            found = [_measure(name, version, place, server, requests, ceiling, n) for n in CLIENTS]
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps([asdict(one) for one in found]))
    for one in found:
        console.print(f"{one.name} {one.version}, {one.clients} clients: {one.ratio:.2f}")


@contextmanager
def _server(peer: Peer | None, place: Place) -> Iterator[Running]:
    if peer is None:
        with serving(place) as ours:
            yield Running(ours.target, ours.process_id)
    else:
        model = newest(place.models, "image-classification").folder
        with running(peer, model, {place.core}, PORT + 10 * PEERS.index(peer)) as theirs:
            yield theirs


def _measure(
    name: str,
    version: str,
    place: Place,
    server: Running,
    requests: list[bytes],
    ceiling: Child,
    clients: int,
) -> Found:
    rounds = []
    _drive(server.target, requests, clients, 1.0)
    for _ in range(place.rounds):
        with paused(server):
            most = float(ceiling.ask(seconds=2.0, batch_size=8)["rate"])
        rate, p50_ms, p99_ms = _drive(server.target, requests, clients, 3.0)
        rounds.append((rate / most, rate, p50_ms, p99_ms))
    middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return Found(name, version, clients, *middle)


def _drive(
    target: Target, requests: list[bytes], clients: int, seconds: float
) -> tuple[float, float, float]:
    samples, took_s = uvloop.run(
        run_closed(connect_to(target), requests, clients=clients, seconds=seconds)
    )
    seen = summarise(samples, took_s)
    if seen.latency_ms is None or seen.good_share < 1:
        raise RuntimeError(f"answers by status: {seen.statuses}")
    return seen.ok_per_s, seen.latency_ms["p50"], seen.latency_ms["p99"]


def _kept() -> Iterator[Found]:
    for name in [US, *(peer.name for peer in PEERS)]:
        path = KEPT / f"{name}.json"
        if path.exists():
            yield from (Found(**one) for one in json.loads(path.read_text()))


def _write(found: list[Found], folder: Path, suffix: str) -> None:
    many = sorted((f for f in found if f.clients == 32), key=lambda f: -f.ratio)
    alone = {one.name: one for one in found if one.clients == 1}
    stem = dated(folder, f"{suffix}-peers")
    folder.mkdir(parents=True, exist_ok=True)
    bars = [Bar(f"{f.name} {f.version}", f.ratio, f"({f.rate:.0f}/s)", f.name == US) for f in many]
    title = "share of one core's image throughput that is left over HTTP, 32 clients"
    stem.with_suffix(".svg").write_text(bar_chart(title, bars), "utf-8")
    lines = ["# Image model behind other servers", ""]
    lines += [f"* {name}: {value}" for name, value in describe().items()]
    lines += ["* command: `python -m bench.peers`", ""]
    lines += [
        "Every server on the same core with the same int8 model and the same 32×32 JPEGs, the load",
        "on the other core; ÷ decode + ONNX Runtime in a loop on that core (batch 8), in turns.",
        "",
        f"![{title}]({stem.name}.svg)",
        "",
        "| server | 32 clients | images/s | p50 ms | p99 ms | 1 client | p50 ms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in many:
        single = alone[one.name]
        lines.append(
            f"| {one.name} {one.version} | {one.ratio:.2f} | {one.rate:.0f} | {one.p50_ms:.1f} | "
            f"{one.p99_ms:.1f} | {single.ratio:.2f} | {single.p50_ms:.2f} |"
        )
    stem.with_suffix(".md").write_text("\n".join((*lines, "")), "utf-8")
    print(stem.with_suffix(".md").read_text("utf-8"))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("peers", nargs="*", metavar="PEER", help="[all]")
    parser.add_argument("--install", action="store_true", help="only make the environments")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0, help="of what is measured [0]")
    parser.add_argument("--load-core", type=int, default=1, help="of the load [1]")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", metavar="DIR")
    parser.add_argument("--suffix", default="", help="behind the date in the files' names")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
