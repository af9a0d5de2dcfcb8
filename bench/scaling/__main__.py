"""How many pods a load takes, and which target an autoscaler should have: simulated, not guessed.

  1. python -m bench.scaling measure
       Measures how long this machine takes for a batch, by its size and its length, for all three
       models. The table lies in bench/results/latency_cpu.json; make your own where you serve.

  2. python -m bench.scaling replicas --model reviews-lstm --rate 2000
       A fixed number of pods under a load: where does latency leave the floor, where are items
       refused, what does it cost?

  3. python -m bench.scaling targets --trace bursts
       The autoscaler of k8s/ under a load, with one target after another: a high one saves pods and
       refuses items, a low one does the reverse. The manifests have the one that this found.

A peak of 5 "pods" is five times what one pod can do with batches of the best size; --rate gives
items a second instead. Pods choose batches by the server's own policy, and refuse and expire as it
does; the balancer chooses pods at random; the autoscaler follows the rule of the
HorizontalPodAutoscaler over what Prometheus scraped. Not simulated: a CPU that is shared with
others, clients that come back after a refusal, and for translation the continuous batching of the
server, in whose place whole batches run.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench.place import ROOT
from bench.scaling.arrivals import TRACES, Trace
from bench.scaling.autoscaler import Behaviour
from bench.scaling.latency import LatencyFile, LatencyTable, read_latencies
from bench.scaling.measure import measure
from bench.scaling.pod import Server
from bench.scaling.report import Case, plot, plot_course, table, write_json
from bench.scaling.simulation import Plan, Scaling, simulate
from model_zoo.catalog import DEFAULT_ROOT

LATENCIES = ROOT / "bench" / "results" / "latency_cpu.json"
SIGNALS = {
    "seconds": (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
    "depth": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
}
FILE_WIDTH = 120
SPARE = 0.7  # of a pod's capacity: with how many pods a fleet that scales begins


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 however the figures are."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    if options.what == "measure":
        with console.status("measuring") as status:
            found = measure(options.models, options.workers, status.update)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
        console.print(f"{options.out}")
        return 0
    plans = list(_plans(options, read_latencies(options.latencies)))
    cases = []
    with Progress(console=console, transient=True) as progress:
        whole = progress.add_task("simulating", total=sum(plan.seconds for _, plan in plans))
        for (model, signal, value), plan in plans:
            result = simulate(plan, lambda step_s: progress.advance(whole, step_s))
            cases.append(Case(model, plan.trace.name, signal, value, result))
    _show(cases, options)
    return 0


def _plans(
    options: argparse.Namespace, latencies: LatencyFile
) -> Iterator[tuple[tuple[str, str, float], Plan]]:
    for model in options.model or sorted(latencies.models):
        found = latencies.models.get(model)
        if found is None:
            raise SystemExit(f"{options.latencies} has {', '.join(latencies.models)}, not {model}")
        for name in options.trace or sorted(TRACES):
            server = _server(found, options)
            capacity = found.capacity(options.workers, options.max_batch_size) * options.reached
            peak = options.rate or options.peak_pods * capacity
            trace = TRACES[name](peak, options.seconds)
            for signal, value, scaling in _scalings(options):
                began = int(value) if scaling is None else _first(trace, capacity, scaling)
                yield (
                    (model, signal, value),
                    Plan(
                        server=server,
                        trace=trace,
                        seconds=options.seconds,
                        replicas=began,
                        shares=found.shares,
                        scaling=scaling,
                        start_s=options.start_s,
                        seed=options.seed,
                    ),
                )


def _server(found: LatencyTable, options: argparse.Namespace) -> Server:
    grid = found.by_size(options.max_batch_size)
    return Server(
        lengths=found.lengths,
        seconds=[[seconds / options.reached for seconds in row] for row in grid],
        workers=options.workers,
        max_batch_size=options.max_batch_size,
        max_queue_size=options.max_queue_size,
        run_s=found.model().seconds if found.padded else None,
    )


def _scalings(options: argparse.Namespace) -> Iterator[tuple[str, float, Scaling | None]]:
    if options.what == "replicas":
        yield from (("fixed", float(number), None) for number in options.replicas)
        return
    behaviour = Behaviour(least=options.least, most=options.most)
    for signal in options.signal or sorted(SIGNALS):
        for value in options.targets or SIGNALS[signal]:
            targets = {signal: value}
            yield signal, value, Scaling(targets=targets, kind=options.kind, behaviour=behaviour)


def _first(trace: Trace, capacity: float, scaling: Scaling) -> int:
    rule = scaling.behaviour
    return max(rule.least, min(rule.most, round(trace.rate(0.0) / capacity / SPARE)))


def _show(cases: Sequence[Case], options: argparse.Namespace) -> None:
    screen = Console()
    console = screen if screen.is_terminal else Console(width=FILE_WIDTH)
    console.print(
        table(
            cases,
            "Simulated",
            "unanswered: refused or expired; value: target per pod, or replicas; "
            f"{options.seconds:g} s, seed {options.seed}",
        )
    )
    if options.json:
        kept = {
            name: value for name, value in vars(options).items() if name not in ("json", "plot")
        }
        settings = {name: v.name if isinstance(v, Path) else v for name, v in kept.items()}
        write_json(options.json, cases, {**settings, "behaviour": asdict(Behaviour())})
    if options.plot and len(cases) == 1:
        plot_course(options.plot, cases[0])
    elif options.plot:
        x_name = "replicas" if options.what == "replicas" else "target per pod"
        plot(options.plot, [case.as_json() for case in cases], x_name)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m bench.scaling", description=__doc__, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")
    measured = commands.add_parser("measure", help="measure t(batch, length) on this machine")
    measured.add_argument("--out", type=Path, default=LATENCIES, help="the file to write")
    measured.add_argument("--models", type=Path, default=DEFAULT_ROOT, help="published models")
    measured.add_argument("--workers", type=int, default=2, help="threads at once (default: 2)")
    fixed = commands.add_parser("replicas", help="fixed numbers of pods under a load")
    fixed.add_argument("--replicas", type=int, nargs="+", default=[2, 3, 4, 5, 6, 8, 10])
    _of_a_load(fixed)
    scaled = commands.add_parser("targets", help="an autoscaler with one target after another")
    scaled.add_argument("--signal", choices=sorted(SIGNALS), action="append", help="all, if absent")
    scaled.add_argument("--targets", type=float, nargs="+", help="per pod; a range, if absent")
    scaled.add_argument("--kind", choices=("keda", "hpa"), default="keda", help="who asks")
    scaled.add_argument("--least", type=int, default=2, help="minReplicas (default: 2)")
    scaled.add_argument("--most", type=int, default=10, help="maxReplicas (default: 10)")
    _of_a_load(scaled)
    return parser


def _of_a_load(parser: argparse.ArgumentParser) -> None:
    add: Any = parser.add_argument
    add("--latencies", type=Path, default=LATENCIES, help="what `measure` wrote")
    add("--model", action="append", help="a model of that file; all, if absent")
    add("--trace", choices=sorted(TRACES), action="append", help="a shape of load; all, if absent")
    add("--rate", type=float, help="items a second at the peak, instead of --peak-pods")
    add("--peak-pods", type=float, default=5.0, help="peak in capacities of a pod (default: 5)")
    add("--seconds", type=float, default=3600.0, help="length of the trace (default: 3600)")
    add("--seed", type=int, default=1, help="another one draws other arrivals (default: 1)")
    add("--workers", type=int, default=2, help="workers, one a CPU of a pod (default: 2)")
    add("--max-batch-size", type=int, default=32, help="as the setting (default: 32)")
    add("--max-queue-size", type=int, default=128, help="as in k8s/ (default: 128)")
    add("--start-s", type=float, default=20.0, help="from a decision to a ready pod (default: 20)")
    add(
        "--reached",
        type=float,
        default=0.75,
        help="what a server reaches of the rate in the table; HTTP takes the rest (default: 0.75)",
    )
    add("--json", type=Path, help="write settings and results")
    add("--plot", type=Path, help="draw them (PNG or SVG); of a single case, its course over time")


if __name__ == "__main__":
    sys.exit(main())
