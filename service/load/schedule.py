"""When requests are meant to be sent: seconds since the start, decided before the first answer."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from service.load.errors import LoadError


def poisson(rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Independent arrivals, `rate` a second on average; the same for the same seed."""
    draw = random.Random(seed)
    times: list[float] = []
    at_s = draw.expovariate(rate)
    while at_s < seconds:
        times.append(at_s)
        at_s += draw.expovariate(rate)
    return times


def read_trace(path: Path) -> list[float]:
    """One time a line, in seconds, in order; empty lines and lines with # do not count.

    The first is taken as the start. LoadError names the line that is wrong.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"{path} cannot be read: {error}") from error
    times = list(_times(path, lines))
    if not times:
        raise LoadError(f"{path} holds no times; write one a line, in seconds")
    if any(later < earlier for earlier, later in pairwise(times)):
        raise LoadError(f"{path}: the times must not decrease")
    return [at_s - times[0] for at_s in times]


def _times(path: Path, lines: list[str]) -> Iterator[float]:
    for number, line in enumerate(lines, 1):
        word = line.split("#", 1)[0].strip()
        if not word:
            continue
        try:
            at_s = float(word)
        except ValueError:
            raise LoadError(f"{path}:{number}: {word!r} is no time in seconds") from None
        if not 0 <= at_s < float("inf"):
            raise LoadError(f"{path}:{number}: {word!r} is no time in seconds")
        yield at_s
