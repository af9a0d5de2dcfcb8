"""`slipway bench`: load on a running server, and what it makes of it."""

import argparse
import sys

import orjson
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.cli.errors import CommandFailed
from service.cli.progress import LoadProgress
from service.cli.tables import make_table, show
from service.load.bench import CLIENTS, Bench, Load
from service.load.capacity import Capacity, Slo
from service.load.errors import LoadError
from service.load.native import native_requests
from service.load.oip import oip_requests
from service.load.rates import readable
from service.load.samples import OK, PERCENTILES, REFUSED, Summary
from service.load.schedule import read_trace
from service.load.svg import Line, line_chart
from service.load.target import Target

# A load that is sent later than this measures itself.
LATE_MS = 20.0


def run(options: argparse.Namespace) -> int:
    """Send the load and tell what came back; exit code 1 if nothing good did."""
    if options.plot and options.plot.suffix != ".svg":
        raise CommandFailed(f"--plot {options.plot}: the plot is an SVG; name it FILE.svg")
    try:
        target = Target.parse(options.url, dict(options.header))
        requests = _requests(target, options)
        loads, capacity = uvloop.run(_bench(options, target, requests))
        _write(options, loads, capacity)
    except LoadError as error:
        raise CommandFailed(str(error)) from error
    return 0 if any(load.seen.statuses.get(OK) for load in loads) else 1


async def _bench(
    options: argparse.Namespace, target: Target, requests: list[bytes]
) -> tuple[list[Load], Capacity | None]:
    slo = Slo(options.slo_ms / 1000, options.share) if options.slo_ms else None
    with LoadProgress() as progress:
        bench = Bench(
            target,
            requests,
            options.seconds,
            slo,
            options.seed,
            progress.begin,
            progress.answered,
        )
        await bench.warm_up(options.warm_up)
        if options.rate:
            return [await bench.open(rate) for rate in options.rate], None
        if options.trace:
            schedule = read_trace(options.trace)
            seconds = max(schedule[-1], 1e-9)
            return [await bench.scheduled(options.trace.name, schedule, seconds)], None
        if slo is not None and options.clients is None:
            found = await bench.capacity()
            return [Load(f"{readable(rate)}/s", seen) for rate, seen in _sorted(found)], found
        return [await bench.closed(options.clients or CLIENTS)], None


def _sorted(found: Capacity) -> list[tuple[float, Summary]]:
    """By rate, as a reader and a plot want them."""
    return sorted(found.trials, key=lambda trial: trial[0])


def _requests(target: Target, options: argparse.Namespace) -> list[bytes]:
    if options.protocol == "native":
        return native_requests(
            target, options.task, model=options.model, data=options.data, seed=options.seed
        )
    if not options.model:
        raise LoadError("--protocol oip needs --model, the name that the server gives it")
    return oip_requests(
        target,
        options.model,
        version=options.model_version,
        shapes=dict(options.shape),
        seed=options.seed,
    )


def _write(options: argparse.Namespace, loads: list[Load], capacity: Capacity | None) -> None:
    if options.plot:
        options.plot.write_text(_plot(loads, options), "utf-8")
    if options.json:
        content = {
            "loads": [{"load": load.title, **load.seen.as_json()} for load in loads],
            "slo": {"latency_ms": options.slo_ms, "share": options.share}
            if options.slo_ms
            else None,
            "capacity_per_s": capacity.rate if capacity else None,
        }
        flags = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        sys.stdout.write(orjson.dumps(content, option=flags).decode() + "\n")
        return
    show(_table(loads, with_slo=bool(options.slo_ms)))
    if capacity is not None:
        objective = f"{options.share:.4g} of requests within {options.slo_ms:g} ms"
        Console().print(f"capacity: [bold]{readable(capacity.rate)}/s[/] with {objective}")
    late_ms = max(load.seen.lag_p99_ms for load in loads)
    if late_ms > LATE_MS:
        Console(stderr=True).print(
            f"requests left up to {late_ms:.0f} ms late (p99): either the server took no more "
            "connections, or this machine is too slow for the load; the latencies include it"
        )


def _table(loads: list[Load], *, with_slo: bool) -> Table:
    titles = ["load", "requests", "ok/s", *(["good %"] if with_slo else [])]
    titles += [f"p{share:g} ms" for share in PERCENTILES] + ["refused", "other"]
    table = make_table(titles, right=titles[1:])
    for load in loads:
        seen = load.seen
        good = [f"{seen.good_share:.2%}".rstrip("%")] if with_slo else []
        times = [f"{found:.2f}" for found in (seen.latency_ms or {}).values()]
        refused = sum(seen.statuses.get(status, 0) for status in REFUSED)
        other = seen.requests - refused - seen.statuses.get(OK, 0)
        cells = [load.title, str(seen.requests), f"{seen.ok_per_s:.1f}", *good]
        cells += times or ["-"] * len(PERCENTILES)
        table.add_row(*map(Text, (*cells, str(refused), str(other))))
    return table


def _plot(loads: list[Load], options: argparse.Namespace) -> str:
    """Latency of what was answered, over what was asked a second."""
    answered = [load.seen for load in loads if load.seen.latency_ms]
    if not answered:
        raise LoadError("--plot: there is no answer to plot")
    lines = [
        Line(name, [(s.offered_per_s, (s.latency_ms or {})[name]) for s in answered])
        for name in ("p50", "p99")
    ]
    title = f"{options.model or options.task}: latency against load"
    return line_chart(title, "requests a second", "ms", lines, options.slo_ms)
