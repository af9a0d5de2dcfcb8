"""Results as a table for the terminal, as JSON, and as plots."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.scaling.simulation import Result

COLUMNS = ("value", "p50 ms", "p99 ms", "p99.9 ms", "unanswered", "pods", "pod-hours")

SHOWN = {"p99_ms": "p99 in ms", "percent": "not answered in %", "pod_hours": "pod-hours"}


@dataclass(frozen=True, slots=True)
class Case:
    """A simulated case by what was varied: `value` is a target or a number of replicas."""

    model: str
    trace: str
    signal: str
    value: float
    result: Result

    def figures(self) -> dict[str, float]:
        """All that the table and the plots show."""
        pods = [sample.pods for sample in self.result.samples]
        return {
            "p50_ms": round(self.result.latency_ms(0.5), 2),
            "p99_ms": round(self.result.latency_ms(0.99), 2),
            "p999_ms": round(self.result.latency_ms(0.999), 2),
            "unanswered": round(self.result.outcome.unanswered, 6),
            "pods_least": min(pods),
            "pods_most": max(pods),
            "pod_hours": round(self.result.pod_hours, 2),
            "items": self.result.outcome.arrived,
        }

    def as_json(self) -> dict[str, Any]:
        varied = {"model": self.model, "trace": self.trace, "signal": self.signal}
        return {**varied, "value": self.value, **self.figures()}


def table(cases: Sequence[Case], title: str, caption: str) -> Table:
    """A row a case."""
    found = Table(title=title, caption=caption)
    for name in ("model", "trace", "signal", *COLUMNS):
        found.add_column(name, justify="right" if name in COLUMNS else "left", no_wrap=True)
    for case in cases:
        row = case.figures()
        found.add_row(
            *(case.model, case.trace, case.signal, f"{case.value:g}"),
            *(f"{row[name]:.1f}" for name in ("p50_ms", "p99_ms", "p999_ms")),
            f"{row['unanswered']:.3%}",
            f"{row['pods_least']}-{row['pods_most']}",
            f"{row['pod_hours']:.2f}",
        )
    return found


def write_json(path: Path, cases: Sequence[Case], settings: dict[str, Any]) -> None:
    """The settings, and every case."""
    content = {"settings": settings, "cases": [case.as_json() for case in cases]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def plot(path: Path, rows: Sequence[dict[str, Any]], x_name: str) -> None:
    """Latency, share without an answer and cost against what was varied; a line a model, signal
    and trace. `rows` are cases as JSON.

    Raises SystemExit where matplotlib is missing.
    """
    axes, save = _axes(3)
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        name = f"{row['model']}, {row['signal']}, {row['trace']}"
        lines.setdefault(name, []).append({**row, "percent": 100.0 * row["unanswered"]})
    for axis, (name, label) in zip(axes, SHOWN.items(), strict=True):
        for line, some in lines.items():
            axis.plot([row["value"] for row in some], [row[name] for row in some], "o-", label=line)
        axis.set(xlabel=x_name, ylabel=label, xscale="log")
        values = sorted({row["value"] for row in rows})
        axis.set_xticks(values, [f"{value:g}" for value in values])
        axis.minorticks_off()
    axes[0].set_yscale("log")
    axes[-1].figure.legend(
        *axes[-1].get_legend_handles_labels(), loc="outside right center", fontsize=7
    )
    save(path)


def plot_course(path: Path, case: Case) -> None:
    """One case over time: the load, the pods, and what waits."""
    axes, save = _axes(3)
    samples = case.result.samples
    minutes = [sample.at_s / 60.0 for sample in samples]
    for axis, name, heights in (
        (axes[0], "items a second", [sample.rate for sample in samples]),
        (axes[1], "pods, and those ready", [sample.pods for sample in samples]),
        (axes[2], "seconds of work waiting", [sample.queue_s for sample in samples]),
    ):
        axis.step(minutes, heights, where="post")
        axis.set(xlabel="minutes", ylabel=name)
    axes[1].step(minutes, [sample.ready for sample in samples], where="post")
    axes[0].set_title(f"{case.model}, {case.trace}, {case.signal} {case.value:g}", fontsize=9)
    save(path)


def _axes(count: int) -> Any:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise SystemExit("plots need matplotlib: pip install matplotlib") from None
    mpl.use("Agg")
    figure = Figure(figsize=(4.2 * count, 3.4), layout="constrained")
    return figure.subplots(1, count), lambda path: figure.savefig(path, dpi=110)
