"""Translation against CTranslate2 int8 on the same weights and the same cores, turn by turn."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.child import Child
from bench.closed_loop import turn
from bench.corpora import translation_texts
from bench.machine import has_avx512
from bench.place import ROOT, Place
from bench.row import Row, median
from bench.serving import Serving, serving

TEXTS = 1000
PRESENT = 64
FOLDER = ROOT / "build" / "bench" / "ctranslate2"
VOCABULARY_MAP = FOLDER / "vmap.txt"  # where there is a shortlist

# Left alone it takes AVX2 on processors that are not Intel's, and is 3 to 5 % slower for it.
_FASTEST = {"CT2_FORCE_CPU_ISA": "AVX512"} if has_avx512() else {}


def measure(place: Place) -> Iterator[Row]:
    """Same weights; in process on both cores; over HTTP and one client on one core."""
    said, isa = _convert(place.models)
    yield said
    yield _in_process(place, isa)
    with _ctranslate2(place, {place.core}) as other, serving(place) as server:
        yield asyncio.run(_over_http(place, server, other))
        yield asyncio.run(_one_client(place, server, other))


def _ctranslate2(place: Place, cores: set[int] | frozenset[int]) -> Child:
    arguments = (str(place.models), str(FOLDER), str(TEXTS))
    return Child("bench.ctranslate2_loop", *arguments, cores=cores, environment=_FASTEST)


def _convert(models: Path) -> tuple[Row, str]:
    """The agreement of both at fp32, and which instructions CTranslate2 uses."""
    words = [sys.executable, "-m", "bench.ctranslate2_model", str(FOLDER), "--models", str(models)]
    done = subprocess.run(
        words,
        env={**os.environ, **_FASTEST, "CT2_VERBOSE": "1"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    same = {m[1]: (int(m[2]), int(m[3])) for m in _AGREE.finditer(done.stdout)}
    isa = found[1] if (found := _ISA.search(done.stderr)) else "unknown"
    detail = ", ".join(f"{name}: {a} of {b} sentences" for name, (a, b) in same.items())
    equal, count = same["fp32"]
    return Row(
        "translation weights",
        "CTranslate2 float32 on the converted weights: same greedy translations as ours",
        equal / count,
        0.95,
        detail=f"{detail} (each quantizes in its own way); CTranslate2 reports {isa}",
        figures={"isa": isa},
    ), isa


_AGREE = re.compile(r"^(\w+): (\d+) of (\d+)", re.MULTILINE)
_ISA = re.compile(r"Selected ISA: (\S+)")


def _in_process(place: Place, isa: str) -> Row:
    """Two engine processes as `slipway serve` starts them; in turns, one with two threads too, and
    CTranslate2 with a vocabulary map made of our shortlist."""
    seconds = place.seconds(3.5)
    mapped = VOCABULARY_MAP.exists()
    rounds = []
    with (
        _engine(place, {place.core}) as first,
        _engine(place, {place.load_core}) as second,
        _engine(place, place.both) as threads,
        _ctranslate2(place, place.both) as theirs,
    ):
        for seconds_each in (1.0, *[seconds] * place.rounds):
            them = _tokens(theirs.ask(seconds=seconds_each))
            for engine in (first, second):
                engine.tell(seconds=seconds_each, present=PRESENT // 2)
            us = _tokens(first.hear()) + _tokens(second.hear())
            together = _tokens(threads.ask(seconds=seconds_each, present=PRESENT))
            by_map = _tokens(theirs.ask(seconds=seconds_each, mapped=True)) if mapped else 0.0
            rounds.append((them, us, together, by_map))
    # the first was to warm up
    of_them, of_us, of_threads, of_map = zip(*rounds[1:], strict=True)
    us, them, together, by_map = map(median, (of_us, of_them, of_threads, of_map))
    with_map = f", {by_map:.0f} with a vocabulary map made of our shortlist" if mapped else ""
    return Row.of_rounds(
        "translation in process",
        f"translation in process, both cores by an engine process each, {PRESENT} requests always "
        "present ÷ CTranslate2 int8, arrival-order batches of 32",
        [ours / theirs for ours, theirs in zip(of_us, of_them, strict=True)],
        1.40,
        detail=f"{us:.0f} of {them:.0f} tokens/s, and {together:.0f} by one process with two "
        f"threads; CTranslate2 on {isa}, one thread a core{with_map}; {translation_texts(2)[1]}",
        figures={"ours": us, "ctranslate2": them, "threads": together, "mapped": by_map},
    )


def _engine(place: Place, cores: set[int] | frozenset[int]) -> Child:
    return Child("bench.engine_loop", str(place.models), str(TEXTS), cores=cores)


async def _over_http(place: Place, server: Serving, other: Child) -> Row:
    seconds = place.seconds(3.5)
    requests = _requests(server)
    await turn(server, requests, 32, 1.0)
    other.ask(seconds=1.0)
    pairs = []
    for _ in range(place.rounds):
        theirs = _tokens(other.ask(seconds=seconds))
        before = server.total("slipway_generated_tokens_total")
        found = await turn(server, requests, 32, seconds)
        written = server.total("slipway_generated_tokens_total") - before
        pairs.append((theirs, written / found.took_s))
    us, them = median([ours for _, ours in pairs]), median([theirs for theirs, _ in pairs])
    return Row.of_rounds(
        "translation over HTTP",
        "translation over HTTP, one core, 32 clients ÷ CTranslate2 int8 on that core",
        [ours / theirs for theirs, ours in pairs],
        1.15,
        detail=f"{us:.0f} of {them:.0f} tokens/s",
        figures={"ours": us, "ctranslate2": them},
    )


async def _one_client(place: Place, server: Serving, other: Child) -> Row:
    seconds = place.seconds(2.0)
    requests = _requests(server)
    pairs = []
    for _ in range(place.rounds):
        theirs = float(other.ask(seconds=seconds, one_by_one=True)["p50_ms"])
        pairs.append((theirs, (await turn(server, requests, 1, seconds)).p50_ms))
    us, them = median([ours for _, ours in pairs]), median([theirs for theirs, _ in pairs])
    return Row.of_rounds(
        "translation one client",
        "translation over HTTP, one core, 1 client: median latency ÷ CTranslate2 in process",
        [ours / theirs for theirs, ours in pairs],
        1.1,
        sense="≤",
        detail=f"{us:.2f} ms against {them:.2f} ms",
        figures={"ours_ms": us, "ctranslate2_ms": them},
    )


def _requests(server: Serving) -> list[bytes]:
    return [
        server.target.post("/v1/translate", json.dumps({"text": t}).encode(), "application/json")
        for t in translation_texts(TEXTS)[0]
    ]


def _tokens(answer: dict[str, Any]) -> float:
    return float(answer["tokens_per_s"])
