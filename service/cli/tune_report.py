"""The page that justifies tuned settings."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from service.load.rates import readable
from service.load.tuning import WORTH, Trial, Tuning, Values


def markdown(tuning: Tuning, start: Values, command: str, slo_ms: float, share: float) -> str:
    """What was tried, what it could do, and what was chosen."""
    best = tuning.best
    tasks = list(tuning.trials[0].capacities)
    lines = [
        "# Settings for this machine",
        "",
        f"* when: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC",
        f"* machine: {_processor()}, {len(os.sched_getaffinity(0))} cores usable, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        f"* command: `{command}`",
        f"* objective: {share:.4g} of all requests answered within {slo_ms:g} ms, "
        "open loop, Poisson arrivals",
        "",
        "## Chosen",
        "",
        *(f"* `{name} = {value}` (was {start[name]})" for name, value in best.settings.items()),
        "",
        _verdict(tuning, start),
        "",
        "## Tried",
        "",
        "Requests a second that kept the objective. The score is the geometric mean over the",
        f"tasks against the first line; a value was kept that gained more than {WORTH - 1:.0%}.",
        "",
        _row([*start, *tasks, "score"]),
        _row(["---"] * (len(start) + len(tasks) + 1)),
        *(_trial(trial, tasks, best) for trial in tuning.trials),
    ]
    if tuning.checks:
        lines += [
            "",
            "## Checked",
            "",
            "The start and the best of the search once more, in turns.",
            "",
        ]
        lines += [_row(["start", "best", "gain"]), _row(["---"] * 3)]
        lines += [
            _row(
                [
                    f"{a.score:.3f}",
                    f"{b.score:.3f}",
                    f"{b.score / a.score - 1:+.1%}" if a.score else "-",
                ]
            )
            for a, b in tuning.checks
        ]
    return "\n".join((*lines, ""))


def _verdict(tuning: Tuning, start: Values) -> str:
    if tuning.best.settings == start:
        return "Nothing tried was better than the settings that were there."
    return f"In turns with the settings that were there: {tuning.gain - 1:+.1%}."


def _trial(trial: Trial, tasks: list[str], best: Trial) -> str:
    mark = "**" if trial is best else ""
    cells = [str(value) for value in trial.settings.values()]
    cells += [readable(trial.capacities[task]) for task in tasks]
    return _row([*cells, f"{mark}{trial.score:.3f}{mark}"])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
