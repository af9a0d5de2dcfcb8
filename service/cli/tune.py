"""`slipway tune`: the settings that suit this machine, found by trying them on the real server."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from service.cli.candidate import candidate, read_settings, write_settings
from service.cli.errors import CommandFailed
from service.cli.progress import LoadProgress
from service.cli.tune_report import markdown
from service.load.bench import Bench
from service.load.capacity import Slo
from service.load.errors import LoadError
from service.load.native import NativeTask, native_requests
from service.load.rates import readable
from service.load.target import Target
from service.load.tuning import Capacities, Knob, Trial, Tuning, Values, tune
from service.runtime.threads import available_cpus
from service.settings import SETTINGS

# What a model of this task is asked at the native API.
TASK_OF: dict[str, NativeTask] = {
    "image-classification": "classify",
    "text-classification": "sentiment",
    "translation": "translate",
}
QUIET = {"log_level": "warning"}
# Finer than these differences, a trial costs more than it tells.
STRIDE, NEAR = 1.4, 1.08


def run(options: argparse.Namespace) -> int:
    """Tune, then write the settings file and the report."""
    base = read_settings(options.config)
    if options.models:
        base["models"] = str(options.models.resolve())
    given = _given_knobs(options, base)
    try:
        live = _live_models(base, options.task or [])
        tasks = sorted({TASK_OF[model["task"]] for model in live})
        knobs = given or usual_knobs(available_cpus(), live)
        start = {knob.name: _current(knob.name, base) for knob in knobs}
        tuning = uvloop.run(_tune(options, base, tasks, knobs, start))
    except LoadError as error:
        raise CommandFailed(str(error)) from error
    _write(options, base, start, tuning)
    return 0


async def _tune(
    options: argparse.Namespace,
    base: dict[str, Any],
    tasks: Sequence[NativeTask],
    knobs: list[Knob],
    start: Values,
) -> Tuning:
    console = Console(stderr=True)
    known: dict[str, float] = {}
    with LoadProgress() as progress:

        async def measure(settings: Values) -> Capacities:
            found: dict[str, float] = {}
            with candidate({**base, **settings, **QUIET}) as target:
                for task in tasks:
                    bench = _bench(options, target, task, progress)
                    await bench.warm_up(1.0)
                    capacity = await bench.capacity(known.get(task), stride=STRIDE, near=NEAR)
                    found[task] = capacity.rate
                    known[task] = capacity.rate or known.get(task, 1.0)
            return found

        def tell(trial: Trial) -> None:
            console.print(f"{_shown(trial.settings)}: {_rates(trial)}  score {trial.score:.3f}")

        return await tune(measure, start, knobs, tell=tell)


def _bench(
    options: argparse.Namespace, target: Target, task: NativeTask, progress: LoadProgress
) -> Bench:
    requests = native_requests(target, task, data=options.data, seed=options.seed)
    slo = Slo(options.slo_ms / 1000, options.share)
    return Bench(
        target, requests, options.seconds, slo, options.seed, progress.begin, progress.answered
    )


def _live_models(base: Mapping[str, Any], tasks: Sequence[NativeTask]) -> list[dict[str, Any]]:
    """Those that do the given tasks, or of every known task where none is given."""
    with candidate({**base, **QUIET}) as target:
        models = target.get_json("/v1/models")["models"]
    wanted = tasks or list(TASK_OF.values())
    found = [model for model in models if TASK_OF.get(model["task"]) in wanted]
    missing = set(tasks) - {TASK_OF[model["task"]] for model in found}
    if missing or not found:
        whose = " or ".join(sorted(missing)) or "a known task"
        raise LoadError(f"no model for {whose} is live; give --models another folder")
    return found


def _given_knobs(options: argparse.Namespace, base: dict[str, Any]) -> list[Knob]:
    given = [Knob(name, values) for name, values in options.knob]
    known = {setting.name for setting in SETTINGS}
    unknown = [knob.name for knob in given if knob.name not in known]
    if unknown:
        raise CommandFailed(f"--knob {unknown[0]}: there is no such setting")
    for knob in given:
        _current(knob.name, base)
    return given


def usual_knobs(cores: int, models: Sequence[Mapping[str, Any]]) -> list[Knob]:
    """What depends on the machine and matters to these models, which are described as by
    GET /v1/models; the strongest first."""
    some = sorted({1, max(1, cores // 2), cores})
    knobs = [Knob("workers", some), Knob("threads", some)]
    if any(model["batching"] == "dynamic" for model in models):
        knobs.append(Knob("max_batch_size", [1, 4, 8, 16, 32, 64]))
    if any(model["task"] == "translation" for model in models):
        knobs.append(Knob("decode_slots", [8, 16, 32, 64]))
    return knobs


def _current(name: str, base: dict[str, Any]) -> int:
    default = next(setting.default for setting in SETTINGS if setting.name == name)
    try:
        return int(base.get(name, default))
    except ValueError:
        raise CommandFailed(f"--knob {name}: only settings that are whole numbers") from None


def _write(
    options: argparse.Namespace, base: dict[str, Any], start: Values, tuning: Tuning
) -> None:
    report: Path = options.report or options.out.with_suffix(".md")
    command = shlex.join(["slipway", *sys.argv[1:]])
    heading = f"Found by `{command}`; {report.name} tells why."
    options.out.write_text(write_settings({**base, **tuning.best.settings}, heading), "utf-8")
    page = markdown(tuning, start, command, options.slo_ms, options.share)
    report.write_text(page, "utf-8")
    Console().print(
        f"{_shown(tuning.best.settings)}: {_rates(tuning.best)}\n"
        f"{options.out} holds the settings, {report} the reasons"
    )


def _shown(settings: Values) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _rates(trial: Trial) -> str:
    return ", ".join(f"{task} {readable(rate)}/s" for task, rate in trial.capacities.items())
