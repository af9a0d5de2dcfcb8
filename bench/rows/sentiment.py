"""Sentiment over HTTP with long and short texts mixed, against sorted batches offline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

from bench.child import Child
from bench.closed_loop import turn
from bench.corpora import feeling_texts
from bench.place import Place
from bench.row import Row, median
from bench.serving import serving

TEXTS = 4096  # so many that words are not all known
BATCH_SIZES = (1, 4, 8, 16, 32)
MANY = 512  # texts at once, for who joins as others leave


def measure(place: Place) -> Iterator[Row]:
    """One row."""
    with (
        Child("bench.text_ceiling", str(place.models), str(TEXTS), cores={place.core}) as ceiling,
        serving(place) as server,
    ):
        texts, source = feeling_texts(TEXTS)
        probes = {
            size: ceiling.ask(seconds=0.1, batch_size=size, by_words=True) for size in BATCH_SIZES
        }
        best = max(probes, key=lambda size: float(probes[size]["rate"]))
        requests = [
            server.target.post(
                "/v1/sentiment", json.dumps({"text": t}).encode(), "application/json"
            )
            for t in texts
        ]
        seconds = place.seconds(4.0)
        asyncio.run(turn(server, requests, 32, 2.0))
        pairs, of_library, of_reader = [], [], []
        for _ in range(place.rounds):
            rate = ceiling.ask(seconds=seconds, batch_size=best, by_words=True)["rate"]
            served = asyncio.run(turn(server, requests, 32, seconds))
            slower = ceiling.ask(seconds=seconds, batch_size=best)["rate"]
            pairs.append((float(rate), served))
            of_library.append(served.rate / float(slower))
            cut = ceiling.ask(seconds=seconds, batch_size=MANY, by_words=True, side_by_side=True)
            if cut["is_cut"]:
                of_reader.append(served.rate / float(cut["rate"]))
    most, usual = median([rate for rate, _ in pairs]), median([t.rate for _, t in pairs])
    beside = ""
    if of_reader:
        beside = (
            f"; {median(of_reader):.2f} of {MANY} at a time that are read side by side, as the "
            "service does, instead of in batches"
        )
    yield Row.of_rounds(
        "sentiment",
        "sentiment, one core, 32 clients, mixed lengths ÷ length-sorted offline batches",
        [found.rate / rate for rate, found in pairs],
        0.85,
        detail=f"{usual:.0f} of {most:.0f} texts/s (batch {best}; {source}); "
        f"p99 {pairs[0][1].p99_ms:.0f} ms; {median(of_library):.2f} of batches that the tokenizers "
        "library reads, instead of looking up words as the service does" + beside,
        figures={
            "served": usual,
            "ceiling": most,
            "of_library": median(of_library),
            "of_reader": median(of_reader) if of_reader else None,
        },
    )
