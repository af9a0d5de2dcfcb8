"""When items arrive: rates over time, and the moments drawn from them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rate = Callable[[float], float]  # items a second at a second of the trace
Array = NDArray[np.float64]

DAY_LOW = 0.2  # of the peak, in the quiet hours
BURST_SHARE, BURSTS = 0.25, 4  # of each period at the peak, and how many periods
BURST_LOW = 0.3


@dataclass(frozen=True, slots=True)
class Trace:
    """A load by name, with its peak in items a second."""

    name: str
    rate: Rate
    peak: float


def steady(peak: float, seconds: float) -> Trace:
    """The same all the time."""
    del seconds
    return Trace("steady", lambda _: peak, peak)


def diurnal(peak: float, seconds: float) -> Trace:
    """A day pressed into the simulated time: a cosine from a fifth of the peak up and back."""

    def rate(at_s: float) -> float:
        wave = (1.0 - math.cos(2.0 * math.pi * at_s / seconds)) / 2.0
        return peak * (DAY_LOW + (1.0 - DAY_LOW) * wave)

    return Trace("diurnal", rate, peak)


def bursts(peak: float, seconds: float) -> Trace:
    """Three tenths of the peak, and four times, from one second to the next, all of it."""
    period_s = seconds / BURSTS

    def rate(at_s: float) -> float:
        return peak if at_s % period_s >= (1.0 - BURST_SHARE) * period_s else BURST_LOW * peak

    return Trace("bursts", rate, peak)


TRACES = {"steady": steady, "diurnal": diurnal, "bursts": bursts}


def draw(rate: Rate, begin_s: float, end_s: float, random: np.random.Generator) -> Array:
    """Poisson arrivals in order; within each second the rate is that of its beginning."""
    edges = np.arange(math.floor(begin_s), math.ceil(end_s), dtype=np.float64)
    starts = np.maximum(edges, begin_s)
    widths = np.minimum(edges + 1.0, end_s) - starts
    expected = np.array([rate(edge) for edge in edges]) * widths
    counts = random.poisson(expected)
    spread = random.random(int(counts.sum()))
    return np.sort(np.repeat(starts, counts) + spread * np.repeat(widths, counts))
