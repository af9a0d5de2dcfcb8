"""Draws the pictures of a model card as small PNG files. Knows numbers, no model and no data set.

N items, K classes.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

Labels = NDArray[np.int64]
Probabilities = NDArray[np.floating]

BLUE, ORANGE, GREY = "#2f6fb0", "#d9772b", "#8a8f98"
PALETTE_COLOURS = 64  # a plot has few colours, and a palette file is a third of the size
DOTS_PER_INCH = 100
MAX_WRITTEN_CLASSES = 12  # more, and the numbers in the cells no longer fit
MAX_NAMED_CLASSES = 40
NOT_CURVES = ("epoch", "seconds", "step")


@dataclass(frozen=True, slots=True)
class LengthBin:
    """The score of the items of one range of lengths."""

    title: str
    score: float
    items: int


def training_curves(rows: Sequence[Mapping[str, float]]) -> bytes:
    """One row an epoch: losses on the left, every other score on the right."""
    names = sorted({name for row in rows for name in row} - set(NOT_CURVES))
    losses = [name for name in names if "loss" in name]
    scores = [name for name in names if name not in losses]
    panels = [panel for panel in (losses, scores) if panel]
    figure = Figure(figsize=(4.0 * max(len(panels), 1), 3.2), layout="constrained")
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for name in panel:
            points = [
                (row.get("epoch", i + 1), row[name]) for i, row in enumerate(rows) if name in row
            ]
            axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), marker=".")
        axes.legend(frameon=False)
        _finish(axes, "epoch", "loss" if panel is losses else "validation score")
    return _png(figure)


def confusion_matrix(labels: Labels, predictions: Labels, names: Sequence[str]) -> bytes:
    """Share of each true class (row) that got each answer (column)."""
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (labels, predictions), 1)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    side = min(3.0 + 0.32 * len(names), 8.0)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= MAX_NAMED_CLASSES:
        places = range(len(names))
        axes.set_xticks(places, names, rotation=60, ha="right", parse_math=False)
        axes.set_yticks(places, names, parse_math=False)  # a name may hold dollar signs
    if len(names) <= MAX_WRITTEN_CLASSES:
        for (row, column), share in np.ndenumerate(shares):
            shade = "white" if share > 0.5 else "black"
            axes.text(
                column, row, f"{100 * share:.0f}", ha="center", va="center", color=shade, fontsize=8
            )
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.set_title("Answers per true class, %", fontsize=10)
    return _png(figure)


def calibration_error(probabilities_NK: Probabilities, labels: Labels, bins: int = 15) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over bins of confidence."""
    confidence, right, place = _confidence_bins(probabilities_NK, labels, bins)
    gaps = np.abs(_sum(place, right, bins) - _sum(place, confidence, bins))
    return float(gaps.sum() / len(labels))


def reliability(probabilities_NK: Probabilities, labels: Labels, bins: int = 15) -> bytes:
    """Accuracy by confidence, with the share of items of each bin and the calibration error."""
    confidence, right, place = _confidence_bins(probabilities_NK, labels, bins)
    items = _sum(place, np.ones(len(labels)), bins)
    full = items > 0
    figure = Figure(figsize=(4.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    centres = (np.arange(bins) + 0.5) / bins
    axes.bar(
        centres, items / len(labels), 0.9 / bins, color=GREY, alpha=0.4, label="share of items"
    )
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    axes.plot(
        _sum(place, confidence, bins)[full] / items[full],
        _sum(place, right, bins)[full] / items[full],
        color=BLUE,
        marker="o",
        label="accuracy",
    )
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    error = calibration_error(probabilities_NK, labels, bins)
    axes.set_title(f"Expected calibration error {100 * error:.1f} %", fontsize=10)
    _finish(axes, "confidence", "accuracy")
    return _png(figure)


def class_accuracy(labels: Labels, predictions: Labels, names: Sequence[str]) -> bytes:
    """Share of right answers for each true class, best first."""
    totals = np.bincount(labels, minlength=len(names))
    right = np.bincount(labels[labels == predictions], minlength=len(names))
    shares = 100 * right / totals.clip(1)
    order = np.argsort(shares, kind="stable")
    figure = Figure(figsize=(5.0, min(1.2 + 0.28 * len(names), 9.0)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(names))
    bars = axes.barh(places, shares[order], color=BLUE)
    axes.set_yticks(places, [names[i] for i in order], parse_math=False)
    axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
    axes.set_xlim(0, 108)
    overall = 100 * float((labels == predictions).mean())
    axes.axvline(overall, color=ORANGE, linewidth=1, label=f"all classes {overall:.1f}")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    _finish(axes, "accuracy, %", "")
    return _png(figure)


def length_bins(
    lengths: Sequence[int], edges: Sequence[int], score: Callable[[Sequence[int]], float]
) -> tuple[LengthBin, ...]:
    """Score the items of each range: below the first edge, between edges, from the last on.

    `score` is given the positions of a range's items, and called for ranges that have some.
    """
    places = np.digitize(lengths, edges)
    titles = [f"< {edges[0]}"]
    titles += [f"{low}–{high - 1}" for low, high in pairwise(edges)]
    titles.append(f"≥ {edges[-1]}")
    found = ((title, np.flatnonzero(places == place)) for place, title in enumerate(titles))
    return tuple(
        LengthBin(title, score([int(row) for row in rows]), len(rows))
        for title, rows in found
        if len(rows)
    )


def score_by_length(bins: Sequence[LengthBin], metric: str, unit: str = "tokens") -> bytes:
    """One bar a range of lengths, with the number of items in it."""
    figure = Figure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.bar([one.title for one in bins], [one.score for one in bins], color=BLUE)
    captions = [f"{one.score:.1f}\n(n = {one.items})" for one in bins]
    axes.bar_label(bars, captions, padding=2, fontsize=8)
    axes.margins(y=0.2)
    _finish(axes, f"length, {unit}", metric)
    return _png(figure)


def _confidence_bins(
    probabilities_NK: Probabilities, labels: Labels, bins: int
) -> tuple[NDArray[np.floating], NDArray[np.floating], Labels]:
    """Confidence, rightness (0 or 1) and bin of each item."""
    confidence = probabilities_NK.max(axis=1)
    right = (probabilities_NK.argmax(axis=1) == labels).astype(np.float64)
    return confidence, right, (confidence * bins).astype(np.int64).clip(0, bins - 1)


def _sum(place: Labels, values: NDArray[np.floating], bins: int) -> NDArray[np.floating]:
    return np.bincount(place, weights=values, minlength=bins).astype(np.float64)


def _finish(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(PALETTE_COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()
