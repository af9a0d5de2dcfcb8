"""How to lay processes over the cores: one, one a core, or front ends before one engine.

    python bench/arrangements.py                      # 32 clients, all tasks, three rounds
    python bench/arrangements.py --clients 1 8 --tasks classify

Starts a server of each kind on the same cores as the load, and has them take turns. Tells answers
a second, latencies, the processor time that the event loop of the process with the models spends
on an answer (what a GPU would wait for), and the memory of each arrangement.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.closed_loop import Turn, turn
from bench.place import Place
from bench.serving import Serving, serving
from service.load.native import TASKS, NativeTask, native_requests

KINDS = {
    "one process": ("--workers", "1"),
    "a process a core": ("--workers", "{cores}"),
    "a front end, an engine": ("--front-ends", "1", "--threads", "{cores}"),
}


@dataclass
class Seen:
    """The turns of one arrangement under one load, and the event loop's seconds an answer."""

    turns: list[Turn] = field(default_factory=list)
    loop_s: list[float] = field(default_factory=list)

    def cells(self, name: str) -> list[str]:
        """A line of the table: medians, and the spread of the rate."""
        rates = [turn.rate for turn in self.turns]
        return [
            name,
            f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})",
            f"{statistics.median(turn.p50_ms for turn in self.turns):.1f}",
            f"{statistics.median(turn.p99_ms for turn in self.turns):.1f}",
            f"{statistics.median(self.loop_s) * 1e6:.0f}",
        ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[32])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn")
    chosen = parser.parse_args()
    console = Console(width=110)
    cores = frozenset(os.sched_getaffinity(0))
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(_started(arguments, cores))
            for name, arguments in KINDS.items()
        }
        for task in chosen.tasks:
            for clients in chosen.clients:
                seen = asyncio.run(_compare(servers, task, clients, chosen))
                console.print(_table(f"{task}, {clients} clients, {len(cores)} cores", seen))
        for name, server in servers.items():
            console.print(f"{name}: {_memory_mib(server):,.0f} MiB after that load")
    return 0


def _started(arguments: Sequence[str], cores: frozenset[int]) -> Any:
    words = [word.format(cores=len(cores)) for word in arguments]
    return serving(Place(), *words, cores=cores)


async def _compare(
    servers: dict[str, Serving], task: NativeTask, clients: int, chosen: argparse.Namespace
) -> dict[str, Seen]:
    seen = {name: Seen() for name in servers}
    requests = {name: native_requests(s.target, task) for name, s in servers.items()}
    for number in range(chosen.rounds + 1):
        for name, server in servers.items():
            before_s = _loop_s(server)
            found = await turn(server, requests[name], clients, chosen.seconds)
            used_s = _loop_s(server) - before_s
            if number:  # the first warms up
                seen[name].turns.append(found)
                seen[name].loop_s.append(used_s / (found.rate * found.took_s))
    return seen


def _with_models(server: Serving) -> list[psutil.Process]:
    """The processes that have the models loaded: those with most memory, if they are several."""
    found = psutil.Process(server.process_id)
    workers = found.children()
    if not workers:
        return [found]
    largest = max(worker.memory_info().rss for worker in workers)
    return [worker for worker in workers if worker.memory_info().rss > 0.7 * largest]


def _loop_s(server: Serving) -> float:
    """Processor seconds of the event loops of those so far; an event loop is the main thread."""
    total = 0
    for process in _with_models(server):
        schedstat = Path(f"/proc/{process.pid}/task/{process.pid}/schedstat")
        total += int(schedstat.read_text().split()[0])
    return total / 1e9


def _memory_mib(server: Serving) -> float:
    """What they take together, what is shared counted once."""
    process = psutil.Process(server.process_id)
    return sum(one.memory_full_info().pss for one in (process, *process.children())) / 2**20


def _table(title: str, seen: dict[str, Seen]) -> Table:
    table = Table(title=title)
    for column in ("", "answers/s", "p50 ms", "p99 ms", "event loop, µs"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in seen.items():
        table.add_row(*found.cells(name))
    return table


if __name__ == "__main__":
    sys.exit(main())
